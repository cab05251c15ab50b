"""The verdict words: their marks, what they mean, and what a report may say of base and adapted model."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.report.index import AuditIndex
from fmaudit.report.tones import Tone
from fmaudit.schema import Comparison, Family, MetricInfo, Verdict

REVERSED = "reversed"
_NOT_LOWER = {"higher_is_better": "higher is better", "target": "closest to its target is best"}
GOOD_LINEAGES = 3
MARKS: dict[Verdict, tuple[str, Tone]] = {
    "introduced": ("✚", "alert"),
    "amplified": ("▲", "alert"),
    "inherited": ("■", "alert"),
    "coincident": ("◧", "open"),
    "association": ("◇", "open"),
    "changed, size unresolved": ("◐", "open"),
    "inconclusive": ("?", "open"),
    "mitigated": ("▼", "calm"),
    "repaired": ("✓", "calm"),
    "clean": ("○", "calm"),
    "unmeasured": ("✕", "open"),
}
# What a reader has to know first; the worst of several is the first of them here.
ORDER: tuple[Verdict, ...] = (
    "introduced",
    "amplified",
    "inherited",
    "changed, size unresolved",
    "association",
    "coincident",
    "inconclusive",
    "unmeasured",
    "mitigated",
    "repaired",
    "clean",
)
# The verdicts that say more than which way a number went.
DECIDED: frozenset[Verdict] = frozenset(
    ("introduced", "amplified", "inherited", "coincident", "mitigated", "repaired", "clean")
)
LEGEND: tuple[tuple[Verdict, str], ...] = (
    ("introduced", "the base is within the tolerated rate, the adapted model above it, and the rate rose"),
    ("amplified", "both are above the tolerated rate and the whole interval of change lies beyond +delta"),
    (
        "inherited",
        "both are above the tolerated rate, the change is shown to lie within plus or minus delta, and the "
        "adapted model fails on the base's own items more than good unrelated references do: the verdict "
        "interval of the copy fraction lies above 0",
    ),
    (
        "coincident",
        "as inherited, but it is not shown that the adapted model repeats more of the base's items than good "
        "references do; with few references that can be a lack of evidence",
    ),
    (
        "association",
        "as inherited, but without three good unrelated references (comparable, refuted as kin, and counted "
        "by lineage), so nothing shows where the defect comes from",
    ),
    ("mitigated", "both are above the tolerated rate and the whole interval of change lies beyond -delta"),
    ("repaired", "the base is above the tolerated rate, the adapted model within it"),
    ("clean", "both are within the tolerated rate: there is nothing to inherit"),
    (
        "changed, size unresolved",
        "the number moved, but how far is not resolved; or it moved to the other side, or is of a kind that "
        "has no verdict",
    ),
    ("inconclusive", "none of these is shown; where more items would settle it, the cell says how many"),
    ("unmeasured", "the models were not, or could not be, asked the same items"),
)
LEGEND_NOTES = (
    "Inherited never follows from two similar averages: two unrelated models can fail equally often, "
    "and even on the same hard items. It needs the same items, beyond what unrelated references share.",
    "The tolerated rate (eps) and the change that matters (delta) are declared with the metric or by the "
    "policy before the run; each cell prints them with their source. For a number with a target, both are "
    "distances from it.",
    "Mitigated and repaired are withheld where the adapted model lost its language or its answers: a broken "
    "model shows fewer defects.",
)


def headline(index: AuditIndex, comparison: Comparison) -> bool:
    """Whether a comparison of base and adapted subject is a headline number over all items."""
    metric = index.metrics.of(comparison)
    return metric is not None and metric.headline and not comparison.slice and comparison.step == "from_base"


def decided(found: Comparison) -> bool:
    """Whether the decision table gave this comparison its verdict; else it only holds a placeholder."""
    return found.judged


def is_defect(metric: MetricInfo | None) -> bool:
    """Whether the matrix has a row for this metric."""
    return metric is not None and metric.headline and metric.kind == "rate" and metric.direction != "none"


def defect_title(index: AuditIndex, metric: str, variant: str = "") -> str:
    """A metric's title, with its direction where a high value is not the defect."""
    found = index.metrics.get(metric, variant)
    note = _NOT_LOWER.get(found.direction, "") if found else ""
    return index.metric_title(metric, variant) + (f" ({note})" if note else "")


def pairs_note(index: AuditIndex) -> str:
    """What a defect in both models is called in this audit, and why; empty where nothing is compared."""
    comparisons = index.audit.comparisons
    if not comparisons:
        return ""
    start = "Base and adapted model answered the same items. "
    if not _references_good(comparisons):
        return (
            f"{start}That a defect is in both is called an association: to call it inherited, it would have "
            "to be shared more often than unrelated reference models share it, which this report does not "
            f"test, because {_missing_references(index)}."
        )
    return (
        f"{start}A defect in both is called inherited only where the adapted model fails on the base's own "
        "items more than unrelated reference models do; coincident where they fail on them as much; and an "
        "association where there are no three good references to tell. Two similar averages never make it "
        "inherited."
    )


def association_note(index: AuditIndex) -> str:
    """Said in the verdict where what base and adapted share cannot be called inherited."""
    if not any(subject.role == "reference" for subject in index.audit.subjects):
        return "No unrelated reference model was measured, so what base and adapted share is an association."
    shared = [found for found in index.audit.comparisons if headline(index, found)]
    if any(decided(found) and found.verdict == "association" for found in shared):
        return (
            "Where fewer than three good unrelated references could be compared, what base and adapted share "
            "is an association."
        )
    return ""


def methods(index: AuditIndex) -> tuple[tuple[str, str], ...]:
    """The paragraphs on association, the copy fraction and many numbers, as this audit needs them."""
    comparisons = index.audit.comparisons
    said = [("Association", _association(comparisons))]
    if any(found.copy_fraction for found in comparisons):
        said.append(("Copy fraction", _COPY_FRACTION))
    said.append(("Many numbers", _many_numbers(index.audit.families)))
    return tuple(said)


_COPY_FRACTION = (
    "0 where the adapted model repeats the base's item outcomes no more than unrelated references do, 1 "
    "where it repeats them as well as the base repeats its own. The conditional interval takes these "
    "references as given; the verdict interval adds how much references of different lineages differ, and "
    "it alone can make a defect inherited. The placebo ranks the adapted model among the references "
    "themselves; it cannot be smaller than its floor."
)


def _association(comparisons: Sequence[Comparison]) -> str:
    if _references_good(comparisons):
        return (
            "A defect found in base and adapted where fewer than three good unrelated references could be "
            "compared. Nothing then says that it was inherited."
        )
    return (
        "A defect found in base and adapted. Without at least three good unrelated reference models nothing "
        "here says that it was inherited."
    )


def _many_numbers(families: Sequence[Family]) -> str:
    first = (
        "Families of claims are listed before the run: rates, means, statistics and contrasts alike, and "
        "what was not measured stays in its family as p = 1. A number is called changed, higher or lower "
        "only where its p-value holds after the correction within its family and its interval leaves 0 out, "
        "with missing answers counted both ways."
    )
    if not families:
        return f"{first} Nothing is compared here."
    shown = "; ".join(_family(found) for found in families[:12])
    more = f"; and {len(families) - 12:,} more" if len(families) > 12 else ""
    return (
        f"{first} Headline numbers are one family, corrected by Holm's method, and their verdicts use "
        "Bonferroni-simultaneous intervals; slices and other numbers of one probe and pair of models are a "
        "family of their own, corrected by Benjamini and Hochberg's and claimed below 0.02, so that an "
        "unchanged model is called changed in few audits; those selected from it get "
        "false-coverage-adjusted intervals. The plain interval stands beside each. Change, equivalence and "
        f"copy fraction of one cell are one member of its family. Families here: {shown}{more}."
    )


def _family(found: Family) -> str:
    unmeasured = f", {found.unmeasured:,} of them not measured" if found.unmeasured else ""
    return f"{found.name} ({found.size:,} claim{'' if found.size == 1 else 's'}{unmeasured})"


def _references_good(comparisons: Sequence[Comparison]) -> bool:
    return any(
        found.copy_fraction is not None and found.copy_fraction.lineages >= GOOD_LINEAGES
        for found in comparisons
    )


def _missing_references(index: AuditIndex) -> str:
    count = sum(subject.role == "reference" for subject in index.audit.subjects)
    if not count:
        return "no unrelated reference was measured"
    return f"no comparison found three good references among the {count} measured"
