"""Flipped items read from rows of evidence."""

from __future__ import annotations

import numpy as np

from fmaudit.analysis import measured
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.pairs import Pair, compare
from fmaudit.analysis.tables import Answers
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row
from fmaudit.probe import Binary, Item, Observation, Probe, Rate, Real, probe
from fmaudit.report.examples import evidence_samples
from fmaudit.report.flip_rows import flip_samples
from fmaudit.report.flips import MAX_FLIPS, FlipSample
from fmaudit.requests import Generation, Generations
from tests.evidence.run_states import run_state
from tests.report.report_audits import AuditFactory

N = 40


class _Fails(Probe):
    """One answer an item."""

    title = "Toy"
    needs = ("generate",)
    measures = (Binary("outcome"), Real("severity", unit="nats"))
    metrics = (Rate("fails", headline=True), Rate("right", headline=True, direction="higher_is_better"))

    def items(self, data):
        return iter(())

    def requests(self, item):
        return ()

    def observe(self, item, responses):
        return Observation({})


Toy = probe("toy.fails", version=1, dataset=("toy",))(_Fails)
# Item 0 repaired, items 1 to 9 persist, 10 to 29 introduced, the rest clean; the last one has no answer.
BASE = [int(place < 10) for place in range(N)]
ADAPTED = [int(1 <= place < 30) for place in range(N)]


def run_directory(folder) -> RunDirectory:
    run = RunDirectory(folder)
    records = []
    for subject, outcomes in (("base", BASE), ("adapted", ADAPTED)):
        rows = [_row(place, outcome, subject) for place, outcome in enumerate(outcomes)]
        run.write_block(subject, "toy.fails@toy", 0, rows, Toy.measures)
        records.append(
            {
                "subject": subject,
                "key": "toy.fails@toy",
                "probe": "toy.fails",
                "version": 1,
                "variant": "",
                "state": "measured",
                "partial": False,
                "protocol": {},
                "dataset": {"n_asked": N},
            }
        )
    run.write_state(run_state(records, plan={"seed": 5}))
    return run


def _row(place: int, outcome: int, subject: str) -> Row:
    text = Generations((Generation(f"{subject} wrote {place}", 3, "eos", 0.1),))
    valid = place < N - 1
    values = {"outcome": outcome, "severity": outcome - 0.25} if valid else {}
    invalid = {} if valid else {"outcome": "empty", "severity": "empty"}
    item = Item(f"item-{place:02d}", {})
    return Row(item, place, 0, 0, Observation(values, invalid), encode_responses([text], 0))


def answers(outcomes) -> Answers:
    ids = np.array([f"item-{place:02d}" for place in range(N)])
    values = np.array(outcomes, dtype=float)[:, None]
    values[-1] = np.nan
    return Answers(ids, np.ones(N), {"item": ids}, {}, {"outcome": values}, {}, {})


def audit_of():
    made = AuditFactory(n=N)
    measurement = made.measure("toy.fails", "toy", "adapted")
    for metric in Toy.metrics:
        made.metric(f"toy.fails/{metric.id}", metric.id, headline=True, direction=metric.direction)
        counts = compare(metric, Pair(answers(BASE), answers(ADAPTED)), Toy.measures, Settings())["table"]
        made.compare(measurement, f"toy.fails/{metric.id}", 0.25, 0.74, 0.1, table=counts)
    return made.build()


def test_flipped_items_come_from_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "load_probe", lambda _: Toy)
    run, audit = run_directory(tmp_path), audit_of()
    fails, right = flip_samples(run, audit)
    for sample, comparison in zip((fails, right), audit.comparisons, strict=True):
        table = comparison.table
        assert sample.totals == {"introduced": table.n01, "repaired": table.n10, "persisted": table.n11}
    assert fails.totals == {"introduced": 20, "repaired": 1, "persisted": 9}
    (gone,) = fails.items["repaired"]
    assert (gone.item_id, gone.base_severity, gone.adapted_severity) == ("item-00", 0.75, -0.25)
    assert (gone.base_text, gone.adapted_text) == ("base wrote 0", "adapted wrote 0")
    names = [item.item_id for item in fails.items["introduced"]]
    assert len(names) == MAX_FLIPS
    assert names == sorted(names)
    assert set(names) <= {f"item-{place:02d}" for place in range(10, 30)}
    # Where 1 is the wanted answer, the defect is its absence.
    assert right.totals == {"introduced": 1, "repaired": 20, "persisted": 9}


def test_the_draw_is_seeded(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "load_probe", lambda _: Toy)
    run, audit = run_directory(tmp_path), audit_of()
    assert flip_samples(run, audit) == flip_samples(run, audit)
    state = run.read_state()
    run.write_state({**state, "plan": {"seed": 6}})
    again = flip_samples(run, audit)[0]
    run.write_state({**state, "plan": {"seed": 5}})
    assert again.items["introduced"] != flip_samples(run, audit)[0].items["introduced"]


def test_rows_that_cannot_be_read_say_why(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "load_probe", lambda _: Toy)
    run, audit = run_directory(tmp_path), audit_of()
    next((tmp_path / "evidence" / "base").rglob("*.parquet")).unlink()
    assert all("cannot be listed: no evidence" in sample.reason for sample in flip_samples(run, audit))


def test_the_samples_of_a_report_hold_flips_once_there_is_an_audit(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "load_probe", lambda _: Toy)
    run = run_directory(tmp_path)
    assert not [sample for sample in evidence_samples(run) if isinstance(sample, FlipSample)]
    (tmp_path / "audit.json").write_bytes(audit_of().to_bytes())
    assert len([sample for sample in evidence_samples(run) if isinstance(sample, FlipSample)]) == 2
