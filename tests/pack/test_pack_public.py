"""Public packs: no text is left anywhere, and each that was taken out can be proven with the key."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.redacted_rows import RedactedPart, redacted_part
from fmaudit.pack.redaction import open_hash_key
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import files_of, statement_of, the_file
from tests.pack.pack_runs import ITEMS, SAMPLES, SECRET, SUBJECTS, TOKEN


def everything_in(pack):
    """Name and bytes of every file, and of what Parquet compresses: each cell as text, and the metadata."""
    for name in files_of(pack):
        data = (pack / name).read_bytes()
        yield name, data
        if name.endswith(".parquet"):
            table = pq.read_table(pack / name)
            yield name, repr(table.to_pylist()).encode()
            yield name, repr((table.schema.metadata, pq.read_metadata(pack / name).to_dict())).encode()


def test_no_text_is_left_in_any_file(packs):
    """Raw bytes, unpacked rows, statistics and metadata; the restricted pack shows that the search finds."""
    texts = [f"{SECRET} {number} 0 0" for number in range(ITEMS)] + [SECRET, TOKEN.strip()]
    for kind, expected in (("restricted", True), ("public", False)):
        found = [
            (name, text)
            for name, data in everything_in(packs[kind])
            for text in texts
            if text.encode() in data
        ]
        assert bool(found) is expected, found[:5]
    assert any(name.startswith("data/evidence/") for name, _ in everything_in(packs["public"]))


def test_reports_that_reveal_are_left_out(run, packs):
    """The run holds one, with texts in it."""
    revealed = run / "report" / "report-revealed.html"
    assert SECRET.encode() in revealed.read_bytes()
    assert (packs["restricted"] / "data/report/report-revealed.html").is_file()
    data = packs["public"] / "data"
    assert not (data / "report/report-revealed.html").exists()
    assert (data / "report/report.html").read_bytes() == (run / "report/report.html").read_bytes()
    record = json.loads((data / "redactions.json").read_bytes())
    key = open_hash_key(packs["hash_key"], pytest.fail)
    left_out = {entry["file"]: entry["hash"] for entry in record["left_out"]}
    assert set(left_out) == {"manifest.json", "report/report-revealed.html"}
    by_hand = hmac.new(key.secret, b"report/report-revealed.html\0" + revealed.read_bytes(), hashlib.sha256)
    assert left_out["report/report-revealed.html"] == by_hand.hexdigest()


@pytest.mark.parametrize(
    "name", ["samples.jsonl", "report/report-2.html", "exports/rows.parquet", "claims.json"]
)
def test_files_that_are_not_known_are_left_out(run_copy, tmp_path, name):
    path = run_copy / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(SECRET)
    RunDirectory(run_copy).write_manifest()
    pack = build_pack(run_copy, tmp_path / "pack", PackOptions(), str).path
    assert not (pack / "data" / name).exists()
    assert all(SECRET.encode() not in data for _, data in everything_in(pack))


def test_numbers_ids_and_slices_stay(run, packs):
    """Every column but the answers is the same, so that every number can be computed again."""
    for path in sorted((run / "evidence").rglob("*.parquet")):
        before = pq.read_table(path)
        after = pq.read_table(packs["public"] / "data" / path.relative_to(run))
        assert after.schema.equals(before.schema, check_metadata=True)
        assert after.drop_columns("responses").equals(before.drop_columns("responses"))
        assert not after["responses"].equals(before["responses"])


def test_a_report_of_a_public_pack_has_the_numbers_of_the_run(run, packs, tmp_path):
    """The rows without texts are evidence still: the audit is computed from them again, byte for byte."""
    from fmaudit.api import finish

    again = shutil.copytree(run, tmp_path / "again")
    shutil.rmtree(again / "evidence")
    shutil.copytree(packs["public"] / "data/evidence", again / "evidence")
    (again / "audit.json").unlink()
    finish(RunDirectory(again))
    assert (again / "audit.json").read_bytes() == (run / "audit.json").read_bytes()


def test_a_hash_is_proven_by_hand_with_the_key(run, packs):
    """HMAC-SHA256 of place and text as JSON, with nothing of fmaudit."""
    secret = bytes.fromhex(packs["hash_key"].read_text().strip())
    name = the_file(run, "evidence/base/toxicity*prompts/part-00000.parquet")
    before = pq.read_table(run / name).to_pylist()
    after = pq.read_table(packs["public"] / "data" / name).to_pylist()
    for old, new in zip(before, after, strict=True):
        for number, (was, now) in enumerate(
            zip(json.loads(old["responses"]), json.loads(new["responses"]), strict=True)
        ):
            place = {"answer": number, "column": "responses", "file": name}
            place |= {"item": old["item_id"], "sample": old["sample"], "seed": old["seed"]}
            removed = [place, {"text": was["text"]}]
            data = json.dumps(removed, sort_keys=True, separators=(",", ":")).encode()
            digest = hmac.new(secret, data, hashlib.sha256).hexdigest()
            assert now["text"] == f"[redacted hmac-sha256:{digest}]"
            assert {**was, "text": ""} == {**now, "text": ""}


def test_what_was_taken_out_is_counted_and_stated(packs):
    record = json.loads((packs["public"] / "data/redactions.json").read_bytes())
    generated = ITEMS * SAMPLES * (len(SUBJECTS) + 1)  # The base is asked twice.
    scored = ITEMS * len(SUBJECTS)
    assert sum(entry["texts"] for entry in record["evidence"]) == generated + scored
    said = statement_of(packs["public"], "pack.dsse.json")["predicate"]["redaction"]
    assert said == {
        "algorithm": "hmac-sha256",
        "files": 2,
        "key": open_hash_key(packs["hash_key"], str).id,
        "texts": generated + scored,
    }
    assert statement_of(packs["restricted"], "pack.dsse.json")["predicate"]["redaction"] is None


def test_the_key_is_in_no_file_of_the_pack(packs):
    text = packs["hash_key"].read_text().strip()
    for name, data in everything_in(packs["public"]):
        for form in (text.encode(), text.upper().encode(), bytes.fromhex(text)):
            assert form not in data, name


def _with_text(table):
    responses = table["responses"].to_pylist()
    responses[0] = json.dumps([{"kind": "generation", "text": "left in"}])
    position = table.column_names.index("responses")
    return table.set_column(position, table.schema.field(position), pa.array(responses))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with_text, "holds generated text, and this is a public pack"),
        (lambda table: table.replace_schema_metadata({"n": "left in"}), "holds notes in its metadata"),
        (lambda table: table.append_column("prompt", [["left in"] * len(table)]), "of which it is not known"),
    ],
    ids=["text", "notes", "column"],
)
def test_a_public_pack_that_still_holds_text_does_not_verify(
    run, tmp_path, signing, monkeypatch, change, reason
):
    """Whoever redacts badly, or by other means, is told; so is the reader."""
    from fmaudit.pack import public_files

    def careless(source, name, levels, key):
        table = pq.read_table(pa.BufferReader(redacted_part(source, name, levels, key).data))
        sink = io.BytesIO()
        pq.write_table(change(table), sink)
        return RedactedPart(sink.getvalue(), 0)

    monkeypatch.setattr(public_files, "redacted_part", careless)
    with pytest.raises(ExecutionError, match=f"{reason}.*nothing was packed"):
        build_pack(run, tmp_path / "pack", PackOptions(), str)
    monkeypatch.setattr("fmaudit.pack.build._check", lambda *arguments: None)
    build_pack(run, tmp_path / "pack", PackOptions(key=signing["ed25519"]), str)
    faults = verify_pack(tmp_path / "pack").faults
    assert faults
    assert all(reason in fault.text and fault.file.startswith("data/evidence/") for fault in faults)


def test_a_key_that_is_there_is_used_again(run, tmp_path):
    notices = []
    for name in ("first", "again"):
        made = build_pack(run, tmp_path / name, PackOptions(hash_key=tmp_path / "key"), notices.append)
        assert made.hash_key == tmp_path / "key"
    assert [notice for notice in notices if "keep it, and never publish it" in notice] == [
        "the key of the keyed hashes is in key: keep it, and never publish it"
    ]
    beside = build_pack(run, tmp_path / "other", PackOptions(), str)
    assert beside.hash_key == tmp_path / "other.hash-key"
