from __future__ import annotations

import dataclasses
import re

from fmaudit.report.comparison_rows import slice_groups
from fmaudit.report.markdown import render_markdown
from fmaudit.report.markdown_folds import CELLS_WHOLE, CHANGES_PRINTED, fold_cells, fold_comparisons
from fmaudit.report.view import report_view


def grouped(make_audit, groups: int):
    made = make_audit()
    metric = "toxicity.prompted/toxic_fraction"
    made.metric(metric, "Toxic fraction")
    base, adapted = (made.measure("toxicity.prompted", "prompts", who) for who in ("base", "adapted"))
    for place in range(groups):
        level = {"topic": f"topic {place:03}"}
        made.estimate(base, metric, 0.1, 0.02, slice=level)
        made.estimate(adapted, metric, 0.1, 0.02, slice=level)
        change = 0.2 if place % 50 == 7 else 0.0
        made.compare(adapted, metric, 0.1, 0.1 + change, 0.05, slice=level)
    return made.build()


def test_few_groups_are_printed_whole(make_audit):
    text = render_markdown(grouped(make_audit, 10))
    assert all(f"topic 00{place}" in text for place in range(10))
    assert "all of them are in audit.json" not in text


def test_of_many_groups_those_with_a_change_are_printed_and_the_others_counted(make_audit):
    audit = grouped(make_audit, 200)
    text = render_markdown(audit)
    printed = set(re.findall(r"topic: (topic \d+)", text))
    assert printed == {"topic 007", "topic 057", "topic 107", "topic 157"}
    assert (
        "Of 200 changes by group 4 are shown; all of them are in audit.json and in the HTML report." in text
    )
    assert "4 of 200 groups, those in which a change is shown; all of them are in audit.json" in text


def test_the_length_does_not_grow_with_the_groups(make_audit):
    lengths = [len(render_markdown(grouped(make_audit, groups))) for groups in (1000, 2000)]
    assert lengths[1] < 1.2 * lengths[0]


def test_shown_changes_are_printed_as_far_as_there_is_room_defects_first(make_audit):
    view = report_view(grouped(make_audit, 60))
    rows = [row for group in view.sections[0].questions[0].slice_comparisons.groups for row, _ in group.rows]
    defect = next(row for row in rows if row.tone == "alert")
    others = [dataclasses.replace(defect, tone="calm", slice=str(place)) for place in range(CHANGES_PRINTED)]
    folded = fold_comparisons(slice_groups([*others, defect]))
    printed = [row for group in folded.groups for row, _ in group.rows]
    assert len(printed) == CHANGES_PRINTED
    assert printed[-1] is defect
    assert f"{CHANGES_PRINTED + 1} are shown, {CHANGES_PRINTED} of them printed here" in folded.note


def test_a_large_matrix_is_given_in_full_where_there_is_a_defect(family_audit):
    details = report_view(family_audit).matrix.details
    assert fold_cells(details[:CELLS_WHOLE]).note == ""
    many = list(details) * 4
    folded = fold_cells(many)
    assert 0 < len(folded.cells) <= CELLS_WHOLE
    assert {found.tone for found in folded.cells} == {"alert"}
    assert f"of {len(many)} cells are given in full here" in folded.note
