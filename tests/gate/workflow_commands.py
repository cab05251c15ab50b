"""What the runner of GitHub Actions takes for a command in a log line (actions/runner, ActionCommand.cs)."""

from __future__ import annotations

from dataclasses import dataclass

KNOWN = {
    "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice",
    "remove-matcher", "save-state", "set-env", "set-output", "warning",
}  # fmt: skip
_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
_PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))


@dataclass(frozen=True)
class Command:
    """A command as the runner carries it out."""

    name: str
    properties: dict[str, str]
    data: str


def command_in(line: str) -> Command | None:
    """The command of a line in either syntax, or None where the line is only shown."""
    assert "\n" not in line
    stripped = line.lstrip()
    if stripped.startswith("::") and "::" in stripped[2:]:
        head, _, data = stripped[2:].partition("::")
        found = _command(head, data, ",", _PROPERTY, _DATA)
        if found is not None:
            return found
    _, old, rest = line.partition("##[")
    if old and "]" in rest:
        head, _, data = rest.partition("]")
        return _command(head, data, ";", _DATA, _DATA)
    return None


def _command(head, data, separator, in_properties, in_data):
    name, _, listed = head.partition(" ")
    if name not in KNOWN:
        return None
    pairs = [part.partition("=") for part in listed.split(separator) if "=" in part]
    properties = {key.strip(): _decoded(value, in_properties) for key, _, value in pairs}
    return Command(name, properties, _decoded(data, in_data))


def _decoded(text, pairs):
    for escape, sign in pairs:
        text = text.replace(escape, sign)
    return text
