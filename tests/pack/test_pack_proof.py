"""With the hash key: proof that a restricted pack is what a public one was made from."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.proof import VerifiedPack, proof_faults
from fmaudit.pack.redaction import HashKey, open_hash_key
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import the_file
from tests.pack.pack_runs import SECRET


def verified(folder):
    found = verify_pack(folder)
    assert found.faults == ()
    return VerifiedPack(folder, found)


def proof(public, restricted, key):
    return proof_faults(verified(public), verified(restricted), key)


@pytest.fixture
def key(packs):
    return open_hash_key(packs["hash_key"], pytest.fail)


def test_the_pack_it_was_made_from(packs, key):
    assert proof(packs["public"], packs["restricted"], key) == ()
    # Who signed the restricted one, and whether anybody did, changes nothing about its texts.
    assert proof(packs["public"], packs["unsigned"], key) == ()


def packed_anew(run, folder):
    """A restricted pack of a run that was changed."""
    RunDirectory(run).write_manifest()
    return build_pack(run, folder, PackOptions(restricted=True), str).path


def rewritten(path, old, new):
    table = pq.read_table(path)
    position = table.column_names.index("responses")
    texts = [text.replace(old, new) for text in table["responses"].to_pylist()]
    assert texts != table["responses"].to_pylist()
    pq.write_table(table.set_column(position, table.schema.field(position), pa.array(texts)), path)


@pytest.mark.parametrize(
    "pattern", ["evidence/base/toxicity*prompts/part-00001.parquet", "evidence/base/*#retest/*-00000.parquet"]
)
def test_one_other_word_is_named(packs, key, run_copy, tmp_path, pattern):
    name = the_file(run_copy, pattern)
    rewritten(run_copy / name, SECRET, f"{SECRET} and")
    faults = proof(packs["public"], packed_anew(run_copy, tmp_path / "pack"), key)
    assert [fault.file for fault in faults] == [f"data/{name}", "data/manifest.json"]
    assert "is not the file whose keyed hash the public pack records" in faults[0].text


def test_another_report_of_the_same_run(packs, key, run_copy, tmp_path):
    """Shown files are compared as they are; those left out by their keyed hash."""
    (run_copy / "report/report.html").write_text("<p>other</p>")
    (run_copy / "report/report-revealed.html").unlink()
    found = {
        fault.file: fault.text
        for fault in proof(packs["public"], packed_anew(run_copy, tmp_path / "pack"), key)
    }
    assert found["data/report/report.html"] == "is not the same in both packs"
    assert "the restricted pack does not hold it" in found["data/report/report-revealed.html"]
    assert not any(name.startswith("data/evidence/") for name in found)


def test_rows_that_the_key_holder_made_up(run, run_copy, packs, key, tmp_path, monkeypatch):
    """Keyed hashes of the true files beside other rows: the rows are compared as well."""
    from fmaudit.pack import public_files
    from fmaudit.pack.redacted_rows import RedactedPart, redacted_part

    def other(source, name, levels, key):
        made = redacted_part(source, f"{name} of another place", levels, key)
        return RedactedPart(made.data, made.texts)

    monkeypatch.setattr(public_files, "redacted_part", other)
    pack = build_pack(run, tmp_path / "pack", PackOptions(hash_key=packs["hash_key"]), str).path
    faults = proof(pack, packs["restricted"], key)
    assert faults
    assert {fault.text for fault in faults} == {
        "does not hold the rows of the restricted pack, texts taken out"
    }


def test_the_same_rows_laid_out_by_another_writer(packs, key, run, tmp_path, monkeypatch):
    from fmaudit.pack import redacted_rows

    before = pq.write_table
    monkeypatch.setattr(
        redacted_rows.pq, "write_table", lambda table, sink, **_: before(table, sink, compression="none")
    )
    pack = build_pack(run, tmp_path / "pack", PackOptions(hash_key=packs["hash_key"]), str).path
    monkeypatch.undo()
    assert proof(pack, packs["restricted"], key) == ()


def test_wrong_packs_and_keys(packs, key):
    for public, restricted, reason in (
        ("restricted", "restricted", r"PACK restricted is no public pack: name the public one"),
        ("public", "public", r"--against public is no restricted pack: name the restricted one"),
    ):
        with pytest.raises(UsageError, match=reason):
            proof(packs[public], packs[restricted], key)
    with pytest.raises(
        UsageError, match="--hash-key is another key than the one this public pack was made with"
    ):
        proof(packs["public"], packs["restricted"], HashKey(bytes(32)))


def test_a_proof_changes_no_pack(packs, key, tmp_path):
    copies = [shutil.copytree(packs[kind], tmp_path / kind) for kind in ("public", "restricted")]
    assert proof(*copies, key) == ()
    for copy in copies:
        verified(copy)
