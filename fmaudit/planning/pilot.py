"""What a finished run tells about the next: how rows vary, how alike the rows of a cluster are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import beta, chi2

from fmaudit.analysis import pairs
from fmaudit.analysis.claims import Claim, ClaimKind, RunNumbers
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.records import slices
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.planning.claims import PlannedClaim
from fmaudit.probe import Rate
from fmaudit.schema import Numbers
from fmaudit.statistics import mde
from fmaudit.statistics.layout import intraclass

SAFETY = 0.8
"""One-sided confidence of the limits taken from a pilot: it is small, and a plan should not be short."""
_LEVEL = 0.9
_CHANGES = ("change", "release change", "contrast change")


@dataclass(frozen=True)
class PilotFacts:
    """What a pilot shows of one claim; None where it shows nothing.

    ``value``: its number. ``spread``: upper limit of the discordance of a change of a rate,
    else of the standard deviation of one item, clusters counted in. ``icc``: upper limit
    of the intraclass correlation by factor. ``items``: items it rests on.
    """

    value: float | None
    spread: float | None
    icc: Mapping[str, float]
    items: int


def worst_of(facts: Sequence[PilotFacts], low: float | None, high: float | None) -> PilotFacts | None:
    """The facts of several models as one: the widest spread, and the value nearest to a limit."""
    if not facts:
        return None

    def room(value: float) -> float:
        return min(inf if high is None else high - value, inf if low is None else value - low)

    values = [one.value for one in facts if one.value is not None]
    spreads = [one.spread for one in facts if one.spread is not None]
    factors = {factor for one in facts for factor in one.icc}
    return PilotFacts(
        value=min(values, key=room) if values else None,
        spread=max(spreads) if spreads else None,
        icc={factor: max(one.icc[factor] for one in facts if factor in one.icc) for factor in factors},
        items=min(one.items for one in facts),
    )


class Pilot:
    """A finished run. Raises UsageError for a folder that is none."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        state = RunDirectory(folder).read_state() if folder.is_dir() else None
        if not state or not state.get("finished"):
            raise UsageError(f"--pilot {folder}: there is no finished run in this folder; give one that is")
        self._state: Mapping[str, Any] = state
        self._numbers = RunNumbers(RunDirectory(folder))

    def facts(self, claim: PlannedClaim, model: str, role: str) -> PilotFacts | None:
        """What the pilot shows of a claim about a model: by its id, else by its role; None without rows."""
        subject = self._subject(claim, model, role)
        if subject is None or claim.entry is None or claim.metric is None:
            return None
        try:
            return self._facts(claim, subject)
        except ExecutionError:
            # Another probe version, a slice that the pilot does not have: it tells nothing of this claim.
            return None

    def _subject(self, claim: PlannedClaim, model: str, role: str) -> str | None:
        key = claim.entry.key if claim.entry else ""
        measured = {
            entry["subject"]
            for entry in self._state["measurements"]
            if entry["state"] == "measured" and entry["key"] == key
        }
        if model in measured:
            return model
        alike = [one["id"] for one in self._state["subjects"] if one["role"] == role]
        return next((name for name in alike if name in measured), None)

    def _facts(self, claim: PlannedClaim, subject: str) -> PilotFacts:
        assert claim.entry is not None
        assert claim.metric is not None
        change = claim.kind in _CHANGES
        kind: ClaimKind = "change" if change else "level"
        if claim.contrast is not None:
            kind = "contrast change" if change else "contrast"
        probe = claim.entry.probe.id
        number = self._numbers.number(
            Claim(
                kind,
                subject,
                f"{subject}/{claim.entry.key}",
                f"{probe}/{claim.metric.id}",
                claim.slice,
                claim.contrast.id if claim.contrast else "",
                "base" if change else "",
            ),
            _LEVEL,
        )
        if isinstance(claim.metric, Rate) and claim.contrast is None:
            return self._of_rate(claim, claim.metric, subject, number.value, change)
        spread = None
        if number.lower is not None and number.upper is not None and number.n > 1:
            spread = _error(number) * number.n**0.5
            freedom = max(min(number.clusters.values(), default=number.n), 2) - 1
            spread *= float((freedom / chi2.ppf(1 - SAFETY, freedom)) ** 0.5)
        return PilotFacts(number.value, spread or None, {}, number.n)

    def _of_rate(
        self, claim: PlannedClaim, metric: Rate, subject: str, value: float | None, change: bool
    ) -> PilotFacts:
        assert claim.entry is not None
        new = self._numbers.rows(f"{subject}/{claim.entry.key}")
        if change:
            old = self._numbers.rows(f"base/{claim.entry.key}")
            whole = pairs.pair_up(old.answers, new.answers)
            mask = _mask(claim, metric, MeasuredRows(**{**vars(new), "answers": whole.base}))
            sides = [
                item_values(metric, side.take(mask), new.probe.measures).values
                for side in (whole.base, whole.adapted)
            ]
            values, answers = sides[1] - sides[0], whole.base.take(mask)
        else:
            mask = _mask(claim, metric, new)
            answers = new.answers.take(mask)
            values = item_values(metric, answers, new.probe.measures).values
        seen = ~np.isnan(values)
        values, n = values[seen], int(seen.sum())
        if not n:
            return PilotFacts(None, None, {}, 0)
        found = {
            factor: intraclass(values, labels[seen], SAFETY) for factor, labels in answers.clusters.items()
        }
        icc = {factor: pair[1] for factor, pair in found.items() if pair is not None}
        spread = _upper_share(float(np.abs(values).sum()), n) if change else None
        return PilotFacts(value, spread, icc, n)


def _error(number: Numbers) -> float:
    """Standard error; of the interval's width only where nothing else is known of it."""
    if number.mde is not None:
        # A limit in a declared range is wider by what was not seen, which is no spread.
        return number.mde / mde(1.0, number.level)
    assert number.lower is not None
    assert number.upper is not None
    return (number.upper - number.lower) / 2 / NormalDist().inv_cdf((1 + _LEVEL) / 2)


def _mask(claim: PlannedClaim, metric: Rate, rows: MeasuredRows) -> np.ndarray:
    for slice_, chosen in slices(metric, rows.answers):
        if slice_ == claim.slice:
            return chosen
    raise ExecutionError(f"the rows of {rows.id} have no slice {claim.slice}")


def _upper_share(events: float, n: int) -> float:
    """One-sided Clopper-Pearson limit; samples of an item may count in part."""
    return 1.0 if events >= n else float(beta.ppf(SAFETY, events + 1, n - events))
