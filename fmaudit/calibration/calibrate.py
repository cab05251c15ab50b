"""Carry out a calibration: examine every specimen of the ladder, and write what the probes found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fmaudit.calibration.asking import Finding, Places, examine
from fmaudit.calibration.ladder import Asked, Ladder, Specimen, specimens
from fmaudit.calibration.record import calibration, document, markdown
from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.instruments import open_instrument
from fmaudit.instruments.base import DEFAULT
from fmaudit.running.options import Progress
from fmaudit.schema import Calibration

JSON_FILE, TABLE_FILE = "calibration.json", "calibration.md"


def calibrate(
    ladder: Ladder, asked: Sequence[Asked], places: Places, progress: Progress, jobs: int = 2
) -> list[Calibration]:
    """Train and ask what is not trained and asked yet, and say what each probe found.

    Args:
        ladder: doses, training seeds, items.
        asked: the probes, each with its defect.
        places: where answers are kept and models are cached.
        progress: told of every specimen examined.
        jobs: specimens examined at the same time, each in a process of its own.

    Raises:
        ExecutionError: a training diverged, or rows could not be written.
        ProbeError: a probe breaks its contract.
        UsageError: the instrument cannot be opened.
    """
    models = specimens(ladder)
    findings: list[Finding] = []
    progress.start(f"calibrating {len(asked)} probes on {len(models)} specimens", len(models))
    try:
        for found in _examined(models, ladder, asked, places, jobs):
            findings += found
            progress.advance(1)
    finally:
        progress.finish()
    return [
        calibration(entry, [found for found in findings if found.defect == entry.defect], ladder)
        for entry in asked
    ]


def without_instrument(asked: Sequence[Asked]) -> tuple[list[Asked], str]:
    """The probes that need an instrument where none can be opened, and why; none where it can."""
    scored = [entry for entry in asked if entry.probe.instruments]
    if not scored:
        return [], ""
    try:
        open_instrument(DEFAULT, "cpu")
    except UsageError as error:
        return scored, str(error)
    return [], ""


def write(found: Sequence[Calibration], output: Path) -> Path:
    """Write ``calibration.json`` and ``calibration.md``; returns the path of the former."""
    write_atomically(output / JSON_FILE, _json(document(found)))
    write_atomically(output / TABLE_FILE, markdown(found).encode())
    return output / JSON_FILE


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _examined(
    models: Sequence[Specimen], ladder: Ladder, asked: Sequence[Asked], places: Places, jobs: int
) -> Iterator[list[Finding]]:
    if jobs == 1:
        for model in models:
            yield examine(model, ladder, asked, places)
        return
    with ProcessPoolExecutor(min(jobs, len(models)), mp_context=get_context("spawn")) as pool:
        try:
            waiting = [pool.submit(examine, model, ladder, asked, places) for model in models]
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
