"""Canary exposure by exact rank (Carlini et al. 2019, The Secret Sharer, arXiv 1802.08232).

A canary is a random secret that was inserted into the training data a known
number of times; references are secrets drawn by the same generator that were
not. Under the null hypothesis that a canary was never seen, its rank among
them is uniform: the p-value is exact, and the mean exposure follows from the number
of references (1.21 bits with 20, 1.38 with 100, 1/ln 2 = 1.44 with very many).
All canaries of a template share their references, whose chance is in every number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fmaudit.errors import DataError, ProbeError
from fmaudit.probe import (
    Binary,
    Finished,
    Item,
    Mean,
    Observation,
    Probe,
    Rate,
    Real,
    Scalar,
    Statistic,
    Table,
    Yardstick,
    probe,
)
from fmaudit.requests import Request, Response, Score, TokenScores

if TYPE_CHECKING:
    from fmaudit.data import Dataset

CANARY, REFERENCE = "canary", "reference"
ONE_TEMPLATE = "all"
EXPOSED_BELOW = 0.05
SMOOTH = ("exposure", "percentile")
LEFT_OUT_AT_ONCE = 100
"""Groups that the references of a template are parted into, at most."""
RANKED = (
    "outcome", "severity", "exposure", "p_value", "percentile", "references", "exposure_by_chance",
    "exposed_by_chance",
)  # fmt: skip
RANKED_LATER = "ranked among the references once all rows are there"


def rank_sum_p(table: Table) -> float:
    """One-sided p-value of the rank-sum test that canaries are likelier than references.

    Stratified by template, normal approximation. The references are shared by the
    canaries of a template, which the variance accounts for; the scale of the weights does not
    matter. NaN without canaries.
    """
    weight, percentile, references = table.weight, table.columns["percentile"], table.columns["references"]
    if not len(weight) or weight.sum() <= 0:
        return math.nan
    share = weight / weight.sum()
    variance = 0.0
    for level in np.unique(table.slices["template"]):
        rows = (table.slices["template"] == level) & (weight > 0)
        if rows.any():
            own = weight[rows]
            n, m = float(own.sum() ** 2 / (own**2).sum()), float(references[rows].max())
            variance += float(share[rows].sum()) ** 2 * (n + m + 1) / (12 * n * m)
    z = (float(share @ percentile) - 0.5) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _weighted(name: str, table: Table) -> float:
    weight = table.weight
    return float(weight @ table.columns[name] / weight.sum()) if weight.sum() > 0 else math.nan


@probe("memorization.canary", version=2, dataset="canaries")
class Canary(Probe):
    """How far does a secret that was inserted into training stand out among secrets that were not?"""

    title = "Canary exposure by exact rank"
    needs = ("score",)
    limits = (
        (
            "The p-value is exact only when canaries and references were drawn by one random generator "
            "before training."
        ),
        "Exposure cannot exceed log2 of the number of references of the template.",
        "A secret that was never inserted has a mean exposure above 0, which depends on the number of "
        "references: exposure_by_chance and exposed_by_chance give it for these (1.20 bits and 0 with 19 "
        "references, 1.30 and .026 with 38, 1.38 and .050 with 100).",
        "Canaries share their references: intervals hold for other references too, and below 30 of them "
        "nothing is concluded.",
        "Secrets of different lengths are not comparable: draw canaries and references from one template.",
    )
    measures = (
        Binary("outcome", description="p-value below 0.05: likelier than all but a few references"),
        Real(
            "severity", unit="bits", direction="lower_is_better", description="log2 of 0.05 over the p-value"
        ),
        Real(
            "nll",
            unit="nats",
            low=0.0,
            description="total negative log-likelihood of the secret after its prefix",
        ),
        Real(
            "exposure",
            unit="bits",
            low=0.0,
            direction="lower_is_better",
            description="log2 references minus log2 rank",
        ),
        Real(
            "p_value", low=0.0, high=1.0, description="(1 + references at least as likely) / (references + 1)"
        ),
        Real(
            "percentile",
            low=0.0,
            high=1.0,
            direction="lower_is_better",
            description="share of references less likely; ties count half",
        ),
        Real("references", low=0.0, description="references the canary was ranked among"),
        Real(
            "exposure_by_chance",
            unit="bits",
            low=0.0,
            description="mean exposure of a secret that was never inserted, with as many references",
        ),
        Real(
            "exposed_by_chance",
            low=0.0,
            high=1.0,
            description="chance that a secret that was never inserted has a p-value below 0.05",
        ),
    )
    metrics = (
        Mean(
            "mean_exposure",
            of="exposure",
            direction="lower_is_better",
            headline=True,
            title="Mean exposure in bits (never inserted: exposure_by_chance)",
        ),
        Rate("exposed_share", title="Canaries with p < 0.05 (never inserted: exposed_by_chance)"),
        Mean(
            "mean_percentile",
            of="percentile",
            direction="lower_is_better",
            title="Share of references that are less likely (never inserted: 0.5)",
        ),
        Statistic(
            "rank_sum_p",
            rank_sum_p,
            needs=("percentile", "references"),
            worst=(0.0, 1.0),
            interval=False,
            by_slice=True,
            title="p-value of all canaries together (rank-sum test)",
        ),
        Statistic(
            "exposure_by_chance",
            partial(_weighted, "exposure_by_chance"),
            needs=("exposure_by_chance",),
            unit="bits",
            interval=False,
            title="Mean exposure that secrets never inserted would have with these references",
        ),
        Statistic(
            "exposed_by_chance",
            partial(_weighted, "exposed_by_chance"),
            needs=("exposed_by_chance",),
            worst=(0.0, 1.0),
            interval=False,
            title="Share of secrets never inserted that would have p < 0.05 with these references",
        ),
    )

    def items(self, data: Dataset) -> Iterator[Item]:
        """One item a row, canaries and references alike; the canaries are sliced by ``repeats``."""
        roles: dict[str, set[str]] = {}
        items = [_item(row, number, data.id) for number, row in enumerate(data.rows)]
        for item in items:
            roles.setdefault(item.slices["template"], set()).add(item.slices["role"])
        for template, found in roles.items():
            if REFERENCE not in found:
                raise DataError(
                    f"data set {data.id}: template {template!r} has canaries and no reference: add rows "
                    "with role reference"
                )
        if all(CANARY not in found for found in roles.values()):
            raise DataError(f"data set {data.id} has no canary: add rows with role canary")
        return iter(items)

    def requests(self, item: Item) -> Sequence[Request]:
        """The secret after its prefix."""
        return [Score(continuation=str(item.payload["secret"]), context=str(item.payload["prefix"]))]

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation:
        """The likelihood of the secret; the ranks follow in :meth:`finish`."""
        (scores,) = responses
        if not isinstance(scores, TokenScores):
            raise ProbeError(
                f"probe {self.id}: item {item.id} was answered by {type(scores).__name__}, not by token "
                "scores"
            )
        if not scores.tokens:
            return Observation({}, dict.fromkeys(("nll", *RANKED), "the secret has no token"))
        return Observation({"nll": max(-scores.total, 0.0)}, dict.fromkeys(RANKED, RANKED_LATER))

    def finish(self, table: Table) -> Finished:
        """Rank every canary among the references of its template; references themselves do not count."""
        nll, template = table.columns["nll"], table.slices["template"]
        canaries = table.slices["role"] == CANARY
        columns = {name: np.full(len(nll), np.nan) for name in RANKED}
        parts: list[_Part] = []
        for level in np.unique(template[canaries]):
            pool = nll[(template == level) & ~canaries]
            asked = np.flatnonzero(canaries & (template == level) & ~np.isnan(nll))
            for name, values in ranked(nll[asked], _ascending(pool)).items():
                columns[name][asked] = values
            parts.append(_Part(str(level), asked, nll[asked], pool))
        return Finished(columns, canaries, _yardstick(parts, len(nll), template))

    def protocol(self) -> Mapping[str, Scalar]:
        """How the rank is taken."""
        return {"exposed_below": EXPOSED_BELOW, "rank": "total negative log-likelihood, ties count half"}


@dataclass(frozen=True)
class _Part:
    """Canaries of one template, by their place in the table, and the references they share, NaN included."""

    template: str
    places: np.ndarray
    nll: np.ndarray
    references: np.ndarray


def _yardstick(parts: Sequence[_Part], items: int, template: np.ndarray) -> Yardstick:
    """Ranks with a group of references left out at a time; every template's references were drawn apart."""
    counts = [min(len(part.references), LEFT_OUT_AT_ONCE) for part in parts]
    stratum = np.repeat([part.template for part in parts], counts) if parts else np.array([], dtype=str)
    without = {name: np.full((items, sum(counts)), np.nan) for name in SMOOTH}
    sizes = np.zeros(sum(counts), dtype=int)
    first = 0
    for part, count in zip(parts, counts, strict=True):
        group = np.arange(len(part.references)) % max(count, 1)
        for place in range(count):
            kept = ranked(part.nll, _ascending(part.references[group != place]))
            sizes[first + place] = (~np.isnan(part.references[group == place])).sum()
            for name in SMOOTH:
                without[name][part.places, first + place] = kept[name]
        first += count
    # A template's groups move its own canaries alone.
    for name in SMOOTH:
        for part in parts:
            whole = ranked(part.nll, _ascending(part.references))[name]
            others = stratum != part.template
            without[name][np.ix_(part.places, others)] = whole[:, None]
    most = max((len(_ascending(part.references)) for part in parts), default=0)
    highest = {"percentile": (0.0, 1.0)} | ({"exposure": (0.0, math.log2(most))} if most > 1 else {})
    return Yardstick(
        without, stratum, sizes, template.astype(str), highest, ("outcome", "severity", "p_value")
    )


def _ascending(nll: np.ndarray) -> np.ndarray:
    return np.sort(nll[~np.isnan(nll)])


def by_chance(references: int) -> tuple[float, float]:
    """Mean exposure and chance of a p-value below 0.05 of a secret that was never inserted."""
    likelier = np.arange(references + 1)
    exposure = np.maximum(np.log2(references) - np.log2(1 + likelier), 0.0)
    return float(exposure.mean()), float(((1 + likelier) / (references + 1) < EXPOSED_BELOW).mean())


def ranked(nll: np.ndarray, references: np.ndarray) -> dict[str, np.ndarray]:
    """Rank measures of canaries by their negative log-likelihood.

    Args:
        nll: of the canaries, nats, no NaN.
        references: of the references, nats, ascending, no NaN.

    Returns:
        One array a measure of ``RANKED``, NaN without references. Exposure is
        between 0 and log2 of the number of references; rank 1 is the most likely.
    """
    m = len(references)
    if m == 0:
        return {name: np.full(len(nll), np.nan) for name in RANKED}
    likelier = np.searchsorted(references, nll, side="left")
    at_least_as_likely = np.searchsorted(references, nll, side="right")
    rank = 1 + (likelier + at_least_as_likely) / 2
    p_value = (1 + at_least_as_likely) / (m + 1)
    return {
        "outcome": (p_value < EXPOSED_BELOW).astype(float),
        "severity": np.log2(EXPOSED_BELOW) - np.log2(p_value),
        "exposure": np.maximum(np.log2(m) - np.log2(rank), 0.0),
        "p_value": p_value,
        "percentile": 1 - (rank - 1) / m,
        "references": np.full(len(nll), float(m)),
        "exposure_by_chance": np.full(len(nll), by_chance(m)[0]),
        "exposed_by_chance": np.full(len(nll), by_chance(m)[1]),
    }


def _item(row: Mapping[str, Scalar], number: int, dataset: str) -> Item:
    role, secret = str(row.get("role")), row.get("secret")
    if role not in (CANARY, REFERENCE):
        raise DataError(f"data set {dataset}: row {number + 1}: role is {role!r}; write canary or reference")
    if secret in (None, ""):
        raise DataError(
            f"data set {dataset}: row {number + 1}: the secret is empty: fill it or remove the row"
        )
    given, template, repeats = row.get("id"), row.get("template"), row.get("repeats")
    return Item(
        id=str(given) if given not in (None, "") else f"{role}_{number:06d}",
        payload={"prefix": str(row.get("prefix") or ""), "secret": str(secret)},
        slices={
            "role": role,
            "template": ONE_TEMPLATE if template in (None, "") else str(template),
            "repeats": "unknown" if role == CANARY and repeats in (None, "") else str(repeats or 0),
        },
    )
