"""Packing a run: what is written, again the same bytes, and what is refused with one line."""

from __future__ import annotations

import json
import shutil

import bagit
import pytest

from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import files_of, statement_of, the_file
from tests.pack.pack_runs import gate, write_run


@pytest.fixture
def pack_run(tmp_path):
    """Pack a run, unsigned and restricted unless told otherwise."""

    def pack(run, name="pack", **options):
        return build_pack(run, tmp_path / name, PackOptions(**({"restricted": True} | options)), str)

    return pack


@pytest.mark.parametrize("pack", ["public", "restricted", "p256", "unsigned"])
def test_the_library_of_congress_tool_finds_the_bag_valid(packs, pack):
    bag = bagit.Bag(str(packs[pack]))
    assert bag.validate(completeness_only=False)
    assert bag.version_info == (1, 0)
    assert bag.algorithms == ["sha256"]
    assert bag.info["Fmaudit-Pack"] == ("public" if pack == "public" else "restricted")


def test_a_restricted_pack_holds_the_run_as_it_is(run, packs):
    for name in files_of(run):
        assert digest_file(packs["restricted"] / "data" / name) == digest_file(run / name)


def test_environment_and_subjects_are_documents_of_their_own(run, packs):
    state = json.loads((run / "run.json").read_bytes())
    data = packs["restricted"] / "data"
    assert json.loads((data / "environment.json").read_bytes())["environment"] == state["environment"]
    for entry in state["subjects"]:
        assert digest_file(data / "subjects" / f"{entry['id']}.json") == entry["digest"]


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("key", ["ed25519", "p256", None])
def test_the_same_bytes_again(run, signing, pack_run, tmp_path, restricted, key):
    options = {"restricted": restricted, "key": signing.get(key), "date": "2026-04-01"}
    if not restricted:
        options["hash_key"] = tmp_path / "hash-key"
    first, again = (pack_run(run, name, **options).path for name in ("first", "again"))
    assert files_of(first) == files_of(again)
    for name in files_of(first):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_no_date_unless_it_is_given(run, pack_run):
    assert b"Bagging-Date" not in (pack_run(run).path / "bag-info.txt").read_bytes()
    assert (
        b"Bagging-Date: 2026-04-01\n"
        in (pack_run(run, "dated", date="2026-04-01").path / "bag-info.txt").read_bytes()
    )


def test_a_run_without_a_gate(tmp_path):
    run, notices = write_run(tmp_path / "run", policy=None), []
    made = build_pack(run, tmp_path / "pack", PackOptions(restricted=True), notices.append)
    assert made.statements == ("pack",)
    assert notices == ["the run has no gate record: the pack holds no verdict of a policy"]
    assert verify_pack(made.path).faults == ()


def test_two_policies(run_copy, pack_run):
    gate(run_copy, "block")
    pack = pack_run(run_copy).path
    found = verify_pack(pack)
    assert found.faults == ()
    assert sorted(verdict for _, verdict in found.gates) == ["fail", "pass"]
    assert len(list((pack / "data/attestations").glob("gate-*.test-result.intoto.json"))) == 2


@pytest.mark.parametrize("restricted", [True, False])
def test_records_of_earlier_looks_are_kept_and_say_nothing_of_the_longer_run(run_copy, pack_run, restricted):
    from fmaudit.running.extension import _set_aside_gates

    before = [path.name for path in (run_copy / "gate").iterdir()]
    _set_aside_gates(run_copy, 1)
    RunDirectory(run_copy).write_manifest()
    gate(run_copy, "monitor")
    pack = pack_run(run_copy, restricted=restricted).path
    assert verify_pack(pack).faults == ()
    assert {f"look-001-{name}" for name in before} == {
        path.name for path in (pack / "data/gate/superseded").iterdir()
    }
    assert len(verify_pack(pack).gates) == 1


def refused(pack_run, run, match, **options):
    with pytest.raises(UsageError, match=match) as caught:
        pack_run(run, **options)
    assert "\n" not in str(caught.value)


def rewrite(run, **fields):
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    RunDirectory(run).write_manifest()


def test_runs_that_are_refused(run_copy, pack_run, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(pack_run, tmp_path / "empty", "has no run.json: it is not a run directory")
    rewrite(run_copy, finished=False)
    refused(pack_run, run_copy, "is not finished: repeat the fmaudit run command")
    rewrite(run_copy, finished=True, schema="fmaudit/run/9")
    refused(pack_run, run_copy, "run.json: describes no run")
    (run_copy / "run.json").write_text("{")
    refused(pack_run, run_copy, "run.json: is not JSON")
    assert not (tmp_path / "pack").exists()


def test_a_run_that_is_not_the_one_of_its_manifest(run_copy, pack_run):
    def written(name, data):
        (run_copy / name).write_bytes(data)

    for name in ("audit.json", "report/report.html", the_file(run_copy, "gate/*.policy.yaml")):
        data = (run_copy / name).read_bytes()
        written(name, data + b" ")
        refused(pack_run, run_copy, f"{name} was changed since manifest.json was written")
        (run_copy / name).unlink()
        if name != "audit.json":
            refused(pack_run, run_copy, f"{name} of manifest.json is missing")
        written(name, data)
    written("notes.txt", b"mine")
    refused(pack_run, run_copy, "notes.txt is not in manifest.json: move it out")
    (run_copy / "notes.txt").unlink()
    (run_copy / "link").symlink_to("/etc/hostname")
    refused(pack_run, run_copy, "link: is a link or a special file")
    (run_copy / "link").unlink()
    written("environment.json", b"{}")
    refused(pack_run, run_copy, "environment.json has the name of a file that packing makes")
    (run_copy / "environment.json").unlink()
    (run_copy / "manifest.json").unlink()
    refused(pack_run, run_copy, "has no manifest.json: repeat fmaudit report")


def test_records_that_are_refused(run_copy, pack_run):
    policy = run_copy / the_file(run_copy, "gate/*.policy.yaml")
    record = policy.with_name(policy.name.replace(".policy.yaml", ".json"))
    text, found = policy.read_bytes(), json.loads(record.read_bytes())
    policy.unlink()
    RunDirectory(run_copy).write_manifest()
    refused(pack_run, run_copy, r"gate/.*\.json has no policy beside it: repeat fmaudit gate")
    policy.write_bytes(text)
    record.write_text(json.dumps(found | {"audit": "sha256:" + "0" * 64}))
    RunDirectory(run_copy).write_manifest()
    refused(pack_run, run_copy, "is of an earlier audit.json: repeat fmaudit gate")
    record.write_text(json.dumps(found | {"verdict": "maybe"}))
    RunDirectory(run_copy).write_manifest()
    refused(pack_run, run_copy, "is no record of a gate: verdict is missing or of another kind")


def test_places_that_are_refused(run, pack_run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    refused(pack_run, run, "folder full is not empty", name="full")
    (tmp_path / "file").write_text("kept")
    refused(pack_run, run, "file is not a folder", name="file")
    with pytest.raises(UsageError, match="would lie inside the run"):
        build_pack(run, run / "pack", PackOptions(restricted=True), str)
    for place in (run / "key", tmp_path / "pack" / "key"):
        refused(pack_run, run, "--hash-key lies inside the run or the pack", restricted=False, hash_key=place)
    (tmp_path / "empty").mkdir()
    assert verify_pack(pack_run(run, "empty").path).faults == ()


def test_the_folder_one_stands_in(run, tmp_path, monkeypatch):
    from pathlib import Path

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made = build_pack(run, Path(), PackOptions(), str)
    assert made.hash_key == tmp_path / "here.hash-key"
    assert verify_pack(tmp_path / "here").faults == ()


def test_what_would_not_verify_is_never_written(run_copy, pack_run, tmp_path):
    """Evidence that a manifest was written over, but that holds fewer items than were asked."""
    part = run_copy / the_file(run_copy, "evidence/adapted/bias*/part-00002.parquet")
    shutil.copy(part.with_name("part-00001.parquet"), part)
    RunDirectory(run_copy).write_manifest()
    with pytest.raises(ExecutionError, match=r"holds rows of 32 items and 40 were asked.*nothing was packed"):
        pack_run(run_copy)
    assert not (tmp_path / "pack").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".pack")]


def test_a_model_is_bound_by_its_root_digest(tmp_path, pack_run):
    from fmaudit.pack.model_digest import model_digest
    from fmaudit.pack.verify import Trust
    from fmaudit.subjects.digest import digest_subject
    from fmaudit.subjects.files import locate
    from fmaudit.subjects.spec import parse_spec
    from fmaudit.testing.tiny import tiny_causal, tiny_lora

    base = tiny_causal(tmp_path / "models" / "base")
    adapter = tiny_lora(tmp_path / "models" / "base", tmp_path / "models" / "lora")
    tiny_causal(tmp_path / "models" / "other", seed=5)
    assert (base, adapter) == (tmp_path / "models" / "base", tmp_path / "models" / "lora")
    run = write_run(tmp_path / "run", policy=None)
    state = json.loads((run / "run.json").read_text())
    for entry, spec in zip(state["subjects"], (str(base), f"{base}::adapter={adapter}"), strict=False):
        found = digest_subject(locate(parse_spec(spec)))
        entry |= {"parts": dict(found.parts), "digest": found.total}
    rewrite(run, subjects=state["subjects"])
    from fmaudit.api import finish

    finish(RunDirectory(run))
    gate(run, "warn")
    made = pack_run(run, models={"base": base, "adapted": adapter}).path
    models = {"base": model_digest(base), "adapted": model_digest(adapter)}
    for path in (made / "data/attestations").glob("gate-*"):
        statement = json.loads(path.read_bytes())
        named = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
        assert {name: named[name] for name in models} == models
    change = json.loads(next((made / "data/attestations").glob("*.scai*")).read_bytes())["predicate"][
        "attributes"
    ][-1]
    assert change["conditions"]["kind"] == "change"
    assert change["target"]["digest"]["sha256"] == models["base"]
    assert verify_pack(made, Trust(models={"base": base, "adapted": adapter})).faults == ()
    (fault,) = verify_pack(made, Trust(models={"base": tmp_path / "models" / "other"})).faults
    assert (fault.file, "other root digest" in fault.text) == ("model base", True)
    refused(
        pack_run,
        run,
        "other is not the model that was audited: its weights differs",
        name="b",
        models={"base": tmp_path / "models" / "other"},
    )
    refused(pack_run, run, "lora is an adapter and the subject is none", name="b", models={"base": adapter})
    refused(
        pack_run, run, "base is no adapter: name the adapter's folder", name="b", models={"adapted": base}
    )
    refused(
        pack_run, run, "no such subject; this run has adapted, base, stranger", name="b", models={"me": base}
    )
    refused(
        pack_run, run, "there is no folder or file nowhere", name="b", models={"base": tmp_path / "nowhere"}
    )
    # Without files at packing, the model can still be held against the digests of its parts.
    plain = pack_run(run, "plain").path
    assert verify_pack(plain, Trust(models={"base": base, "adapted": adapter})).faults == ()
    (fault,) = verify_pack(plain, Trust(models={"base": tmp_path / "models" / "other"})).faults
    assert "is not the model that was audited" in fault.text


def test_statements_name_the_pack(packs):
    from fmaudit.pack.bagit import content_digest, read_manifest

    for name in ("public", "restricted"):
        pack = packs[name]
        manifest = read_manifest((pack / "manifest-sha256.txt").read_bytes(), "manifest-sha256.txt")
        own = statement_of(pack, "pack.dsse.json")
        assert own["predicate"]["kind"] == name
        assert own["predicate"]["content"] == content_digest(manifest)
        assert {entry["name"] for entry in own["subject"]} == {
            *(file for file in manifest if not file.startswith("data/attestations/")),
            "bagit.txt",
            "bag-info.txt",
        }
