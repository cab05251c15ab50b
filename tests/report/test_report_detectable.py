from __future__ import annotations

from fmaudit.report.detectable import detectable_rows
from fmaudit.report.index import AuditIndex
from fmaudit.report.verdict_words import headline


def rows_of(audit):
    index = AuditIndex(audit)
    return index, detectable_rows(index)


def test_every_headline_change_has_a_row(family_audit):
    index, rows = rows_of(family_audit)
    wanted = [c for c in family_audit.comparisons if c.step == "from_base" and headline(index, c)]
    assert sorted(row.at for row in rows) == sorted(index.place(c) for c in wanted)
    assert wanted


def test_the_reading_holds_the_smallest_change_against_the_margin(family_audit):
    index = AuditIndex(family_audit)
    first = next(c for c in family_audit.comparisons if c.step == "from_base" and headline(index, c))
    margins = first.margins.model_copy(update={"delta": 0.05})
    place = family_audit.comparisons.index(first)
    readings = []
    for mde in (0.02, 0.09, None):
        found = list(family_audit.comparisons)
        found[place] = first.model_copy(update={"margins": margins, "mde": mde, "reason": "too few"})
        audit = family_audit.model_copy(update={"comparisons": found})
        row = next(row for row in rows_of(audit)[1] if row.at == f"/comparisons/{place}")
        readings.append((row.smallest, row.reading))
    assert readings[0][1].startswith("a change as large")
    assert readings[1][1].startswith("coarser than the margin")
    assert readings[2] == ("not computed", "too few")
