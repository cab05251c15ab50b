"""The gate's page in GitHub's job summary: GitHub-flavoured Markdown within GitHub's limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fmaudit.gate.outputs.words import (
    NAME_LENGTH,
    Entry,
    Record,
    Status,
    allowed,
    blocks,
    findings_of,
    number_text,
    place,
    short,
    status,
    unexplained,
)
from fmaudit.report.escape import markdown

SUMMARY_LIMIT = 1024 * 1024
"""Bytes of a step's summary; GitHub drops the whole summary of a step that wrote more."""
_CELL = 300
_WORDS: dict[Status, str] = {
    "fail": "fails",
    "inconclusive": "not decided",
    "missing": "not measured",
    "waived": "waived",
    "pass": "passes",
}
_COUNTED: dict[Status, str] = {"fail": "fail", "pass": "pass"}
_FINDING_COLUMNS = ("verdict", "rule", "metric", "of", "number", "allowed", "why, and what to do")
_WAIVER_COLUMNS = ("waiver", "approved by", "until", "reason")
_SUBJECT_COLUMNS = ("subject", "role", "name", "digest")


@dataclass(frozen=True)
class _Table:
    """A table that may lose rows: ``opening`` and ``closing`` stay around whatever is left of them."""

    opening: str
    rows: tuple[str, ...]
    closing: str


def step_summary(record: Record, limit: int = SUMMARY_LIMIT) -> str:
    """The record as a page of at most ``limit`` bytes, headings from level 3; cut tables say so.

    Empty where not even the verdict fits.
    """
    text = _head(record)
    if _size(text) > limit:
        return ""
    for table in _tables(record):
        text += _fitted(table, limit - _size(text))
    return text


def _head(record: Record) -> str:
    policy = record["policy"]
    counts = Counter(status(entry) for entry in record["findings"])
    found = [f"{counts[word]} {_COUNTED.get(word, _WORDS[word])}" for word in _WORDS if counts[word]]
    blocking = sum(blocks(entry) for entry in record["findings"])
    locked = "before the run" if policy["locked_before_run"] else "not before the run"
    lines = [
        f"### fmaudit gate: {markdown(short(record['verdict'], 40))}",
        "",
        f"Policy **{_name(policy['id'])}** ({_name(policy['digest'])}), locked {locked}. "
        f"One-sided confidence {policy['confidence'] * 100:g} %, form {markdown(short(policy['form'], 20))}, "
        f"looks at this run: {record['looks']}. Exit code {record['exit_code']}.",
        "",
        f"Findings: {', '.join(found) or 'none'}. {blocking} of them stand in the way of a pass.",
        "",
    ]
    if unexplained(record):
        lines += [f"**{markdown(unexplained(record))}**", ""]
    if policy["description"]:
        lines += [f"> {markdown(short(policy['description']))}", ""]
    return "\n".join([*lines, ""])


def _tables(record: Record) -> Iterator[_Table]:
    entries = findings_of(record)
    passing = [entry for entry in entries if status(entry) == "pass"]
    others = [entry for entry in entries if status(entry) != "pass"]
    if others:
        yield _Table(_header(_FINDING_COLUMNS), tuple(_finding_row(entry) for entry in others), "\n")
    if record["waivers"]:
        rows = tuple(
            _row(waiver["id"], waiver["approved_by"], waiver["expires"], waiver["reason"])
            for waiver in record["waivers"]
        )
        yield _Table("#### Waivers\n\n" + _header(_WAIVER_COLUMNS), rows, "\n")
    if passing:
        yield _folded(f"{len(passing)} passing", _FINDING_COLUMNS, [_finding_row(entry) for entry in passing])
    subjects = [_row(*(one[key] for key in ("id", "role", "name", "digest"))) for one in record["subjects"]]
    if subjects:
        yield _folded("Models", _SUBJECT_COLUMNS, subjects)


def _finding_row(entry: Entry) -> str:
    tier = "" if entry["tier"] == "block" else f" ({entry['tier']})"
    why = ". ".join(str(part)[:_CELL].rstrip(".") for part in (entry["reason"], entry["action"]) if part)
    return _row(
        _WORDS[status(entry)] + tier,
        entry["rule"],
        f"{entry['metric']} ({entry['kind']})",
        place(entry),
        number_text(entry),
        allowed(entry),
        why,
    )


def _name(text: object) -> str:
    return str(markdown(short(text, NAME_LENGTH))) or "—"


def _folded(title: str, columns: Sequence[str], rows: Sequence[str]) -> _Table:
    opening = f"<details><summary>{title}</summary>\n\n{_header(columns)}"
    return _Table(opening, tuple(rows), "\n</details>\n\n")


def _header(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(markdown(short(cell, _CELL))) or "—" for cell in cells) + " |\n"


def _fitted(table: _Table, room: int) -> str:
    whole = table.opening + "".join(table.rows) + table.closing
    if _size(whole) <= room:
        return whole
    left = room - _size(table.opening + table.closing + _cut_note(len(table.rows)))
    kept: list[str] = []
    for row in table.rows:
        left -= _size(row)
        if left < 0:
            break
        kept.append(row)
    if not kept:
        return ""
    return table.opening + "".join(kept) + _cut_note(len(table.rows) - len(kept)) + table.closing


def _cut_note(count: int) -> str:
    return f"\nand {count:,} more rows than a summary has room for; the gate's record has all of them.\n"


def _size(text: str) -> int:
    return len(text.encode("utf-8"))
