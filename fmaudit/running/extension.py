"""A run that grows: the same audit asked of more items, keeping what was measured.

Items lie in one seeded random order and a limit takes its head, so the rows of a run cut
by ``-L`` are the first rows of the longer one. The longer run is another plan all the
same, and whoever looked at the shorter one first has to decide by anytime-valid
intervals: every extension records how often the run had been gated before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest
from fmaudit.evidence.directory import RunDirectory, first_difference, retest_key
from fmaudit.plan import BLOCK_ITEMS, PlannedMeasurement
from fmaudit.running.environment import now

SUPERSEDED = "superseded"
Remake = Callable[[Sequence[PlannedMeasurement], int | None], Mapping[str, Any]]


def extend(
    output: Path,
    planned: Sequence[PlannedMeasurement],
    limit: int | None,
    remake: Remake,
    check: Callable[[Mapping[str, Any]], object] = lambda state: None,
) -> bool:
    """Turn the run in ``output`` into the beginning of the longer one that is asked for, if it is that.

    Args:
        output: The run directory; it need not exist.
        planned: What is asked for now.
        limit: The limit asked for now.
        remake: The plan of measurements under a limit, everything else as asked for now.
        check: Given the state before anything of it is changed; raises to refuse.

    Returns:
        Whether it was extended. Any other difference is left for the caller to refuse.
    """
    run = RunDirectory(output)
    state = run.read_state() if output.is_dir() else None
    if state is None or not state.get("finished"):
        return False
    old: Mapping[str, Any] = state["plan"]
    asked = {key: int(entry["asked"]) for key, entry in old.get("measurements", {}).items()}
    wanted = {entry.key: entry for entry in planned if entry.items}
    if set(asked) != set(wanted) or any(len(wanted[key].items) < n for key, n in asked.items()):
        return False
    grown = {key for key, n in asked.items() if len(wanted[key].items) > n}
    heads = [entry.head(asked[entry.key]) if entry.key in asked else entry for entry in planned]
    if not grown or first_difference(old, remake(heads, old.get("limit"))):
        return False
    check(state)
    _drop_cut_blocks(run, state, asked, grown)
    _set_aside_gates(output, int(state.get("looks", 0)))
    plan = remake(planned, limit)
    extension = {"from": old.get("limit"), "to": limit, "looks": int(state.get("looks", 0)), "at": now()}
    run.write_state(
        state
        | {
            "plan": plan,
            "plan_digest": digest(plan),
            "measurements": [entry for entry in state["measurements"] if entry["key"] not in grown],
            "retests": [name for name in state.get("retests", ()) if name.partition("/")[2] not in grown],
            "extensions": [*state.get("extensions", ()), extension],
            "finished": False,
        }
    )
    return True


def _drop_cut_blocks(
    run: RunDirectory, state: Mapping[str, Any], asked: Mapping[str, int], grown: set[str]
) -> None:
    """Remove the last block of a measurement where the limit cut it: it is asked again, whole.

    Before the state is written: a kill in between leaves a run that the same command extends again.
    """
    for subject in (entry["id"] for entry in state["subjects"]):
        for key in grown:
            if asked[key] % BLOCK_ITEMS:
                for folder in (key, retest_key(key)):
                    run.drop_block(subject, folder, asked[key] // BLOCK_ITEMS)


def _set_aside_gates(output: Path, looks: int) -> None:
    """Keep the records of earlier looks, where nobody takes them for verdicts on the longer run."""
    for path in sorted((output / "gate").glob("*")):
        if path.is_file():
            aside = path.parent / SUPERSEDED / f"look-{looks:03d}-{path.name}"
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
