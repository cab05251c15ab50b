"""What the page says of itself: digests, places, rows that are left out, figures without an interval."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from fmaudit.canonical import digest_bytes
from fmaudit.evidence.directory import RunDirectory
from fmaudit.report.charts import _fitted, forest_figures
from fmaudit.report.columns import run_rows
from fmaudit.report.evidence import EvidenceSample, evidence_views
from fmaudit.report.examples import _ranked, evidence_samples
from fmaudit.report.explorer import EncodedRows, explorer_view
from fmaudit.report.figures import forest_panels
from fmaudit.report.html import render_html
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.report.numbers import NO_VARIATION, SHARE, number_view, quantity_text
from fmaudit.report.slopes import slopes
from fmaudit.report.view import report_view
from fmaudit.report.write import write_report
from fmaudit.schema import Numbers, Quantity, read_audit
from tests.report.large_run import write_large_run
from tests.report.page_parser import Page


def test_the_digest_is_that_of_the_bytes_on_disk(family_audit, tmp_path):
    path = tmp_path / "audit.json"
    path.write_bytes(family_audit.to_bytes())
    write_report(tmp_path)
    page = Page((tmp_path / "report/report.html").read_text(encoding="utf-8")).text
    assert digest_bytes(path.read_bytes()) in page
    assert "upgraded on reading" not in page
    # The same audit in other bytes, as an earlier release wrote it: a reader can check what is on disk.
    path.write_text(json.dumps(json.loads(family_audit.to_bytes()), indent=1), encoding="utf-8")
    assert read_audit(tmp_path) == family_audit
    first = [file.read_bytes() for file in write_report(tmp_path)]
    for text in (data.decode() for data in first):
        assert digest_bytes(path.read_bytes()) in text
        assert digest_bytes(family_audit.to_bytes()) in text
        assert "upgraded on reading" in text
    assert [file.read_bytes() for file in write_report(tmp_path)] == first


def test_places_of_calibrations_resolve(family_audit):
    places = re.findall(r'data-at="(/calibrations/\d+)"', render_html(family_audit))
    assert set(places) == {f"/calibrations/{n}" for n in range(len(family_audit.calibrations))}
    assert len(places) > len(family_audit.calibrations[0].doses)


def test_sources_are_named_and_what_is_not_given_is_said(rich_audit):
    view = report_view(rich_audit)
    assert view.unsigned == "No date and no signature are given in audit.json."
    assert any(name.startswith("data set ") and "sha256:" in text for name, text in view.sources)
    dated = rich_audit.model_copy(update={"context": {"date": "a day"}})
    assert report_view(dated).unsigned == "No signature is given in audit.json."
    assert view.unsigned in Page(render_html(rich_audit)).text


def test_an_interval_without_width_is_no_certainty():
    drawn = {"method": "cluster jackknife error, t interval; exact sign flips by cluster"}
    whole = {"method": "exact count of all items"}
    for given, shown in ((drawn, ""), (whole, "12.0 to 12.0")):
        numbers = Numbers(state="measured", value=0.12, lower=0.12, upper=0.12, n=40, coverage=1.0, **given)
        view = number_view(numbers, SHARE, partial=False)
        assert view.plain_interval == shown
        assert (view.interval == NO_VARIATION) == (not shown)
        text = quantity_text(Quantity(value=0.12, lower=0.12, upper=0.12, **given), SHARE)
        assert (NO_VARIATION in text) == (not shown)


def test_a_calibration_says_from_how_few_seeds_and_what_fewer_items_mean(make_family):
    made = make_family()
    own = made.data["calibrations"][0]
    power = {"value": 0.99, "lower": 0.61, "upper": 1.0, "method": "Clopper-Pearson"}
    own["power_items"][3] = power
    own["n"] = 1_000_000
    smaller = {"n": 10, "power_items": [power], "smallest_dose_found": 0.8, "false_alarms": power}
    own["sizes"] = [smaller]
    sections = report_view(made.build()).sections
    (found,) = next(section.calibrations for section in sections if section.calibrations)
    assert "estimated from 5 training seeds" in found.summary
    assert "lower limit of the power 61" in found.summary
    assert re.search(
        r"This run counts only [\d,]+ items; at n 10 the smallest dose found is 0.8", found.summary
    )
    assert "n 1,000,000" in found.false_alarms


def test_examples_are_the_worst_of_all_subjects(tmp_path):
    run = RunDirectory(write_large_run(tmp_path, 200, 3))
    (sample,) = (found for found in evidence_samples(run) if isinstance(found, EvidenceSample))
    rows = run_rows(run)
    worst = sorted(
        (
            row["severity"]
            for key in rows.records
            for row in rows.table(*key).to_pylist()
            if row["outcome"] == 1
        ),
        reverse=True,
    )
    assert [row["severity"] for row in sample.rows] == worst[: len(sample.rows)]
    assert {row["outcome"] for row in sample.rows} == {1}
    assert sample.total == 600
    (view,) = evidence_views([sample], reveal=False)
    assert view.chosen == "defects first, the most severe first"


def test_a_defect_comes_before_a_severer_answer_that_is_none():
    import pyarrow as pa

    table = pa.table({"outcome": [0, 1, None, 1], "severity": [0.9, 0.1, 5.0, None]})
    assert [row for *_, row in _ranked(table, binary=True)] == [1, 3, 0]
    assert [row for *_, row in _ranked(table.drop_columns(["outcome"]), binary=False)] == [2, 0, 1, 3]
    row = {"subject": "b", "item_id": "i", "severity": 0.5}
    (view,) = evidence_views([EvidenceSample("p", [row], 1, binary=False)], reveal=False)
    assert (view.examples[0].outcome, view.chosen) == ("not applicable", "the most severe")


def test_rows_that_are_no_items_are_counted_and_said():
    found = EncodedRows("", 4376, 4376, (), (), (), unlisted=(("memorization.exposure", 1000),))
    scope = explorer_view([found]).scope
    assert scope.startswith(
        "This page holds all 4,376 rows that are items. Of the 5,376 rows of the evidence"
    )
    assert "1,000 of memorization.exposure" in scope
    part = EncodedRows("", 10, 4376, (), (), (), unlisted=(("memorization.exposure", 1000),))
    assert "10 of 4,376 rows: a sample" in explorer_view([part]).scope


def test_shares_of_failing_together_say_of_how_many(family_audit):
    for found, record in zip(
        report_view(family_audit).homogenization, family_audit.homogenization, strict=True
    ):
        if record.observed is not None:
            assert found.observed.endswith(f"of {record.n:,} items")
        assert all(text != "—" for _, text in found.group_forms)


def test_slopes_have_their_table(family_audit):
    found = slopes(AuditIndex(without_paths(family_audit)))
    assert all(slope.start and slope.start.at for slope in found)
    assert all(end.level.at and end.difference.at for slope in found for end in slope.ends)
    html = render_html(family_audit)
    table = html[html.index("<caption>From base to adapted") :]
    assert found[0].ends[-1].difference.value in table[: table.index("</table>")]


def test_forests_use_the_title_of_the_contrast_and_keep_models_apart(rich_audit):
    index = AuditIndex(without_paths(rich_audit))
    panels = [panel for panel in forest_panels(index) if panel.kind == "contrast"]
    groups = [group for panel in panels for group in panel.groups]
    given = {found.title for found in rich_audit.contrasts if found.headline}
    assert groups
    assert {group.title for group in groups} <= given
    for group in groups:
        labels = [row.label for row in group.rows]
        assert len(labels) == len(set(labels))
    assert forest_figures(tuple(panels))
    assert _fitted("a very long name of a model, change", 15) == "a ve…el, change"


@pytest.mark.parametrize("left", [0, 3])
def test_rows_used_up_by_finishing_are_counted(tmp_path, make_audit, monkeypatch, left):
    from fmaudit.report import explorer_rows

    run = RunDirectory(write_large_run(tmp_path, 64))
    audit = make_audit({"base": "one", "adapted-1": "two"}).build()
    whole = explorer_rows._side

    def part(rows, subject, key, place):
        side = whole(rows, subject, key, place)
        side.columns.asked[:left] = np.zeros(left, dtype=int)
        return side

    monkeypatch.setattr(explorer_rows, "_side", part)
    packed = explorer_rows.encoded_rows(run_rows(run), audit)
    assert packed.unlisted == ((("bias.crows_pairs", 2 * left),) if left else ())
    assert packed.total + sum(count for _, count in packed.unlisted) == 128
