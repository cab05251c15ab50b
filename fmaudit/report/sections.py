"""One section a probe, built from its rows' numbers and metrics alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.question import Question
from fmaudit.report.calibrations import CalibrationView, calibration_views
from fmaudit.report.comparison_rows import ComparisonRow, SliceGroups, comparison_row, slice_groups
from fmaudit.report.index import AuditIndex, flat_pairs, levels_text, short_digest
from fmaudit.report.numbers import NumberView, scale_of, share, status_of
from fmaudit.report.readings import harms, shown, unclear
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.schema import ContrastResult, Measurement, MetricInfo

DIRECTIONS = {
    "lower_is_better": "lower is better",
    "higher_is_better": "higher is better",
    "target": "closest to its target is best",
    "none": "",
}


@dataclass(frozen=True)
class EstimateRow:
    """One subject's number."""

    subject: str
    role: str
    number: NumberView


@dataclass(frozen=True)
class SliceRow:
    """One slice level with a number a subject; None where a subject has none."""

    level: str
    numbers: tuple[NumberView | None, ...]


@dataclass(frozen=True)
class MetricBlock:
    """A metric, its overall numbers by subject and its slices."""

    id: str
    title: str
    note: str
    rows: tuple[EstimateRow, ...]
    slice_subjects: tuple[str, ...]
    slices: tuple[SliceRow, ...]


@dataclass(frozen=True)
class ContrastRow:
    """A signed sum of slices, within one subject or from base to adapted."""

    title: str
    scope: str
    metric: str
    tone: Tone
    word: str
    number: NumberView

    @property
    def symbol(self) -> str:
        """The shape of the tone."""
        return SYMBOLS[self.tone]


@dataclass(frozen=True)
class QuestionBlock:
    """The numbers of one scoring variant on one data set."""

    label: str
    dataset: str
    protocols: tuple[str, ...]
    gaps: tuple[str, ...]
    metrics: tuple[MetricBlock, ...]
    contrasts: tuple[ContrastRow, ...]
    comparisons: tuple[ComparisonRow, ...]
    slice_comparisons: SliceGroups
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ProbeSection:
    """Everything the report says about one probe."""

    id: str
    anchor: str
    family: str
    title: str
    version: str
    instruments: tuple[str, ...]
    limits: tuple[str, ...]
    questions: tuple[QuestionBlock, ...]
    calibrations: tuple[CalibrationView, ...]


def probe_sections(index: AuditIndex) -> tuple[ProbeSection, ...]:
    """A section for every probe the audit names, known to this page or not."""
    probes: dict[str, list[Question]] = {}
    for measurement in index.audit.measurements:
        questions = probes.setdefault(measurement.probe, [])
        if measurement.question not in questions:
            questions.append(measurement.question)
    for metric in index.audit.metrics:
        probes.setdefault(metric.probe, [])
    return tuple(
        _section(index, f"probe-{place}", probe, questions)
        for place, (probe, questions) in enumerate(probes.items(), 1)
    )


def _section(index: AuditIndex, anchor: str, probe: str, questions: Sequence[Question]) -> ProbeSection:
    own = [measurement for measurement in index.audit.measurements if measurement.probe == probe]
    limits = [limit for measurement in own for limit in measurement.limits]
    limits += [limit for measurement in own if measurement.dataset for limit in measurement.dataset.limits]
    return ProbeSection(
        id=probe,
        anchor=anchor,
        family=next((m.family for m in own if m.family), probe.partition(".")[0]),
        title=next((m.title for m in own if m.title), probe),
        version=", ".join(sorted({str(m.version) for m in own})),
        instruments=tuple(dict.fromkeys(name for m in own for name in m.instruments)),
        limits=tuple(dict.fromkeys(limits)),
        questions=tuple(_question(index, question) for question in questions),
        calibrations=calibration_views(index, probe, anchor),
    )


def _question(index: AuditIndex, question: Question) -> QuestionBlock:
    own = [m for m in index.audit.measurements if m.question == question]
    metrics = index.metrics.declared(question)
    mine = [c for c in index.audit.comparisons if index.question(c.measurement, c.metric) == question]
    return QuestionBlock(
        label=question.label or "one way of asking",
        dataset=_dataset(own),
        protocols=tuple(
            dict.fromkeys(short_digest(m.protocol["digest"]) for m in own if m.protocol.get("digest"))
        ),
        gaps=_gaps(index, own),
        metrics=tuple(block for metric in metrics if (block := _metric(index, question, metric))),
        contrasts=tuple(
            _contrast(index, c)
            for c in index.audit.contrasts
            if index.question(c.measurement, c.metric) == question
        ),
        comparisons=tuple(comparison_row(index, c) for c in mine if not c.slice),
        slice_comparisons=slice_groups([comparison_row(index, c) for c in mine if c.slice]),
        settings=_settings(own),
    )


def _dataset(measurements: Sequence[Measurement]) -> str:
    for measurement in measurements:
        found = measurement.dataset
        if found is not None:
            pinned = "matches its card" if found.pinned else "does not match a pinned checksum"
            licence = f", {found.licence}" if found.licence else ""
            digest = short_digest(found.digest)
            asked = f"{found.n_asked:,} of {found.n_items:,} items"
            return f"{found.title or found.id}: {asked}, {found.source}, {pinned}{licence}, digest {digest}"
    return ""


def _gaps(index: AuditIndex, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    gaps = []
    for measurement in measurements:
        label = index.subject_label(measurement.subject)
        if measurement.state != "measured":
            gaps.append(f"{label}: {measurement.state} ({measurement.reason or 'no reason recorded'})")
        for reason, count in _kinds_of_reason(measurement.invalid):
            gaps.append(f"{label}: {count:,} of {measurement.n_rows:,} answers without a value ({reason})")
    return tuple(gaps)


def _kinds_of_reason(invalid: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons that differ in a number alone, such as a text's length, as one; the most frequent first."""
    kinds: dict[str, dict[str, int]] = {}
    for reason, count in sorted(invalid.items()):
        kinds.setdefault(re.sub(r"\d+", "N", reason), {})[reason] = count
    grouped = [
        (next(iter(reasons)) + (", and the like" if len(reasons) > 1 else ""), sum(reasons.values()))
        for reasons in kinds.values()
    ]
    return sorted(grouped, key=lambda entry: (-entry[1], entry[0]))


def _metric(index: AuditIndex, question: Question, metric: MetricInfo) -> MetricBlock | None:
    rows: list[EstimateRow] = []
    slices: dict[str, dict[str, NumberView]] = {}
    for estimate in index.audit.estimates:
        if estimate.metric != metric.id or index.question(estimate.measurement, metric.id) != question:
            continue
        number = index.number(estimate, metric.id, estimate.measurement, difference=False)
        if estimate.slice:
            slices.setdefault(levels_text(estimate.slice), {})[estimate.subject] = number
        else:
            role = (
                index.subjects[estimate.subject].role if estimate.subject in index.subjects else "reference"
            )
            rows.append(EstimateRow(index.subject_label(estimate.subject), role, number))
    if not rows and not slices:
        return None
    subjects = [s.id for s in index.ordered_subjects if any(s.id in row for row in slices.values())]
    return MetricBlock(
        metric.id,
        metric.title or metric.id,
        _metric_note(metric),
        tuple(rows),
        tuple(index.subject_label(subject) for subject in subjects),
        tuple(SliceRow(level, tuple(by.get(s) for s in subjects)) for level, by in slices.items()),
    )


def _metric_note(metric: MetricInfo) -> str:
    scale = scale_of(metric, difference=False)
    target = (
        f"target {scale.with_unit(f'{metric.ideal * scale.factor:g}')}" if metric.ideal is not None else ""
    )
    return ", ".join(part for part in (DIRECTIONS[metric.direction], target) if part)


def _contrast(index: AuditIndex, contrast: ContrastResult) -> ContrastRow:
    number = index.number(contrast, contrast.metric, contrast.measurement, difference=True)
    if contrast.kind == "difference_in_differences":
        scope = "adapted minus base"
    else:
        scope = index.subject_label(contrast.terms[0].subject) if contrast.terms else ""
    tone, word = _shown_word(index, contrast)
    title = contrast.title or contrast.id
    return ContrastRow(title, scope, index.metric_title(contrast.metric), tone, word, number)


def _shown_word(index: AuditIndex, contrast: ContrastResult) -> tuple[Tone, str]:
    status = status_of(contrast, partial=index.partial(contrast.measurement))
    if status != "measured":
        return "open", status.capitalize()
    if why := unclear(index, contrast):
        return "open", why
    if not shown(index, contrast):
        return "calm", "No difference shown"
    return ("alert" if harms(index, contrast) else "calm"), "Difference shown"


def _settings(measurements: Sequence[Measurement]) -> tuple[tuple[str, str], ...]:
    if not measurements:
        return ()
    pairs = flat_pairs(measurements[0].protocol)
    coverages = {share(m.coverage) for m in measurements if m.coverage is not None}
    return (*pairs, ("coverage", ", ".join(sorted(coverages)))) if coverages else pairs
