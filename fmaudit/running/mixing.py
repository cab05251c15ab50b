"""One run, one environment: answers of other versions or machines are not mixed without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.errors import UsageError

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "alt-profanity-check",
)
PLACES = ("machine", "cpu", "device")


def is_pending(state: Mapping[str, Any]) -> bool:
    """Whether a begun run still has something to ask: it was cut off, or a measurement failed."""
    failed = any(entry.get("state") == "failed" for entry in state.get("measurements", ()))
    return failed or not state.get("finished")


def mixtures(
    state: Mapping[str, Any],
    tool: Mapping[str, Any],
    environment: Mapping[str, Any],
    folder: str,
    allowed: bool,
) -> list[str]:
    """One line for each earlier session that answered in another environment than this one.

    Args:
        state: Of the begun run.
        tool: Name and version of the tool now.
        environment: Versions, machine and device now.
        folder: Name of the run's folder.
        allowed: Whether the caller wants to go on all the same.

    Raises:
        UsageError: there is such a session, and mixing is not allowed.
    """
    now = _telling(tool, environment)
    lines: list[str] = []
    for session in state.get("sessions", ()):
        if not session.get("asked", True):
            continue
        before = _telling(
            session.get("tool") or state.get("tool") or {},
            session.get("environment") or state.get("environment") or {},
        )
        names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
        if not names:
            continue
        was, here = (
            ", ".join(f"{name} {side.get(name) or 'not there'}" for name in names) for side in (before, now)
        )
        if not allowed:
            raise UsageError(
                f"folder {folder} holds answers made with {was}, and here is {here}: rows of both would be "
                "compared as if nothing had changed; go back to what it was begun with, choose another "
                "folder with -o, or pass --allow-mixed to go on, which the report will say"
            )
        line = (
            f"Answers of this run are mixed (--allow-mixed): some were made with {was}, others with {here}."
        )
        if line not in lines:
            lines.append(line)
    return lines


def _telling(tool: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, str]:
    """What of an environment can change an answer, by name."""
    packages = environment.get("packages") or {}
    found = {name: packages.get(name) for name in PACKAGES} | {name: environment.get(name) for name in PLACES}
    found["fmaudit"] = tool.get("version")
    return {name: str(value) for name, value in found.items() if value is not None}
