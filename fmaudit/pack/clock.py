"""Times that a pack records, held against this machine's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fmaudit.pack.bagit import INFO_FILE, PAYLOAD

TOLERANCE = timedelta(minutes=5)
"""How far two clocks may differ before one of them is called wrong."""


def clock_fault(state: Mapping[str, Any], label: Mapping[str, str], now: datetime) -> str:
    """One line where something recorded has not happened yet by this machine's clock; empty where all has."""
    late = [found for found in _recorded(state, label) if found[0] > now + TOLERANCE]
    if not late:
        return ""
    moment, what = max(late)
    return (
        f"this machine's clock ({now:%Y-%m-%dT%H:%M:%SZ}) is before {what} ({moment:%Y-%m-%dT%H:%M:%SZ}): "
        "set the clock; if it is right, do not trust the pack"
    )


def _recorded(state: Mapping[str, Any], label: Mapping[str, str]) -> Iterator[tuple[datetime, str]]:
    for session in state.get("sessions") or ():
        for name in ("begun", "ended"):
            moment = _moment(session.get(name))
            if moment is not None:
                yield moment, f"the run {name} in {PAYLOAD}run.json"
    try:
        day = date.fromisoformat(label.get("Bagging-Date", ""))
        # A day names no zone; it begins first at UTC+14.
        begins = datetime.combine(day, time(), UTC) - timedelta(hours=14)
    except (ValueError, OverflowError):
        return
    yield begins, f"the day of packing in {INFO_FILE}"


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo else None
    except (ValueError, OverflowError):
        return None
