"""The page of all studies: written whole, or some sections anew and the others as they stand."""

from __future__ import annotations

import time
from collections.abc import Collection
from multiprocessing import get_context
from pathlib import Path

from benchmarks.studies.gate.registry import STUDIES
from benchmarks.studies.gate.study import GateStudy, table

HEAD = """\
# How often the gate is right

Written by `python -m benchmarks.studies.gate docs/studies/gate.md`. Simulated rows of base and adapted
model, read by the gate's own functions and held against a limit. *limit*: the truth lies exactly there, so
that a pass or a failure is wrong; *beyond*: a pass is wrong; *alternative*: a failure is wrong. `± MC`: the
larger Monte Carlo standard error of the two shares.
"""


def section(study: GateStudy, workers: int) -> str:
    """Simulate a study and write its section."""
    begun = time.monotonic()
    if workers > 1:
        with get_context("spawn").Pool(workers) as pool:
            cells = list(pool.imap(study.simulate, study.cases()))
    else:
        cells = [study.simulate(case) for case in study.cases()]
    took = f"{time.monotonic() - begun:.0f} s, {workers} process{'es' if workers > 1 else ''}."
    return f"## {study.title}\n\n{study.text.strip()} {took}\n\n{table(study.columns, cells)}\n"


def sections(page: str) -> dict[str, str]:
    """The sections of a page by their heading."""
    found: dict[str, str] = {}
    for part in ("\n" + page).split("\n## ")[1:]:
        found[part.partition("\n")[0].strip()] = f"## {part.rstrip()}\n"
    return found


def write_page(path: Path, only: Collection[str] = (), workers: int = 2) -> None:
    """Write the page; with ``only``, run those studies anew and keep the other sections of the file.

    Raises:
        ValueError: A study is unknown.
    """
    unknown = sorted(set(only) - {study.name for study in STUDIES})
    if unknown:
        names = ", ".join(study.name for study in STUDIES)
        raise ValueError(f"no study {', '.join(unknown)}: there are {names}")
    old = sections(path.read_text(encoding="utf-8")) if only and path.is_file() else {}
    parts = [
        section(study, workers) if not only or study.name in only else old.get(study.title, "")
        for study in STUDIES
    ]
    path.write_text("\n".join([HEAD, *(part for part in parts if part)]), encoding="utf-8")
