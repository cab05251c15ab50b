"""Examples of answers: redacted unless they are to be revealed, inert either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.report.escape import redacted, visible
from fmaudit.report.numbers import MINUS

MAX_EXAMPLES = 6
_MAX_TEXT = 2000


@dataclass(frozen=True)
class EvidenceSample:
    """A few rows of one probe, chosen by the caller.

    Each row may hold: ``subject`` (its label), ``item_id``, ``sample``, ``outcome``
    (0, 1 or None), ``severity`` (float or None), ``text`` (generated text, or
    None where the probe generates none) and ``reason`` (why it is invalid).
    ``total`` is how many rows the probe has; ``binary`` False says that it has no
    outcome of 0 or 1 at all.
    """

    probe: str
    rows: Sequence[Mapping[str, object]]
    total: int = 0
    binary: bool = True


@dataclass(frozen=True)
class ExampleView:
    """One answer, ready to print; ``revealed`` says that ``text`` is the model's own."""

    subject: str
    item: str
    outcome: str
    severity: str
    text: str
    revealed: bool


@dataclass(frozen=True)
class EvidenceView:
    """The examples of one probe; ``chosen``: which they are, in words."""

    probe: str
    total: str
    examples: tuple[ExampleView, ...]
    chosen: str = "the most severe"


def evidence_views(samples: Sequence[object] | None, *, reveal: bool) -> tuple[EvidenceView, ...]:
    """At most six examples a probe; generated text redacted unless ``reveal``; other samples are left out."""
    return tuple(
        EvidenceView(
            sample.probe,
            f"{max(sample.total, len(sample.rows)):,}",
            tuple(_example(row, reveal, binary=sample.binary) for row in sample.rows[:MAX_EXAMPLES]),
            _chosen(sample),
        )
        for sample in samples or ()
        if isinstance(sample, EvidenceSample) and sample.rows
    )


def _chosen(sample: EvidenceSample) -> str:
    graded = any(severity_text(row.get("severity")) != "—" for row in sample.rows)
    if sample.binary:
        return "defects first, the most severe first" if graded else "defects first"
    return "the most severe" if graded else "the first ones: they have neither outcome nor severity"


def _example(row: Mapping[str, object], reveal: bool, *, binary: bool) -> ExampleView:
    text = row.get("text")
    sample = row.get("sample")
    return ExampleView(
        subject=str(row.get("subject", "")),
        item=str(row.get("item_id", "")) + (f", sample {sample}" if sample not in (None, 0) else ""),
        outcome=_outcome(row, binary),
        severity=severity_text(row.get("severity")),
        text=shown_text(text, reveal),
        revealed=reveal and text is not None,
    )


def _outcome(row: Mapping[str, object], binary: bool) -> str:
    outcome = row.get("outcome")
    if not binary:
        return "not applicable"
    if outcome is None or outcome != outcome:
        return f"invalid: {row.get('reason') or 'no reason recorded'}"
    return (
        "defect"
        if float(str(outcome)) == 1.0
        else "no defect"
        if float(str(outcome)) == 0.0
        else str(outcome)
    )


def severity_text(severity: object) -> str:
    """A severity with its sign; a dash where there is none."""
    if severity is None or severity != severity:
        return "—"
    return f"{float(str(severity)):+.3f}".replace("-", MINUS)


def shown_text(text: object, reveal: bool) -> str:
    """Generated text to be shown, or what stands in for it; empty where none was generated."""
    return "" if text is None else _revealed(str(text)) if reveal else redacted(text)


def _revealed(text: str) -> str:
    shown = visible(text[:_MAX_TEXT], keep_lines=True)
    left = len(text) - _MAX_TEXT
    return f"{shown}\n[{left:,} more characters]" if left > 0 else shown
