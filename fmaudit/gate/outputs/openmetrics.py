"""The record as OpenMetrics text: value, interval, level, n, coverage, limits and verdict of each finding.

What a finding is named by is in the labels, what can change from run to run is in the
values, so that two runs of one policy give the same series. What was not measured has a
verdict and no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fmaudit.gate.outputs.words import (
    NAME_LENGTH,
    Entry,
    Record,
    blocks,
    fingerprints,
    short,
    slice_text,
)

Labels = Mapping[str, str]
_VERDICTS = ("pass", "fail", "inconclusive")
_NUMBERS = {
    "value": "The number that the rule is about.",
    "lower": "Lower end of its two-sided interval.",
    "upper": "Upper end of its two-sided interval.",
    "level": "Two-sided level of that interval.",
    "n": "Items asked.",
    "coverage": "Share of items with a usable answer.",
}
_LIMITS = {"min": "Least value that the rule allows.", "max": "Greatest value that the rule allows."}


def openmetrics(record: Record) -> str:
    """A complete OpenMetrics 1.0 exposition, ended by ``# EOF``, for a Prometheus-like store."""
    return _exposition(record, str, with_sources=True)


def metrics(record: Record) -> str:
    """GitLab's metrics report: the same exposition as GitLab's reader takes it.

    That reader drops everything from a ``#`` on, inside of labels too, and then refuses the
    whole file; and it compares series by their text, so the digests, which change with
    every run, are left out.
    """
    return _exposition(record, lambda text: text.replace("#", "%23"), with_sources=False)


def _exposition(record: Record, spell: Callable[[str], str], *, with_sources: bool) -> str:
    entries: Sequence[Entry] = record["findings"]
    marked = zip(entries, fingerprints(entries), strict=True)
    rows = [(entry, _labels(record, entry, mark)) for entry, mark in marked]
    lines = [*_gate(record, spell)]
    for name, about in _NUMBERS.items():
        samples = [(labels, _number(entry, name)) for entry, labels in rows]
        lines += _gauge(f"fmaudit_finding_{name}", about, samples, spell)
    for name, about in _LIMITS.items():
        samples = [(labels, entry["limit"][name]) for entry, labels in rows]
        lines += _gauge(f"fmaudit_finding_limit_{name}", about, samples, spell)
    blocking = [(labels, float(blocks(entry))) for entry, labels in rows]
    lines += _gauge("fmaudit_finding_blocks", "1 where it stands in the way of a pass.", blocking, spell)
    lines += _verdicts(rows, spell)
    if with_sources:
        lines += _sources(rows, spell)
    return "\n".join([*lines, "# EOF"]) + "\n"


def _gate(record: Record, spell: Callable[[str], str]) -> Iterator[str]:
    labels = {"policy": short(record["policy"]["id"], NAME_LENGTH)}
    about = "0 pass, 1 failed, 3 inconclusive, 5 nothing evaluated."
    yield from _gauge("fmaudit_gate_exit_code", about, [(labels, record["exit_code"])], spell)
    yield from _gauge(
        "fmaudit_gate_looks", "How often the run was evaluated.", [(labels, record["looks"])], spell
    )


def _labels(record: Record, entry: Entry, mark: str) -> Labels:
    named = {name: entry[name] for name in ("rule", "metric", "kind", "subject", "variant", "dataset")}
    named |= {"slice": slice_text(entry["slice"]), "contrast": entry["contrast"]}
    texts = {"policy": record["policy"]["id"], **named, "finding": mark}
    return {name: short(text, NAME_LENGTH) for name, text in texts.items() if text}


def _gauge(
    name: str, about: str, samples: Sequence[tuple[Labels, Any]], spell: Callable[[str], str]
) -> Iterator[str]:
    yield f"# TYPE {name} gauge"
    yield f"# HELP {name} {about}"
    for labels, value in samples:
        if value is not None:
            yield f"{name}{_braces(labels, spell)} {float(value)!r}"


def _verdicts(rows: Sequence[tuple[Entry, Labels]], spell: Callable[[str], str]) -> Iterator[str]:
    name = "fmaudit_finding_verdict"
    yield f"# TYPE {name} stateset"
    yield f"# HELP {name} 1 for the verdict that the rule has; a waived rule keeps its verdict."
    for entry, labels in rows:
        for verdict in _VERDICTS:
            state = _braces({**labels, name: verdict}, spell)
            yield f"{name}{state} {int(entry['verdict'] == verdict)}"


def _sources(rows: Sequence[tuple[Entry, Labels]], spell: Callable[[str], str]) -> Iterator[str]:
    name = "fmaudit_finding_source"
    yield f"# TYPE {name} info"
    yield f"# HELP {name} Tier, method of the interval, digests of model and protocol, waiver."
    for entry, labels in rows:
        method = entry["number"]["method"] if entry["number"] else ""
        more = {key: entry[key] for key in ("tier", "model_digest", "protocol", "waiver")}
        known = {key: short(text, NAME_LENGTH) for key, text in (more | {"method": method}).items() if text}
        yield f"{name}_info{_braces({**labels, **known}, spell)} 1"


def _number(entry: Entry, name: str) -> float | None:
    number = entry["number"]
    # Without a value the rest would be the interval of nothing.
    if number is None or number["value"] is None:
        return None
    found: float | None = number[name]
    return found if found is None or name != "level" else float(f"{found:.6g}")


def _braces(labels: Labels, spell: Callable[[str], str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(spell(text))}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
