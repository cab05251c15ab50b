"""What of an audit is evidence relevant to a control: pure functions of the audit and the mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fmaudit.context import card_of, is_stated
from fmaudit.controls.mapping import ControlMapping, Rule, When
from fmaudit.schema import Audit, Comparison, Measurement

_EMPTY = "no reason recorded"


@dataclass(frozen=True)
class Evidence:
    """One thing of the audit that speaks to some controls.

    ``probe`` is empty where it is not about one. ``word`` is a verdict, a state or
    a name; ``subjects`` are ids of subjects; ``count`` of ``total`` are headline
    numbers that support a statement, of those there are (``when: measured``), or
    answers without a score (``when: invalid_scores``). ``items`` are the ids in
    ``audit.json`` it rests on.
    """

    rule: str
    when: When
    says: str
    controls: tuple[str, ...]
    probe: str = ""
    word: str = ""
    subjects: tuple[str, ...] = ()
    count: int = 0
    total: int = 0
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    """What a rule found, before the rule's own fields are added."""

    probe: str = ""
    word: str = ""
    subjects: tuple[str, ...] = ()
    count: int = 0
    total: int = 0
    items: tuple[str, ...] = ()


def evidence_of(audit: Audit, mapping: ControlMapping) -> tuple[Evidence, ...]:
    """Everything in ``audit`` that a rule of ``mapping`` counts, in the order of the rules."""
    return tuple(
        Evidence(
            rule.id,
            rule.when,
            rule.says,
            tuple(rule.controls),
            part.probe,
            part.word,
            part.subjects,
            part.count,
            part.total,
            part.items,
        )
        for rule in mapping.rules
        for part in _FOUND[rule.when](audit, rule)
    )


def unmapped_probes(audit: Audit, mapping: ControlMapping) -> tuple[str, ...]:
    """Probes of the audit whose own subject no rule knows, sorted: a gap of the mapping, not of the audit."""
    return tuple(sorted({m.probe for m in audit.measurements if not mapping.names(m.probe)}))


def _measured(audit: Audit, rule: Rule) -> Iterator[_Part]:
    headline = {metric.id for metric in audit.metrics if metric.headline}
    for probe, own in _by_probe(audit, rule, lambda m: m.state == "measured").items():
        ids = {m.id for m in own}
        numbers = [
            e for e in audit.estimates if e.measurement in ids and e.metric in headline and not e.slice
        ]
        firm = sum(e.state == "measured" and e.conclusive for e in numbers)
        yield _Part(probe, "", _subjects(own), firm, len(numbers), tuple(m.id for m in own))


def _verdict(audit: Audit, rule: Rule) -> Iterator[_Part]:
    shown = {
        metric.id
        for metric in audit.metrics
        if metric.headline and metric.kind == "rate" and metric.direction != "none"
    }
    found: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in audit.comparisons:
        probe = comparison.metric.partition("/")[0]
        counts = comparison.metric in shown and not comparison.slice and comparison.step == "from_base"
        # Where no verdict was reached the word is a placeholder.
        reached = counts and comparison.judged
        if reached and comparison.verdict in rule.verdicts and rule.covers(probe):
            found.setdefault((probe, comparison.verdict), []).append(comparison)
    for (probe, word), own in found.items():
        adapted = tuple(dict.fromkeys(c.adapted for c in own))
        yield _Part(probe, word, adapted, len(own), len(own), tuple(c.id for c in own))


def _unmeasured(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for probe, own in _by_probe(audit, rule, lambda m: m.state != "measured").items():
        for reason in dict.fromkeys(m.reason or _EMPTY for m in own):
            same = [m for m in own if (m.reason or _EMPTY) == reason]
            yield _Part(probe, reason, _subjects(same), items=tuple(m.id for m in same))


def _invalid_scores(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for probe, own in _by_probe(audit, rule, lambda m: bool(m.invalid)).items():
        invalid = sum(sum(m.invalid.values()) for m in own)
        rows = sum(m.n_rows for m in own)
        yield _Part(probe, "", _subjects(own), invalid, rows, tuple(m.id for m in own))


def _instrument(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for card in audit.instruments:
        if card.sensitivity is not None and card.specificity is not None:
            yield _Part(word=card.id, count=card.n, total=card.n, items=(card.id,))


def _calibration(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for probe in dict.fromkeys(c.probe for c in audit.calibrations if rule.covers(c.probe)):
        defects = ", ".join(dict.fromkeys(c.defect for c in audit.calibrations if c.probe == probe))
        yield _Part(probe, defects)


def _homogenization(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for found in audit.homogenization:
        probe = found.metric.partition("/")[0]
        if rule.covers(probe) and found.ratio.value is not None:
            yield _Part(probe, "", tuple(found.subjects), found.n, found.n, (found.id,))


def _lineage(audit: Audit, rule: Rule) -> Iterator[_Part]:
    for subject in audit.subjects:
        if subject.role == "adapted" and subject.lineage.declared:
            state = {True: "verified", False: "refuted", None: "not verified"}[subject.lineage.verified]
            yield _Part(word=state, subjects=(subject.id,), items=(subject.id,))


def _stated(audit: Audit, rule: Rule) -> Iterator[_Part]:
    card = card_of(audit.context)
    for name in rule.fields:
        if card is not None and is_stated(getattr(card, name)):
            yield _Part(word=name.replace("_", " "), items=(name,))


def _document(audit: Audit, rule: Rule) -> Iterator[_Part]:
    if any(m.state == "measured" for m in audit.measurements):
        yield _Part()


_FOUND: Mapping[When, Callable[[Audit, Rule], Iterator[_Part]]] = {
    "measured": _measured,
    "verdict": _verdict,
    "unmeasured": _unmeasured,
    "invalid_scores": _invalid_scores,
    "instrument": _instrument,
    "calibration": _calibration,
    "homogenization": _homogenization,
    "lineage": _lineage,
    "stated": _stated,
    "document": _document,
}


def _by_probe(
    audit: Audit, rule: Rule, wanted: Callable[[Measurement], bool]
) -> Mapping[str, Sequence[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for measurement in audit.measurements:
        if rule.covers(measurement.probe) and wanted(measurement):
            found.setdefault(measurement.probe, []).append(measurement)
    return found


def _subjects(measurements: Sequence[Measurement]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(m.subject for m in measurements))
