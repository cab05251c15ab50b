"""GitHub Actions: annotations as workflow commands, and what keeps other log lines from being commands."""

from __future__ import annotations

from fmaudit.gate.outputs.words import (
    NAME_LENGTH,
    Entry,
    Record,
    blocks,
    findings_of,
    message,
    short,
    status,
    status_words,
    unexplained,
    waiver_text,
)

PER_KIND = 10
"""GitHub shows so many annotations of a kind for one step and drops the others."""


def annotation_lines(record: Record, policy_path: str) -> list[str]:
    """One workflow command for each finding that does not pass, at its rule's line, worst first.

    Errors block, warnings are rules of tier warn, notices are monitored or waived. A kind
    with more than ten shows nine and how many there are besides.
    """
    commands: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    if unexplained(record):
        commands["error"].append(_command("error", policy_path, 1, "fmaudit gate", unexplained(record)))
    for entry in findings_of(record):
        if status(entry) == "pass":
            continue
        waived = status(entry) == "waived"
        text = f"{waiver_text(record, entry)} {message(entry)}" if waived else message(entry)
        title = f"{short(entry['rule'], NAME_LENGTH)} {status_words(entry)}"
        kind = _kind(entry)
        commands[kind].append(_command(kind, policy_path, entry["line"], title, text))
    return [line for kind, lines in commands.items() for line in _first(kind, lines, policy_path)]


def inert(line: str) -> str:
    """A log line in which the runner finds no workflow command.

    It reads ``::command`` at the beginning of a line, and the older ``##[command]`` anywhere
    in it, on stdout and on stderr (actions/runner, ``ActionCommand.cs``).
    """
    line = line.replace("##[", "## [")
    return line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line


def _kind(entry: Entry) -> str:
    if blocks(entry):
        return "error"
    return "warning" if entry["tier"] == "warn" and not entry["waiver"] else "notice"


def _first(kind: str, lines: list[str], path: str) -> list[str]:
    if len(lines) <= PER_KIND:
        return lines
    kept = lines[: PER_KIND - 1]
    rest = f"and {len(lines) - len(kept)} more of this kind; the step summary and the gate's record have all."
    return [*kept, _command(kind, path, 1, "fmaudit gate", rest)]


def _command(kind: str, path: str, line: int, title: str, text: str) -> str:
    place = f"file={_property(short(path, 2 * NAME_LENGTH))},line={max(1, line)},title={_property(title)}"
    return f"::{kind} {place}::{_data(text)}"


def _data(text: str) -> str:
    escaped = inert(short(text, 2000)).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
