"""Everything a cell of the inheritance matrix rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import (
    INDEX,
    SHARE,
    SHARE_CHANGE,
    NumberView,
    Scale,
    figure_text,
    p_text,
    quantity_text,
    span_text,
)
from fmaudit.report.outcomes import outcomes_of
from fmaudit.report.readings import comparison_word, margins_text, side_value
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import defect_title
from fmaudit.schema import (
    Agreement,
    Comparison,
    CopyFraction,
    Equivalence,
    PairedTable,
    Profile,
    Severity,
)

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReferenceRow:
    """One reference: used with its slope, or refused with the reason."""

    label: str
    use: str
    slope: str
    lineage: str
    reason: str


@dataclass(frozen=True)
class FactGroup:
    """Named figures under one heading."""

    title: str
    facts: Facts


@dataclass(frozen=True)
class CellDetail:
    """One cell in full."""

    anchor: str
    comparison: str
    probe: str
    base: str
    adapted: str
    subjects: tuple[str, str]
    title: str
    question: str
    word: str
    symbol: str
    tone: Tone
    flags: tuple[str, ...]
    reason: str
    base_value: str
    adapted_value: str
    number: NumberView
    table: PairedTable | None
    outcomes: tuple[str, str]
    groups: tuple[FactGroup, ...]
    references: tuple[ReferenceRow, ...]


def cell_detail(
    index: AuditIndex, found: Comparison, anchor: str, step: Comparison | None = None
) -> CellDetail:
    """The detail of one comparison; ``step`` is the same from the parent, where that is not the base."""
    word, symbol, tone = comparison_word(index, found)
    number = index.number(found, found.metric, found.measurement, difference=True)
    question = index.question(found.measurement, found.metric)
    groups = [
        FactGroup("Change and verdict", _verdict_facts(found, number)),
        FactGroup("Agreement, item by item", _agreement_facts(found.agreement)),
        FactGroup("Copy fraction", _copy_facts(found.copy_fraction, found)),
        FactGroup("Severity and profile", _shape_facts(found)),
        FactGroup("Step from its parent", _step_facts(index, step)),
    ]
    return CellDetail(
        anchor=anchor,
        comparison=found.id,
        probe=question.probe,
        base=index.subject_label(found.base),
        adapted=index.subject_label(found.adapted),
        subjects=(found.base, found.adapted),
        title=defect_title(index, found.metric),
        question=question.label,
        word=word,
        symbol=symbol,
        tone=tone,
        flags=tuple(found.flags),
        reason=found.verdict_reason or number.reason,
        base_value=side_value(index, found, found.base_value),
        adapted_value=side_value(index, found, found.adapted_value),
        number=number,
        table=found.table,
        outcomes=outcomes_of(index.metrics.of(found), found),
        groups=tuple(group for group in groups if group.facts),
        references=_references(index, found.copy_fraction),
    )


def _kept(pairs: Sequence[tuple[str, str]]) -> Facts:
    return tuple((name, value) for name, value in pairs if value)


def _verdict_facts(found: Comparison, number: NumberView) -> Facts:
    simultaneous = f"{number.simultaneous} (level {number.simultaneous_level})" if number.simultaneous else ""
    size = f" ({found.family_size:,} claim{'' if found.family_size == 1 else 's'})"
    worst = "" if number.complete else number.worst
    return _kept(
        [
            ("change", number.value if number.has_value else f"{number.status}: {number.reason}"),
            ("simultaneous interval", simultaneous),
            ("plain interval", number.interval if number.has_value else ""),
            ("p", number.p),
            ("family", found.family + (size if found.family and found.family_size else "")),
            ("margins", margins_text(found.margins)),
            ("equivalence", _equivalence(found.equivalence)),
            ("items", f"{number.n}, coverage {number.coverage}"),
            ("missing counted both ways", worst),
            ("method", number.method),
            ("flags", ", ".join(found.flags)),
            ("items needed", f"{found.items_needed:,}" if found.items_needed is not None else ""),
        ]
    )


def _equivalence(test: Equivalence | None) -> str:
    if test is None:
        return ""
    word = "shown" if test.equivalent else "not shown"
    text = f"change within ±{test.margin * 100:g} points {word}"
    if test.lower is not None and test.upper is not None:
        ends = (SHARE_CHANGE.text(end, 1) for end in (test.lower, test.upper))
        text += f"; {test.level * 100:g} % interval {' to '.join(ends)}"
    return f"{text}, {p_text(test.p)}" if test.p is not None else text


def _agreement_facts(agreement: Agreement | None) -> Facts:
    if agreement is None:
        return ()
    return (
        ("base's defects that persist", quantity_text(agreement.persistence, SHARE)),
        ("base's clean items that turn defective", quantity_text(agreement.introduction, SHARE)),
        ("base's defects that are repaired", quantity_text(agreement.repair, SHARE)),
        ("items that flip either way", quantity_text(agreement.flips, SHARE)),
        ("items that flip from clean to defective", quantity_text(agreement.negative_flips, SHARE)),
        ("slope (persistence minus introduction)", quantity_text(agreement.slope)),
        ("agreement beyond chance (kappa)", quantity_text(agreement.kappa)),
    )


def _copy_facts(copied: CopyFraction | None, found: Comparison) -> Facts:
    retention = quantity_text(found.retention, none="")
    if copied is None:
        return _kept([("retention", retention)])
    level = f"{copied.level * 100:g} %"
    value = (
        f"undefined: {copied.reason or 'no reason recorded'}"
        if copied.value is None
        else figure_text(copied.value)
    )
    conditional, verdict = span_text(copied.conditional), span_text(copied.verdict_interval)
    source = f" (spread of references: {copied.verdict_source})" if copied.verdict_source else ""
    slopes = [
        (name, figure_text(slope))
        for name, slope in (
            ("adapted", copied.slope_adapted),
            ("base's own retest", copied.slope_self),
            ("references", copied.slope_reference),
        )
        if slope is not None
    ]
    return _kept(
        [
            ("copy fraction", value),
            (
                "conditional interval",
                f"{conditional}, level {level}; these references fixed" if conditional else "",
            ),
            ("verdict interval", f"{verdict}, level {level}{source}" if verdict else ""),
            ("slopes", "; ".join(f"{name} {slope}" for name, slope in slopes)),
            ("reference lineages", f"{copied.lineages}"),
            ("leaving one reference out", span_text(copied.leave_one_out)),
            ("placebo", _placebo(copied)),
            ("note", copied.reason if copied.value is not None else ""),
            ("retention", retention),
        ]
    )


def _placebo(copied: CopyFraction) -> str:
    if copied.placebo is None:
        return ""
    decisive = "" if copied.placebo.decisive else "; too few references for it to decide anything"
    return f"{p_text(copied.placebo.p)}, floor {copied.placebo.floor:.2g}{decisive}"


def _references(index: AuditIndex, copied: CopyFraction | None) -> tuple[ReferenceRow, ...]:
    rows = [
        ReferenceRow(
            label=index.subject_label(reference.subject),
            use="used" if reference.used else "refused",
            slope=figure_text(reference.slope),
            lineage=reference.lineage,
            reason=(
                f"matched by {reference.matched_by}"
                if reference.used and reference.matched_by
                else reference.reason
            ),
        )
        for reference in (copied.references if copied else ())
    ]
    return tuple(sorted(rows, key=lambda row: row.use != "used"))


def _shape_facts(found: Comparison) -> Facts:
    facts = _severity_facts(found.severity)
    facts += [(f"profile over {profile.column}", _profile(profile)) for profile in found.profiles]
    return _kept(facts)


def _severity_facts(severity: Severity | None) -> list[tuple[str, str]]:
    if severity is None:
        return []
    noise = "" if severity.noise is None else f"; retest noise {severity.noise:.3g}"
    change = quantity_text(severity.change, Scale(1.0, "", True))
    return [
        ("severity change where both fail", f"{change}, n {severity.n:,}{noise}"),
        ("more severe beyond noise", quantity_text(severity.amplified, SHARE, none="")),
        ("less severe beyond noise", quantity_text(severity.mitigated, SHARE, none="")),
        ("severity note", severity.reason),
    ]


def _profile(profile: Profile) -> str:
    parts = [
        f"rank correlation {quantity_text(profile.spearman)} over {profile.slices} groups",
        f"cosine {quantity_text(profile.cosine)}",
    ]
    if profile.disattenuated is not None:
        parts.append(f"corrected for noise {INDEX.text(profile.disattenuated, 2)}")
    return "; ".join(parts)


def _step_facts(index: AuditIndex, step: Comparison | None) -> Facts:
    if step is None:
        return ()
    number = index.number(step, step.metric, step.measurement, difference=True)
    word, symbol, _ = comparison_word(index, step)
    before, after = (side_value(index, step, value) for value in (step.base_value, step.adapted_value))
    copied = step.copy_fraction
    return _kept(
        [
            ("parent", index.subject_label(step.base)),
            ("verdict", f"{symbol} {word}"),
            ("rates", f"{before} → {after}"),
            ("change", f"{number.value} ({number.simultaneous or number.plain_interval or 'no interval'})"),
            ("copy fraction", _copied_text(copied)),
            ("reason", step.verdict_reason),
        ]
    )


def _copied_text(copied: CopyFraction | None) -> str:
    if copied is None or copied.value is None:
        return ""
    interval = span_text(copied.verdict_interval)
    return f"{figure_text(copied.value)} ({f'verdict interval {interval}' if interval else 'no interval'})"
