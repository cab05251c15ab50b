"""One number against one limit, by the functions of the gate: rows, their interval, the verdict.

What a whole policy adds (parsing, many rules, the run's files) is studied with rates; here
many thousand numbers are held against their limit, so only what decides them is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from benchmarks.studies.gate.study import Cell
from fmaudit.analysis import pairs
from fmaudit.analysis.decisive import decisive_contrast_change
from fmaudit.analysis.numbers import Settings, estimate
from fmaudit.analysis.tables import Answers
from fmaudit.gate.verdict import Limit, Requirements, Verdict, beyond, obstacle, passes, two_sided
from fmaudit.probe import Contrast, Mean, Measure, Metric, Rate
from fmaudit.schema import Numbers

CONFIDENCE = 0.95
SETTINGS = Settings(level=two_sided(CONFIDENCE))
GROUP, PLUS, MINUS = "group", "plus", "minus"
BETWEEN = Contrast("difference", "x", GROUP, PLUS, MINUS)


def verdict(number: Numbers, limit: Limit) -> Verdict:
    """What the gate says of one blocking rule with a one-sided limit."""
    needs = Requirements(min_n=30)
    stopped = obstacle(number, needs)
    if stopped is not None:
        return stopped.verdict
    return "fail" if beyond(number, limit) else passes(number, limit, needs).verdict


@dataclass(frozen=True)
class Rows:
    """Values of base and adapted subject, shape (n,), and which rows are in the first group."""

    adapted: np.ndarray
    base: np.ndarray | None = None
    plus: np.ndarray | None = None


def number(rows: Rows, metric: Metric, measures: Sequence[Measure]) -> Numbers:
    """The number that the gate decides on: a level, a change, a contrast or its change."""
    new = answers(rows.adapted, rows.plus)
    if rows.base is None:
        fields = (
            estimate(metric, new, measures, SETTINGS)
            if rows.plus is None
            else pairs.contrast(BETWEEN, metric, new, measures, SETTINGS)
        )
    else:
        pair = pairs.Pair(answers(rows.base, rows.plus), new)
        fields = (
            pairs.compare(metric, pair, measures, SETTINGS)
            if rows.plus is None
            else pairs.contrast_of_change(BETWEEN, metric, pair, measures, SETTINGS)
        )
        if rows.plus is not None and isinstance(metric, Rate):
            fields = decisive_contrast_change(fields)
    return Numbers(**{name: value for name, value in fields.items() if name in Numbers.model_fields})


def answers(values: np.ndarray, plus: np.ndarray | None) -> Answers:
    """Independent rows of one measure ``x``."""
    slices = {} if plus is None else {GROUP: np.where(plus, PLUS, MINUS).astype(object)}
    n = len(values)
    return Answers(
        item_ids=np.arange(n).astype(str).astype(object),
        weights=np.ones(n),
        clusters={},
        slices=slices,
        numeric={"x": values[:, None]},
        text={},
        reasons={},
    )


@contextmanager
def without_tests() -> Iterator[None]:
    """Leave p-values out: no verdict on a limit reads them, and they take most of the time."""
    with (
        patch("fmaudit.statistics.changes.sign_flip_p", lambda *_: (1.0, True)),
        patch("fmaudit.statistics.contrasts.permutation_p", lambda *_: (1.0, True)),
        patch("fmaudit.statistics.contrasts.swap_p", lambda *_: (1.0, True)),
    ):
        yield


def held(
    words: tuple[str, ...],
    draw: Callable[[np.random.Generator], Rows],
    metric: Metric,
    measures: Sequence[Measure],
    limit: float,
    sets: int,
    seed: Sequence[int],
) -> Cell:
    """Draw ``sets`` data sets and hold each against ``max: limit``."""
    rng = np.random.default_rng(list(seed))
    said = []
    with without_tests():
        for _ in range(sets):
            rows = draw(rng)
            said.append(verdict(number(rows, metric, measures), Limit(None, limit)))
    return Cell(words, len(rows.adapted), said.count("pass") / sets, said.count("fail") / sets, sets)


MEAN = Mean("x", of="x", direction="lower_is_better")
