"""What somebody without the key can do to a pack, and what a wrong key, model or clock makes of it."""

from __future__ import annotations

import base64
import json
import shutil

import pytest

from fmaudit.errors import ExitCode, UsageError
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.dsse import seal
from fmaudit.pack.labels import UNSIGNED
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import files_of, rebag, statement_of, the_file
from tests.pack.pack_runs import parts_of


def named(found):
    assert found.exit_code is ExitCode.GATE_FAILED
    return {fault.file for fault in found.faults}


@pytest.mark.parametrize(
    ("pack", "key"), [("public", "ed25519"), ("restricted", "ed25519"), ("p256", "p256")]
)
def test_a_signed_pack(packs, trust, signing, pack, key):
    found = verify_pack(packs[pack], trust[key])
    assert (found.exit_code, found.signature) == (ExitCode.PASS, "verified")
    assert found.key_id == signing[key].key_id
    assert found.gates == (("pack-test", "pass"),)
    assert found.files == len(files_of(packs[pack]))
    without_key = verify_pack(packs[pack])
    assert (without_key.exit_code, without_key.signature) == (ExitCode.INCONCLUSIVE, "not checked")


def test_an_unsigned_pack_says_so(packs, trust):
    found = verify_pack(packs["unsigned"])
    assert (found.exit_code, found.signature) == (ExitCode.INCONCLUSIVE, "unsigned")
    assert f"Fmaudit-Signature: {UNSIGNED}\n" in (packs["unsigned"] / "bag-info.txt").read_text()
    with_key = verify_pack(packs["unsigned"], trust["ed25519"])
    assert named(with_key) == {name for name in files_of(packs["unsigned"]) if "/attestations/" in name}
    assert "is not signed" in with_key.faults[0].text


def test_a_wrong_key_names_every_statement(packs, trust):
    for pack, key in (("restricted", "other"), ("restricted", "p256"), ("p256", "ed25519")):
        found = verify_pack(packs[pack], trust[key])
        assert named(found) == {name for name in files_of(packs[pack]) if "/attestations/" in name}
        assert "not with the given" in found.faults[0].text


ATTACKS = {
    "an audit": "data/audit.json",
    "a run": "data/run.json",
    "a policy": "data/gate/*.policy.yaml",
    "a record": "data/gate/*.json",
    "a report": "data/report/report.html",
    "rows": "data/evidence/adapted/bias*/part-00001.parquet",
    "an environment": "data/environment.json",
    "a subject": "data/subjects/adapted.json",
    "a label": "bag-info.txt",
}


@pytest.mark.parametrize("pattern", ATTACKS.values(), ids=ATTACKS)
def test_checksums_written_anew_do_not_hide_a_change(copy_of, trust, pattern):
    pack = copy_of()
    name = the_file(pack, pattern)
    (pack / name).write_bytes((pack / name).read_bytes() + b"\n")
    assert named(verify_pack(rebag(pack), trust["ed25519"])) == {name}
    assert named(verify_pack(pack)) == {name}


def test_a_statement_signed_anew_by_somebody_else(copy_of, signing, trust):
    pack = copy_of()
    name = the_file(pack, "data/attestations/*.test-result.dsse.json")
    statement = base64.b64decode(json.loads((pack / name).read_bytes())["payload"])
    forged = statement.replace(b'"result":"WARNED"', b'"result":"PASSED"')
    assert forged != statement
    (pack / name).write_bytes(seal(forged, signing["other"]))
    assert name in named(verify_pack(rebag(pack), trust["ed25519"]))
    assert name in named(verify_pack(pack))
    # A key id that lies does not help.
    lying = json.loads((pack / name).read_bytes())
    lying["signatures"][0]["keyid"] = signing["ed25519"].key_id
    (pack / name).write_text(json.dumps(lying, sort_keys=True, separators=(",", ":")))
    (fault,) = verify_pack(rebag(pack), trust["ed25519"]).faults
    assert (fault.file, fault.text) == (name, "was changed: its signature does not fit")


def test_the_signer_cannot_state_what_the_files_do_not_say(copy_of, signing, trust):
    pack = copy_of()
    name = the_file(pack, "data/attestations/*.test-result.dsse.json")
    statement = base64.b64decode(json.loads((pack / name).read_bytes())["payload"])
    forged = statement.replace(b'"result":"WARNED"', b'"result":"PASSED"')
    (pack / name).write_bytes(seal(forged, signing["ed25519"]))
    faults = verify_pack(rebag(pack), trust["ed25519"]).faults
    assert [str(fault) for fault in faults] == [
        f"{name}: does not say what the pack's files say: they differ in predicate.result"
    ]


def test_a_statement_of_another_pack(copy_of, packs, trust):
    pack = copy_of()
    name = the_file(pack, "data/attestations/*.scai.dsse.json")
    shutil.copy(packs["public"] / name, pack / name)
    assert named(verify_pack(rebag(pack), trust["ed25519"])) == {name}


def test_files_put_in_and_left_out(copy_of, trust):
    pack = copy_of()
    for name in files_of(pack):
        if name.startswith("data/"):
            data = (pack / name).read_bytes()
            (pack / name).unlink()
            assert any(
                fault.file.startswith(name.removesuffix(".dsse.json"))
                for fault in verify_pack(rebag(pack), trust["ed25519"]).faults
            ), name
            (pack / name).write_bytes(data)
    rebag(pack)
    for name in ("data/more.txt", "data/gate/more.json", "data/attestations/more.dsse.json", "more.txt"):
        (pack / name).write_text("{}")
        assert name in named(verify_pack(rebag(pack), trust["ed25519"]))
        (pack / name).unlink()
    assert verify_pack(rebag(pack), trust["ed25519"]).exit_code is ExitCode.PASS


def test_a_signed_pack_cannot_be_made_an_unsigned_one(copy_of, trust):
    """Its label is among the signed files, so that a reader without a key sees the downgrade as well."""
    pack = copy_of()
    for path in (pack / "data/attestations").iterdir():
        name = path.name.removesuffix(".dsse.json")
        (path.parent / f"{name}.intoto.json").write_bytes(
            base64.b64decode(json.loads(path.read_bytes())["payload"])
        )
        path.unlink()
    assert named(verify_pack(rebag(pack))) == {"bag-info.txt"}
    assert verify_pack(pack, trust["ed25519"]).exit_code is ExitCode.GATE_FAILED


def test_a_bare_statement_beside_a_signed_one(copy_of, trust):
    pack = copy_of()
    bare = pack / "data/attestations/pack.intoto.json"
    bare.write_text(json.dumps(statement_of(pack, "pack.dsse.json")))
    assert named(verify_pack(rebag(pack), trust["ed25519"])) == {"data/attestations/pack.intoto.json"}


def test_documents_that_disagree_though_whoever_signs_agrees(
    run, run_copy, signing, trust, tmp_path, monkeypatch
):
    """A signer who does not use ``fmaudit pack``, or changes the run first."""
    monkeypatch.setattr("fmaudit.pack.build._check", lambda *arguments: None)
    from fmaudit.evidence.directory import RunDirectory

    def packed(name):
        RunDirectory(run_copy).write_manifest()
        build_pack(run_copy, tmp_path / name, PackOptions(restricted=True, key=signing["ed25519"]), str)
        return named(verify_pack(tmp_path / name, trust["ed25519"]))

    policy = next(run_copy.glob("gate/*.policy.yaml"))
    text = policy.read_text()
    policy.write_text(text.replace("max: 0.99", "max: 0.999"))
    assert packed("policy") == {f"data/gate/{policy.name}"}
    policy.write_text("rules: [")
    assert packed("no-policy") == {f"data/gate/{policy.name}"}
    policy.write_text(text)
    part = next(run_copy.glob("evidence/adapted/bias*/part-00001.parquet"))
    data = part.read_bytes()
    part.unlink()
    assert packed("part") == {f"data/{part.relative_to(run_copy).as_posix()}"}
    part.write_bytes(b"no rows")
    assert packed("no-part") == {f"data/{part.relative_to(run_copy).as_posix()}"}
    shutil.copy(next(run_copy.glob("evidence/adapted/bias*/part-00000.parquet")), part)
    assert packed("twice") == {f"data/{part.relative_to(run_copy).parent.as_posix()}"}
    part.write_bytes(data)
    stray = run_copy / "evidence" / "nobody" / "probe"
    stray.mkdir(parents=True)
    shutil.copy(part, stray / "part-00000.parquet")
    assert packed("stray") == {"data/evidence/nobody/probe/part-00000.parquet"}
    shutil.rmtree(stray.parent)
    assert parts_of("base") != parts_of("adapted")
    state = json.loads((run_copy / "run.json").read_text())
    state["subjects"][1] |= {"parts": parts_of("other"), "digest": state["subjects"][0]["digest"]}
    (run_copy / "run.json").write_text(json.dumps(state))
    with pytest.raises(UsageError, match=r"digest of subject adapted in run\.json is not that of its parts"):
        packed("subject")


@pytest.mark.parametrize("kept", [1, 2, 5, 12, 25, -3, -1])
def test_a_pack_that_was_cut_off(copy_of, trust, kept):
    """As an interrupted copy leaves it: the files that come last are not there."""
    pack = copy_of()
    gone = files_of(pack)[kept:]
    for name in gone:
        (pack / name).unlink()
    found = verify_pack(pack, trust["ed25519"])
    assert named(found) & set(gone)
    assert all("\n" not in str(fault) for fault in found.faults)


def test_what_is_no_pack(run, tmp_path):
    with pytest.raises(UsageError, match="there is no pack nowhere"):
        verify_pack(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is no evidence pack"):
        verify_pack(run)
