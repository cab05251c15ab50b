"""What the demo plants and what it asks, at full size and with ``--quick``."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.demo.train import Recipe

SEED = 20


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Sizes of one demo.

    ``pairs``: members, and as many controls. ``canaries_per_count``: canaries at
    each number of repeats. ``probes`` and ``datasets``: what is asked, None for all.
    ``samples``: continuations a prompt.
    Every data set is asked whole: a limit would leave nothing to conclude.
    """

    pairs: int
    canaries_per_count: int
    references: int
    recipe: Recipe
    probes: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    samples: int | None = 5
    seed: int = SEED


FULL = DemoPlan(pairs=64, canaries_per_count=8, references=500, recipe=Recipe(epochs=7, seed=SEED))
QUICK = DemoPlan(
    pairs=32,
    canaries_per_count=0,
    references=0,
    recipe=Recipe(epochs=6, seed=SEED),
    probes=("memorization.extraction", "downstream.capability"),
    datasets=("extraction_records", "neutral_texts"),
)
