from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from fmaudit.errors import DataError, UsageError
from fmaudit.imports import ImportOptions, import_logs
from fmaudit.imports.logs import Columns
from fmaudit.imports.reading import model_name, plain, slug

HOSTILE = "<script>alert(1)</script>\x1b[31m\"'`\u202e\x00../../up\ud800![x](javascript:alert(1))"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", r"line 2 is not JSON \(column 2"),
        (b"[1]", "line 2 is not a JSON object"),
        (b'{"a": "\xff"}', "line 2 is not UTF-8"),
        (b"[" * 100_000, "line 2 is nested too deeply"),
        (b'{"doc_id": ' + b"9" * 5000 + b"}", "line 2 is nested too deeply or holds a number without end"),
        (b'{"question": 1}', "line 2 has no doc_id and doc"),
        (b'{"doc_id": [1], "doc": {}}', "line 2: doc_id is no number"),
    ],
)
def test_a_broken_line_is_named(kit, write_log, tmp_path, line, message):
    path = write_log("one", [kit.sample(0, {"acc": 1.0})], None)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(DataError, match=message) as caught:
        import_logs(path, {}, tmp_path / "run")
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_sizes_are_limited(kit, write_log, tmp_path, monkeypatch):
    path = write_log("one", [kit.sample(i, {"acc": 1.0}) for i in range(3)], None)
    for name, limit, message in (
        ("MAX_RECORD", 100, "longer than 100 bytes"),
        ("MAX_ROWS", 2, "more than 2 lines"),
        ("MAX_FILE", 50, "larger than 50 bytes"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"fmaudit.imports.reading.{name}", limit)
            with pytest.raises(DataError, match=message):
                import_logs(path, {}, tmp_path / "run")


def test_a_folder_a_missing_file_and_another_name(kit, write_log, tmp_path):
    with pytest.raises(UsageError, match="no log absent"):
        import_logs(tmp_path / "absent", {}, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no known log"):
        import_logs(tmp_path / "empty", {}, tmp_path / "run")
    path = write_log("one", [kit.sample(0, {"acc": 1.0})], None)
    renamed = path.rename(path.with_name("mine.jsonl"))
    with pytest.raises(DataError, match="its task is unknown"):
        import_logs(renamed, {}, tmp_path / "run")


def test_hostile_text_stays_text_and_inside_the_run(kit, tmp_path):
    samples = []
    for i in range(40):
        entry = kit.scored(i, "C" if i % 2 else "I", output={"completion": HOSTILE})
        entry["id"] = f"{HOSTILE}{i}"
        entry["metadata"] = {"subject": HOSTILE if i % 2 else "plain"}
        entry["scores"] = {HOSTILE: entry["scores"]["match"]}
        samples.append(entry)
    log = kit.inspect_log(samples, None, task=HOSTILE, model=HOSTILE)
    log["eval"]["dataset"]["sample_ids"] = []
    path = tmp_path / "in" / "log.json"
    path.parent.mkdir()
    path.write_text(json.dumps(log))
    outside = set(tmp_path.rglob("*"))
    options = ImportOptions(columns=Columns((), ("subject",)))
    run = import_logs(path, {}, tmp_path / "run", options=options)
    assert set(tmp_path.rglob("*")) - outside - set(run.path.rglob("*")) == {run.path}
    page = (run.path / "report" / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in (run.path / "report" / "report.md").read_text("utf-8")
    (part,) = run.path.glob("evidence/base/*/part-00000.parquet")
    table = pq.read_table(part)
    assert table.num_rows == 40
    assert json.loads(table["responses"][0].as_py())[0]["text"].startswith("<script>")


@pytest.mark.parametrize(
    "metric", ["seed", "outcome", "acc.valid", "severity", "item_id", "x" * 5000, "a/b c"]
)
def test_metric_names_never_take_a_column(kit, write_log, tmp_path, metric):
    rows = [kit.sample(i, {metric: float(i % 2), "acc": 1.0}) for i in range(40)]
    own = {f"{metric},none": 0.5, "acc,none": 1.0}
    run = import_logs(write_log("one", rows, kit.results("toy", own, 40)), {}, tmp_path / "run")
    assert {e.value for e in run.audit.estimates} == {0.5, 1.0}
    assert all(" " not in m.id and m.id.count("/") == 1 and len(m.id) < 200 for m in run.audit.metrics)


def test_names_never_collide_and_hide_folders():
    assert slug("a/b") != slug("a-b") != slug("a b")
    assert slug("mmlu_pro-5") == "mmlu_pro-5"
    assert "/" not in slug("../../etc/passwd")
    assert slug("") != slug("..")
    assert model_name("/home/somebody/models/mine/") == "mine"
    assert model_name("org/model") == "org/model"
    assert model_name(r"C:\models\mine") == "mine"
    assert model_name(7) == ""


def test_plain_data_can_always_be_made_canonical():
    from fmaudit.canonical import canonical_bytes

    deep: dict = {}
    for _ in range(50):
        deep = {"a": deep}
    wild = {
        "i": 10**400,
        "f": float("inf"),
        "s": "\ud800" * 3,
        "l": [deep] * 3,
        "o": "<f at 0x7f00>",
        3: None,
    }
    assert canonical_bytes(plain(wild)) == canonical_bytes(plain(dict(wild)))
    assert plain("<f at 0x7f00>") == plain("<f at 0x8fff>")
    assert plain("x" * 1000) != plain("x" * 999 + "y")
