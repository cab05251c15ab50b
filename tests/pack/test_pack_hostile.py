"""Packs that mean harm: names that lead out, links, double meanings, and files too large to be read."""

from __future__ import annotations

import base64
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import ExitCode
from fmaudit.pack import bagit, json_text, verify_contents, verify_rows
from fmaudit.pack.dsse import seal
from fmaudit.pack.faults import PackFault
from fmaudit.pack.json_text import read_object
from fmaudit.pack.paths import unsafe_name
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import change, rebag, restate, the_file

ZEROS = "0" * 64
LEADING_OUT = [
    "../outside",
    "data/../../outside",
    "data/./audit.json",
    "data//audit.json",
    "/etc/hostname",
    "data/..",
    "data/",
    "data/%2e%2e/%2e%2e/outside",
    "data/a%0Ab",
    "data/a%0d",
    "data/a%25b",
    "data\\audit.json",
    "data/a\tb",
    "data/\x1b[31mred",
    "data/\u2028line",
    "~/x\x7f",
]


@pytest.fixture
def opened(monkeypatch):
    """Every file that is opened while a pack is verified."""
    import pathlib

    found = []
    before = pathlib.Path.open

    def watched(path, *arguments, **options):
        found.append(os.path.realpath(path))
        return before(path, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", watched)
    return found


@pytest.mark.parametrize("manifest", ["manifest-sha256.txt", "tagmanifest-sha256.txt"])
@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_name_that_leads_out_is_refused_and_never_opened(copy_of, trust, opened, tmp_path, name, manifest):
    (tmp_path / "outside").write_text("of somebody else")
    pack = copy_of()
    path = pack / manifest
    path.write_bytes(path.read_bytes() + f"{ZEROS}  {name}\n".encode())
    opened.clear()
    found = verify_pack(pack, trust["ed25519"])
    assert found.exit_code is ExitCode.GATE_FAILED
    assert manifest in {fault.file for fault in found.faults}
    assert all("\n" not in str(fault) and "\x1b" not in str(fault) for fault in found.faults)
    assert opened
    assert all(place.startswith(f"{os.path.realpath(pack)}/") for place in opened)


@pytest.mark.parametrize(
    "name", ["data/ü.json", "data/a b", "data/-rf", "data/...", "data/.hidden", "x", "a*"]
)
def test_names_that_are_odd_and_harmless(name):
    assert unsafe_name(name) == ""
    assert bagit.read_manifest(bagit.manifest_text({name: ZEROS}), "m") == {name: ZEROS}


@given(st.dictionaries(st.text(), st.sampled_from([ZEROS, "ab" * 32])))
def test_a_manifest_says_what_was_written_or_is_refused(digests):
    if any(map(unsafe_name, digests)):
        with pytest.raises((PackFault, UnicodeEncodeError)):
            bagit.read_manifest(bagit.manifest_text(digests), "m")
    else:
        assert bagit.read_manifest(bagit.manifest_text(digests), "m") == digests


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{ZEROS}  data/a\n{ZEROS}  data/a\n", "line 2 gives a name twice"),
        (f"{ZEROS}  data/a", "it is cut off"),
        (f"{ZEROS[:-1]}  data/a\n", "line 1 is not a SHA-256 digest and a name"),
        (f"{ZEROS.replace('0', 'A')}  data/a\n", "line 1 is not a SHA-256 digest"),
        (f"{ZEROS} data/a\n", "line 1 is not a SHA-256 digest"),
        (f"\\{ZEROS}  data/a\n", "line 1 is not a SHA-256 digest"),
        (f"{ZEROS}  data/a\r\n", "control character"),
        ("\n", "line 1 is not a SHA-256 digest"),
        (b"\xff\n", "is not UTF-8"),
    ],
)
def test_manifests_that_are_none(text, reason):
    with pytest.raises(PackFault, match=reason):
        bagit.read_manifest(text if isinstance(text, bytes) else text.encode(), "manifest-sha256.txt")


def test_a_manifest_in_another_order_or_form_is_another_manifest(copy_of, trust):
    """It would have the same meaning and another digest."""
    pack = copy_of()
    path = pack / "manifest-sha256.txt"
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (b"".join(reversed(lines)), path.read_bytes().replace(b"  data/", b" *data/")):
        path.write_bytes(changed)
        (fault,) = verify_pack(pack, trust["ed25519"]).faults
        assert (fault.file, "is not written as a pack's manifest is" in fault.text) == (path.name, True)


def test_links_are_named_and_not_followed(copy_of, trust, opened, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("data/audit.json", "manifest-sha256.txt", "data/attestations/pack.dsse.json", "data/gate"):
        pack = copy_of(to=f"pack-{name.replace('/', '-')}")
        place = outside / name.replace("/", "-")
        (pack / name).rename(place)
        (pack / name).symlink_to(place)
        opened.clear()
        found = verify_pack(pack, trust["ed25519"])
        assert (name, "is a link or a special file") in {(one.file, one.text) for one in found.faults}
        assert all(place.startswith(f"{os.path.realpath(pack)}/") for place in opened)


def test_a_folder_that_is_a_link(copy_of, trust, tmp_path):
    for name in ("data", "data/attestations"):
        pack = copy_of(to=f"pack-{name.replace('/', '-')}")
        (pack / name).rename(tmp_path / name.replace("/", "-"))
        (pack / name).symlink_to(tmp_path / name.replace("/", "-"))
        found = verify_pack(pack, trust["ed25519"])
        assert name in {fault.file for fault in found.faults}
        assert found.exit_code is ExitCode.GATE_FAILED


def test_a_pipe_is_never_read(copy_of, trust):
    pack = copy_of()
    (pack / "data/audit.json").unlink()
    os.mkfifo(pack / "data/audit.json")
    (pack / "data/attestations/pack.dsse.json").unlink()
    os.mkfifo(pack / "data/attestations/pack.dsse.json")
    faults = {(one.file, one.text) for one in verify_pack(pack, trust["ed25519"]).faults}
    for name in ("data/audit.json", "data/attestations/pack.dsse.json"):
        assert (name, "is a link or a special file") in faults


def test_names_of_files_cannot_write_to_the_terminal(copy_of, fmaudit):
    pack = copy_of()
    (pack / "data/\x1b[2Kall is well").write_text("x")
    (pack / os.fsdecode(b"data/\xff")).write_text("x")
    done = fmaudit("verify", pack)
    assert done.code == 1
    assert "\x1b" not in done.err
    assert "all is well: has a control character" in done.err


def test_folders_in_folders(copy_of, trust):
    pack = copy_of()
    place = pack / "data" / "/".join("d" * 40)
    place.mkdir(parents=True)
    (place / "x").write_text("x")
    assert "lies too deep in folders" in {one.text for one in verify_pack(pack, trust["ed25519"]).faults}


def test_an_empty_folder_is_named(copy_of, trust):
    """No manifest can list it, and its name may say anything."""
    pack = copy_of()
    (pack / "data" / "approved by everybody").mkdir()
    (fault,) = verify_pack(pack, trust["ed25519"]).faults
    assert (fault.file, "is an empty folder" in fault.text) == ("data/approved by everybody", True)


def test_fetching_is_not_supported(copy_of, trust):
    """BagIt allows files that are to be fetched; a pack is whole."""
    pack = copy_of()
    (pack / "fetch.txt").write_text("https://example.org/x 3 data/x\n")
    (fault,) = verify_pack(pack, trust["ed25519"]).faults
    assert (fault.file, fault.text) == ("fetch.txt", "does not belong to a pack")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', "gives the key 'a' twice"),
        ('{"a": {"b": 1, "b": 1}}', "gives the key 'b' twice"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": 1e999}', "a number that no float can hold"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read|a number too long"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep|nested deeper"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64 levels"),
        (r'{"a": ["\uD800"]}', "half of a character"),
        (r'{"\udfff": 1}', "half of a character"),
        ("[]", "holds no JSON object"),
        ('"x"', "holds no JSON object"),
        ("{", "is not JSON"),
        ("\ufeff{}", "is not JSON"),
    ],
)
def test_json_with_two_meanings_or_none(text, reason):
    with pytest.raises(PackFault, match=reason) as caught:
        read_object(text.encode(), "data/x.json")
    assert caught.value.fault.file == "data/x.json"
    assert "\n" not in str(caught.value)


DOUBLE = [
    ("data/run.json", b'"finished": true', b'"finished": false, "finished": true'),
    ("data/audit.json", b'"schema"', b'"schema": "x", "schema"'),
    ("data/gate/*.json", b'"verdict":"pass"', b'"verdict":"fail","verdict":"pass"'),
]


@pytest.mark.parametrize(("pattern", "old", "new"), DOUBLE)
def test_a_key_given_twice_is_refused(copy_of, pattern, old, new):
    """One reader takes the first, another the last: a document with two meanings is none."""
    pack = copy_of("unsigned")
    name = the_file(pack, pattern)
    data = (pack / name).read_bytes()
    assert old in data, name
    # Unsigned, so that whoever made it can state the new digest as well.
    (pack / name).write_bytes(data.replace(old, new, 1))
    restate(pack, name)
    faults = verify_pack(pack).faults
    assert any(fault.file == name and "twice" in fault.text for fault in faults), faults


def test_a_statement_with_a_key_twice(copy_of, signing, trust):
    pack = copy_of()
    name = "data/attestations/pack.dsse.json"
    payload = base64.b64decode(json.loads((pack / name).read_bytes())["payload"])
    forged = payload.replace(b'"kind":"restricted"', b'"kind":"public","kind":"restricted"')
    assert forged != payload
    (pack / name).write_bytes(seal(forged, signing["ed25519"]))
    (fault,) = verify_pack(rebag(pack), trust["ed25519"]).faults
    assert (fault.file, "gives the key 'kind' twice" in fault.text) == (name, True)


def test_files_that_are_too_large_are_not_read(copy_of, monkeypatch):
    """Limits are lowered instead of writing gigabytes; a sparse file shows that size alone is harmless."""
    pack = copy_of("unsigned")
    for module, limit, name in (
        (bagit, "MAX_MANIFEST", "manifest-sha256.txt"),
        (verify_contents, "MAX_JSON", "data/run.json"),
        (verify_contents, "MAX_POLICY", the_file(pack, "data/gate/*.policy.yaml")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, 50)
            (fault, *_) = verify_pack(pack).faults
            assert (fault.file, "not read" in fault.text) == (name, True)
    with (pack / "data/audit.json").open("wb") as stream:
        stream.truncate(json_text.MAX_JSON + 1)
    (fault,) = verify_pack(pack).faults
    assert fault.file == "data/audit.json"


def test_json_that_is_too_large(monkeypatch):
    monkeypatch.setattr(json_text, "MAX_JSON", 5)
    with pytest.raises(PackFault, match="not read"):
        read_object(b'{"a": 1}', "x")


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROWS", 3), ("MAX_UNPACKED", 100)])
def test_rows_that_unpack_to_too_much(packs, monkeypatch, limit, value):
    monkeypatch.setattr(verify_rows, limit, value)
    found = verify_pack(packs["unsigned"])
    assert found.exit_code is ExitCode.GATE_FAILED
    assert all("holds more than" in fault.text for fault in found.faults)


def test_more_files_than_are_counted(packs, monkeypatch):
    monkeypatch.setattr("fmaudit.pack.paths.MAX_FILES", 5)
    assert any("holds more than 5 files" in fault.text for fault in verify_pack(packs["unsigned"]).faults)


def test_parquet_that_is_none_is_one_line(copy_of):
    pack = copy_of("unsigned")
    name = the_file(pack, "data/evidence/base/bias*/part-00000.parquet")
    data = (pack / name).read_bytes()
    for changed in (b"", b"PAR1", data[:-20], data[:100] + bytes(len(data) - 200) + data[-100:]):
        (pack / name).write_bytes(changed)
        restate(pack, name)
        found = verify_pack(pack)
        assert found.exit_code is ExitCode.GATE_FAILED
        assert all("\n" not in str(fault) for fault in found.faults)
        assert any("cannot be read" in fault.text for fault in found.faults)


def test_what_no_key_signed_is_read_no_further(copy_of, trust, monkeypatch):
    """A Parquet reader is large: it only sees what the holder of the key signed."""

    def never(*arguments, **options):
        raise AssertionError("rows were read")

    monkeypatch.setattr(verify_rows, "_read", never)
    pack = change(copy_of(), "data/audit.json", b"{", b"{ ")
    assert verify_pack(pack, trust["ed25519"]).faults
    assert verify_pack(pack, trust["other"]).faults


@given(st.binary(max_size=300))
def test_any_bytes_as_an_attestation_end_in_one_line(packs, tmp_path_factory, data):
    from fmaudit.pack.attestations import pack_statement, read_attestations

    folder = tmp_path_factory.mktemp("any")
    for form in (".dsse.json", ".sigstore.json", ".intoto.json"):
        name = f"data/attestations/pack{form}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        with pytest.raises(PackFault) as caught:
            pack_statement(*read_attestations(folder, [name]))
        assert caught.value.fault.file == name


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", ZEROS, "public", "data/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "digest", "sha256", "kind", "models", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(PLAIN, PLAIN)
def test_any_statement_is_read_or_named(subject, predicate):
    from fmaudit.pack.attestations import BARE, Attestation, pack_statement
    from fmaudit.pack.statements import PACK_TYPE, STATEMENT_TYPE

    fields = {
        "_type": STATEMENT_TYPE,
        "predicateType": PACK_TYPE,
        "subject": subject,
        "predicate": predicate
        if not isinstance(predicate, dict)
        else {"schema": "fmaudit/pack/1"} | predicate,
    }
    payload = json.dumps(fields).encode()
    try:
        found = pack_statement(Attestation("x.intoto.json", "pack", BARE, payload, payload))
    except PackFault as fault:
        file = fault.fault.file
    else:
        file = "x.intoto.json"
        assert isinstance(found.kind, str)
    assert file == "x.intoto.json"
