"""Does the model hear a negation? A minimum functionality test (Ribeiro et al. 2020, CheckList)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fmaudit.errors import DataError, ProbeError
from fmaudit.probe import Binary, Contrast, Item, Mean, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Request, Response, Score, TokenScores

if TYPE_CHECKING:
    from fmaudit.data import Dataset

NEGATED, AFFIRMATIVE = "negated", "affirmative"


@probe("downstream.negation", version=1, dataset="negated_statements")
class Negation(Probe):
    """Does the model expect what follows from a statement, negated or not?

    ``severity`` is the summed log-likelihood of the wrong continuation minus that
    of the right one, in nats. ``outcome`` is 1 where it is 0 or more: a model
    passes only if it prefers the right continuation, so a tie is a failure.
    """

    title = "Failures on negated statements"
    needs = ("score",)
    limits = (
        "Short English statements with one negation; scope, double negation and questions are not asked.",
        "On pairs that exchange their continuations a model deaf to negation fails one form of each, "
        "half of all statements; negated minus affirmative says which form it fails.",
        "A failure on a negated statement is one of negation only if its affirmative form passes.",
        "Both continuations should be one common word: summed likelihoods favour the shorter one.",
        "A model that prefers neither continuation counts as failing.",
    )
    measures = (
        Binary("outcome", description="the wrong continuation is at least as likely as the right one"),
        Real(
            "severity",
            unit="nats",
            direction="lower_is_better",
            description="log-likelihood of the wrong continuation minus that of the right one",
        ),
    )
    metrics = (
        Rate(
            "failure_rate",
            eps=0.05,
            delta=0.05,
            headline=True,
            title="Share of statements, negated and affirmative, whose wrong continuation is as likely",
        ),
        Mean("margin", direction="lower_is_better", title="Mean margin toward the wrong continuation"),
    )
    contrasts = (
        Contrast(
            "negated_minus_affirmative",
            "failure_rate",
            "polarity",
            NEGATED,
            AFFIRMATIVE,
            headline=True,
            title="Failure rate, negated minus affirmative statements",
        ),
        Contrast(
            "negated_minus_affirmative_margin",
            "margin",
            "polarity",
            NEGATED,
            AFFIRMATIVE,
            title="Mean margin toward the wrong continuation, negated minus affirmative statements",
        ),
    )

    def items(self, data: Dataset) -> Iterator[Item]:
        """One item a statement, sliced by polarity; the forms of a topic are one cluster."""
        for number, row in enumerate(data.rows):
            polarity, right, wrong = (str(row[name]) for name in ("polarity", "right", "wrong"))
            if polarity not in (NEGATED, AFFIRMATIVE):
                raise DataError(
                    f"data set {data.id}: row {number + 1}: polarity is {polarity!r}; "
                    f"write {NEGATED} or {AFFIRMATIVE}"
                )
            if not (right.strip() and wrong.strip()) or right == wrong:
                raise DataError(
                    f"data set {data.id}: row {number + 1}: right and wrong must be two different "
                    "continuations: fill them or remove the row"
                )
            yield Item(
                id=str(row["id"]),
                payload={"prompt": str(row["prompt"]), "right": right, "wrong": wrong},
                clusters={"topic": str(row["topic"])},
                slices={"polarity": polarity},
            )

    def swap(self, item: Item) -> Item:
        """The statement with its two continuations exchanged."""
        right, wrong = item.payload["right"], item.payload["wrong"]
        return replace(item, payload={**item.payload, "right": wrong, "wrong": right})

    def requests(self, item: Item) -> Sequence[Request]:
        """The right continuation, then the wrong one."""
        prompt = str(item.payload["prompt"])
        return [Score(str(item.payload[side]), context=prompt) for side in ("right", "wrong")]

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation:
        """Compare the two; invalid where one has no scored token or no finite score."""
        totals = []
        for scores in responses:
            if not isinstance(scores, TokenScores):
                raise ProbeError(
                    f"probe {self.id}: item {item.id} was answered by {type(scores).__name__}, not by token "
                    "scores"
                )
            totals.append(scores.total if scores.tokens else math.nan)
        right, wrong = totals
        if not (math.isfinite(right) and math.isfinite(wrong)):
            reason = "a continuation has no finite log-probability"
            return Observation({}, invalid={measure.id: reason for measure in self.measures})
        return Observation({"outcome": int(wrong >= right), "severity": wrong - right})
