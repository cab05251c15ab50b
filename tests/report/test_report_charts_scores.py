"""Distributions of scores: read from rows column by column, binned on common axes, drawn and tabled."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import read_parts
from fmaudit.report import html as pages
from fmaudit.report.distribution import (
    BINS,
    ScoreSample,
    SubjectScores,
    bin_edges,
    distribution_views,
)
from fmaudit.report.distribution_charts import distribution_charts
from fmaudit.report.distribution_rows import score_samples
from fmaudit.report.index import AuditIndex
from tests.evidence.run_states import run_state
from tests.report.large_run import DATASET, KEY, PROBE, VARIANT, write_large_run
from tests.report.page_parser import Page

PAGE = '{% import "charts.html.j2" as c with context %}{{ c.distributions(views, drawings) }}'
RATE = f"{PROBE}/pct_stereotype"


def audit_of(make_audit, names):
    made = make_audit(names=names)
    made.metric(RATE, "Share preferred", headline=True, direction="target", ideal=0.5)
    for subject in names:
        measurement = made.measure(PROBE, DATASET, subject, id=f"{subject}/{KEY}", variant=VARIANT)
        made.estimate(f"{subject}/{KEY}", RATE, 0.6, 0.05)
        assert measurement
    return made.build()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    return write_large_run(tmp_path_factory.mktemp("scores") / "run", items=300, subjects=3)


@pytest.fixture
def small_audit(make_audit):
    return audit_of(make_audit, {"base": "b", "adapted-1": "one", "adapted-2": "two"})


def shown(audit, samples) -> str:
    views = distribution_views(AuditIndex(audit), samples)
    drawings = [distribution_charts(view) for view in views]
    return (
        pages._environment()
        .from_string(PAGE)
        .render(views=views, drawings=drawings, region=pages.RegionLabels())
    )


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-0.5, 0.5), (-13.2, 17.9), (0, 1e-6), (3, 3), (-1, 0), (1e6, 1e6 + 3), (0.3, 700)],
)
def test_bins_are_round_cover_the_scores_and_have_an_edge_at_zero(low, high):
    edges = bin_edges(low, high)
    assert 1 <= len(edges) - 1 <= BINS
    assert edges[0] <= low
    assert edges[-1] >= high
    widths = np.diff(edges)
    assert widths == pytest.approx(np.full(len(widths), widths[0]), rel=1e-6)
    assert not edges[0] < 0 < edges[-1] or 0.0 in edges
    if high > low:
        assert len(edges) - 1 >= BINS / 2.6


def test_a_share_has_twenty_bins():
    assert bin_edges(0.0, 1.0) == tuple(round(place / 20, 2) for place in range(21))


def test_histograms_equal_those_of_the_rows(small_run, small_audit):
    samples = score_samples(RunDirectory(small_run), small_audit)
    sample = next(found for found in samples if found.measure == "severity")
    assert sample.threshold == 0
    for found in sample.subjects:
        rows = read_parts(small_run / "evidence" / found.subject / KEY).to_pylist()
        scores = [row["severity"] for row in rows if row["severity.valid"]]
        assert (found.asked, found.valid) == (300, len(scores))
        assert 0 < found.asked - found.valid < 10
        assert found.defects == sum(row["outcome"] or 0 for row in rows)
        inside = [min(max(score, sample.edges[0]), sample.edges[-1]) for score in scores]
        low_high = list(zip(sample.edges, sample.edges[1:], strict=False))
        counted = [sum(low <= score < high for score in inside) for low, high in low_high]
        counted[-1] += sum(score == sample.edges[-1] for score in inside)
        assert list(found.counts) == counted
        above = sum(n for n, low in zip(found.counts, sample.edges, strict=False) if low >= 0)
        assert above == found.defects


def test_a_shifted_severity_is_shown_once_in_the_units_of_its_score(tmp_path, make_audit):
    run, audit = _toxic_run(tmp_path, make_audit)
    samples = score_samples(run, audit)
    assert [(sample.measure, sample.threshold) for sample in samples] == [("toxicity", 0.5)]
    assert samples[0].edges == bin_edges(0.0, 1.0)
    assert samples[0].subjects[0].counts[2] == 1
    assert samples[0].subjects[0].counts[10] == 2
    view = distribution_views(AuditIndex(audit), samples)[0]
    assert view.rows[0].missing == "1"
    assert view.rows[0].beyond.startswith("2 of 3")


def _toxic_run(folder, make_audit):
    """Four answers of one model: one harmless, two harmful, one of them at the threshold, one empty."""
    from fmaudit.analysis.measured import probe_of
    from fmaudit.evidence.rows import Row
    from fmaudit.probe import Item, Observation

    probe = "toxicity.prompted"
    key = f"{probe}@mild_prompts"
    record = {"probe": probe, "variant": ""}
    measures = probe_of(record).measures
    rows = []
    for place, score in enumerate((0.1, 0.5, 0.52, None)):
        values = {"empty": score is None, "n_tokens": 3.0}
        invalid = {}
        if score is None:
            invalid = dict.fromkeys(("outcome", "severity", "toxicity"), "empty continuation")
        else:
            severity = score - 0.5 + (1e-9 if score == 0.5 else 0)
            values |= {"outcome": score >= 0.5, "severity": severity, "toxicity": score}
        rows.append(Row(Item(f"item-{place}", {}), place, 0, 0, Observation(values, invalid), "[]"))
    run = RunDirectory(folder)
    run.write_block("base", key, 0, rows, measures)
    entry = record | {"subject": "base", "key": key, "state": "measured", "version": 1, "partial": False}
    version = probe_of(record).version
    run.write_state(run_state([entry | {"version": version, "dataset": {"n_asked": 4}}]))
    made = make_audit(names={"base": "b"})
    made.metric(f"{probe}/toxic_fraction", "Toxic fraction", headline=True)
    made.measure(probe, "mild_prompts", "base")
    return run, made.build()


def test_rows_that_cannot_be_read_are_named_with_a_reason(tmp_path, make_audit):
    run = RunDirectory(write_large_run(tmp_path / "run", items=70, subjects=2))
    audit = audit_of(make_audit, {"base": "b", "adapted-1": "one"})
    for part in (tmp_path / "run" / "evidence" / "adapted-1" / KEY).glob("*"):
        part.write_bytes(b"no rows")
    sample = score_samples(run, audit)[0]
    assert [bool(found.reason) for found in sample.subjects] == [False, True]
    assert "not read" in Page(shown(audit, [sample])).text
    for part in (tmp_path / "run" / "evidence" / "base" / KEY).glob("*"):
        part.unlink()
    assert "cannot be read" in score_samples(run, audit)[0].reason
    state = run.read_state()
    for entry in state["measurements"]:
        entry["probe"] = "no.such_probe"
    run.write_state(state)
    nothing = score_samples(run, audit)
    assert "cannot be read" in nothing[0].reason
    assert "cannot be read" in Page(shown(audit, nothing)).text


def test_base_is_drawn_beside_every_adapted_model_with_a_table(small_run, small_audit):
    samples = score_samples(RunDirectory(small_run), small_audit)
    view = distribution_views(AuditIndex(small_audit), samples)[0]
    assert [[line.role for line in panel.lines] for panel in view.panels] == [["base", "adapted"]] * 2
    for panel in view.panels:
        for line in panel.lines:
            assert sum(line.shares) == pytest.approx(1)
    page = shown(small_audit, samples)
    assert page == shown(small_audit, score_samples(RunDirectory(small_run), small_audit))
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 2 * len(samples)
    for drawing in drawings:
        assert len(drawing) < 10_000
        assert "var(--base)" in drawing
        assert "var(--adapted)" in drawing
        assert not re.search(r"#[0-9a-fA-F]{6}\b", drawing)
    assert "60.0" in page
    assert "297 of 300" in page


def test_models_beyond_a_small_family_are_left_to_the_table_and_said(make_audit):
    names = {"base": "b", **{f"adapted-{n}": f"child {n}" for n in range(7)}, "reference": "other"}
    audit = audit_of(make_audit, names)
    own = tuple(SubjectScores(name, (1, 2), 4, 3, 3, 2, (0.1, 0.5, 0.9)) for name in names)
    sample = ScoreSample(f"base/{KEY}", "severity", "Score", "nats", (-1.0, 0.0, 1.0), 0, 0.0, "", own)
    view = distribution_views(AuditIndex(audit), [sample, "another sample"])[0]
    assert len(view.panels) == 7
    assert "1 models are left to the table." in view.notes
    assert len(view.rows) == 9


def test_hostile_measures_units_and_reasons_are_inert(hostile_strings, make_audit):
    text = "".join(part.replace("\ud800", "") for part in hostile_strings)
    audit = audit_of(make_audit, {"base": text, "adapted": text})
    own = (SubjectScores("base", (1, 2), 4, 3, 3, 2, (0.1, 0.5, 0.9)), SubjectScores(text, reason=text))
    sample = ScoreSample(text, text, text, text, (-1.0, 0.0, 1.0), 1, 0.0, text, own, (text,), text)
    page = shown(audit, [sample])
    parsed = Page(page)
    assert not {"script", "img", "a"} & {name for name, _ in parsed.elements}
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    assert "\x1b" not in page
    assert "\u202e" not in page


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_less_than_a_second(tmp_path, make_audit):
    run = RunDirectory(write_large_run(tmp_path / "run", items=50_000, subjects=2))
    audit = audit_of(make_audit, {"base": "b", "adapted-1": "one"})
    seconds = []
    for _ in range(4):
        start = time.process_time()
        samples = score_samples(run, audit)
        seconds.append(time.process_time() - start)
    # The least of them: a busy machine takes CPU time too.
    assert min(seconds) < 1
    assert sum(found.asked for found in samples[0].subjects) == 100_000
