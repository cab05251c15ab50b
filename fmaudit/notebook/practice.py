"""A finished run to practise on: a small family of models with planted defects, made on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fmaudit.evidence.directory import AUDIT_FILE

if TYPE_CHECKING:
    from fmaudit.api import Run

VARIABLE = "FMAUDIT_NOTEBOOK_RUN"
CHILDREN = ("clean", "counter", "new-defect")


def practice_run(folder: str | Path = "runs/practice", seed: int = 1) -> Run:
    """The run in ``folder``, made where it is not there yet; offline, in minutes on two cores.

    A base with four planted defects, three models adapted from it and three
    unrelated references are trained and audited. The environment variable
    ``FMAUDIT_NOTEBOOK_RUN`` names a finished run to take instead.

    Args:
        folder: of the models, their data and the run.
        seed: of the family.
    """
    from fmaudit.api import open_run

    given = os.environ.get(VARIABLE)
    place = Path(given) if given else Path(folder) / "audit"
    return open_run(place) if given or (place / AUDIT_FILE).is_file() else _made(Path(folder), seed)


def _made(folder: Path, seed: int) -> Run:
    from fmaudit.api import audit
    from fmaudit.running.options import RunOptions
    from fmaudit.specimens.auditing import audit_arguments
    from fmaudit.specimens.family import build_family
    from fmaudit.specimens.presets import standard_family

    chosen = audit_arguments(build_family(standard_family(seed, "small", CHILDREN), folder))
    options = RunOptions(data=chosen.data, datasets=tuple(chosen.data), samples=chosen.samples)
    return audit(
        chosen.base, chosen.adapted, chosen.references, chosen.probes, folder / "audit", options=options
    )
