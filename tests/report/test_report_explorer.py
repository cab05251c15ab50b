"""The rows of a run packed for a browser: nothing lost, nothing spoken, bounded."""

from __future__ import annotations

import base64
import gzip
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row
from fmaudit.probe import Binary, Item, Observation, Real
from fmaudit.report.columns import run_rows
from fmaudit.report.examples import evidence_samples
from fmaudit.report.explorer import EncodedRows, explorer_view, pack, quantised, sampled, unpack
from fmaudit.report.explorer_rows import LEAST, MAX_PAYLOAD, encoded_rows
from fmaudit.requests import Generation, Generations
from tests.evidence.run_states import run_state
from tests.report.large_run import KEY, write_large_run
from tests.report.report_audits import AuditFactory

ITEMS = 300
SECRET = "never in the payload"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    return RunDirectory(write_large_run(tmp_path_factory.mktemp("rows"), ITEMS))


@pytest.fixture(scope="module")
def audit():
    return AuditFactory({"base": "one", "adapted-1": "two"}).build()


def column(body: bytes, at: int, kind: str, n: int) -> np.ndarray:
    return np.frombuffer(body, dtype=kind, count=n, offset=at)


def severities(side, body, n) -> list[float | None]:
    mantissa, exponent = (column(body, side[name], "<i2", n) for name in ("mantissa", "exponent"))
    return [
        None if whole == np.iinfo(np.int16).min else float(f"{whole}e{power}")
        for whole, power in zip(mantissa.tolist(), exponent.tolist(), strict=True)
    ]


def test_every_row_comes_back(run, audit):
    packed = encoded_rows(run_rows(run), audit)
    assert (packed.held, packed.total, packed.gaps) == (2 * ITEMS, 2 * ITEMS, ())
    header, body = unpack(packed.payload)
    (found,) = header["measurements"]
    for side, subject in zip(found["sides"], ("base", "adapted-1"), strict=True):
        parts = sorted(run.evidence(subject, KEY).glob("*.parquet"))
        rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
        assert [row["item_id"] for row in rows] == found["ids"]
        hits, valid = (column(body, side[name], "u1", ITEMS).tolist() for name in ("hits", "valid"))
        outcomes = [hit if ok else None for hit, ok in zip(hits, valid, strict=True)]
        assert outcomes == [row["outcome"] for row in rows]
        reasons = [header["reasons"][code] for code in column(body, side["reason"], "<u2", ITEMS).tolist()]
        assert reasons == [row["outcome.reason"] for row in rows]
        for shown, row in zip(severities(side, body, ITEMS), rows, strict=True):
            assert shown == (None if row["severity"] is None else float(f"{row['severity']:.3e}"))
        for entry in found["slices"]:
            codes = column(body, entry["codes"], "<u2", ITEMS).tolist()
            assert [entry["levels"][code] for code in codes] == [
                dict(row["slices"])[entry["name"]] for row in rows
            ]


def test_the_same_rows_give_the_same_text(run, audit):
    first, second = (encoded_rows(run_rows(run), audit) for _ in range(2))
    assert first == second
    assert base64.b64decode(first.payload)[4:8] == b"\0\0\0\0"


def test_severities_keep_four_digits_over_the_whole_range():
    values = np.array([0.0, -0.0, 1.0, -9999.6, 0.99996, 1e-300, 5e-324, -1.7e308, 123456.0, np.nan, np.inf])
    mantissa, exponent = quantised(values)
    for value, whole, power in zip(values, mantissa.tolist(), exponent.tolist(), strict=True):
        if not np.isfinite(value):
            assert whole == np.iinfo(np.int16).min
        else:
            assert abs(whole) < 10_000
            assert float(f"{whole}e{power}") == pytest.approx(float(f"{value:.3e}"), rel=1e-12, abs=0)


def _sampled_run(folder) -> RunDirectory:
    """Three samples an item, some without a value; a text in every response."""
    run = RunDirectory(folder)
    measures = (Binary("outcome"), Real("severity", unit="share"))
    answers = {
        "base": [(0, 0, 0), (1, 1, 1), (None, None, None)],
        "adapted-1": [(1, 1, 1), (1, 0, None), (0, 0, 0)],
    }
    for subject, items in answers.items():
        rows = [
            _row(place, sample, outcome)
            for place, outcomes in enumerate(items)
            for sample, outcome in enumerate(outcomes)
        ]
        run.write_block(subject, "third.party@own", 0, rows, measures)
    records = [
        {"subject": subject, "key": "third.party@own", "probe": "third.party", "version": 1, "variant": ""}
        | {"state": "measured", "dataset": {"id": "own", "n_asked": 3}}
        for subject in answers
    ]
    run.write_state(run_state(records))
    return run


def _row(place: int, sample: int, outcome: int | None) -> Row:
    names = ("outcome", "severity")
    values = {} if outcome is None else dict(zip(names, (outcome, outcome / 2 + sample / 8), strict=True))
    invalid = dict.fromkeys(names, f"refused {sample}") if outcome is None else {}
    response = encode_responses([Generations((Generation(SECRET, 3, "eos", 0.1),) * 3)], sample)
    return Row(Item(f"item-{place}", {}), place, 0, 0, Observation(values, invalid, sample), response)


def test_samples_of_an_item_are_counted_without_the_probe_and_without_its_texts(tmp_path, audit):
    packed = encoded_rows(run_rows(_sampled_run(tmp_path)), audit)
    assert (packed.held, packed.total) == (18, 18)
    data = gzip.decompress(base64.b64decode(packed.payload))
    assert SECRET.encode() not in data
    header, body = unpack(packed.payload)
    (found,) = header["measurements"]
    base, adapted = found["sides"]
    assert [column(body, base[name], "u1", 3).tolist() for name in ("asked", "valid", "hits")] == [
        [3, 3, 3],
        [3, 3, 0],
        [0, 3, 0],
    ]
    assert column(body, adapted["valid"], "u1", 3).tolist() == [3, 2, 3]
    assert severities(adapted, body, 3) == [0.625, 0.3125, 0.125]
    assert header["reasons"][column(body, base["reason"], "<u2", 3)[2]] == "refused 0"
    assert header["reasons"][column(body, adapted["reason"], "<u2", 3)[1]] == "refused 2"


def test_beyond_the_limit_a_seeded_sample_of_every_kind_stays_and_is_said(run, audit):
    whole = encoded_rows(run_rows(run), audit)
    limit = len(whole.payload) * 2 // 3
    packed = encoded_rows(run_rows(run), audit, limit)
    assert len(packed.payload) <= limit
    assert packed == encoded_rows(run_rows(run), audit, limit)
    assert packed.held < packed.total == whole.total
    said = explorer_view([packed])
    assert said is not None
    assert f"{packed.held:,} of {packed.total:,} rows: a sample" in said.scope
    assert "holds all 600 rows" in explorer_view([whole]).scope


def test_the_sample_keeps_rare_changes(tmp_path, audit):
    run = RunDirectory(write_large_run(tmp_path, 2000))
    rows = run_rows(run)
    found = _columns(rows, audit)
    kept = found.take(sampled(found, 0, 0.1, LEAST, 3))
    base, adapted = kept.sides
    known = (base.valid > 0) & (adapted.valid > 0)
    gone, new = known & (base.hits > adapted.hits), known & (base.hits < adapted.hits)
    assert gone.sum() >= LEAST
    assert new.sum() >= LEAST
    assert (~known).sum() == 40
    assert len(kept.ids) < 600


def _columns(rows, audit):
    from fmaudit.report import explorer_rows

    sides = [
        explorer_rows._side(rows, subject, KEY, place) for place, subject in enumerate(("base", "adapted-1"))
    ]
    return explorer_rows._measurement(rows.records, KEY, sides, {"": 0})


def test_missing_rows_are_a_named_gap(tmp_path, audit):
    run = RunDirectory(write_large_run(tmp_path, 64))
    next(run.evidence("adapted-1", KEY).glob("*.parquet")).unlink()
    packed = encoded_rows(run_rows(run), audit)
    assert packed.held == packed.total == 64
    assert packed.gaps
    assert f"adapted-1/{KEY}" in packed.gaps[0]


def test_a_long_or_hidden_name_is_cut_and_spelled_out(audit):
    text = pack((), [], ["x" * 10_000_000, "a\u202eb\x00"])
    header, _ = unpack(text)
    assert [len(reason) for reason in header["reasons"]] == [201, 12]
    assert header["reasons"][1] == "a\\u202eb\\x00"


def test_a_report_gets_the_rows_with_its_samples(run, audit):
    assert not [found for found in evidence_samples(run) if isinstance(found, EncodedRows)]
    (run.path / "audit.json").write_bytes(audit.to_bytes())
    assert len([found for found in evidence_samples(run) if isinstance(found, EncodedRows)]) == 1
    (run.path / "audit.json").unlink()


@pytest.mark.slow
def test_a_hundred_thousand_rows_fit_and_are_quick(tmp_path, audit):
    run = RunDirectory(write_large_run(tmp_path, 50_000))
    (run.path / "audit.json").write_bytes(audit.to_bytes())
    begun = time.process_time()
    packed = next(found for found in evidence_samples(run) if isinstance(found, EncodedRows))
    assert time.process_time() - begun < 10
    assert packed.held == packed.total == 100_000
    assert len(packed.payload) < 1_000_000 < MAX_PAYLOAD
