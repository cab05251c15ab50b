"""Error rates of a classifier by group on the user's labelled file, equal to fairlearn's MetricFrame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from fmaudit.errors import DataError, ProbeError
from fmaudit.probe import Binary, Gap, Item, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Classify, LabelScores, Request, Response
from fmaudit_probes.downstream.label_names import (
    UnknownLabel,
    label_position,
    other_numbering,
    whole_number,
)

if TYPE_CHECKING:
    from fmaudit.data import Dataset

GROUP_PREFIX = "group"
POSITIVES, NEGATIVES = ("actual_positive", 1), ("actual_positive", 0)


def _rate(id: str, title: str, among: tuple[str, int] | None) -> Rate:
    return Rate(id, of="predicted_positive", among=among, direction="none", title=title)


def _gap(id: str, title: str, among: tuple[str, int] | None) -> Gap:
    return Gap(
        id, of="predicted_positive", columns=GROUP_PREFIX, among=among,
        eps=0.1, delta=0.05, headline=True, title=title,
    )  # fmt: skip


def _difference(id: str, title: str, among: tuple[str, int] | None) -> Gap:
    return Gap(
        id, of="predicted_positive", columns=GROUP_PREFIX, among=among,
        signed=True, direction="target", title=title,
    )  # fmt: skip


@probe("downstream.group_fairness", version=2, dataset="group_labels")
class GroupFairness(Probe):
    """Does a classifier err differently from group to group?

    The file has columns ``text``, ``label`` and one or more whose names begin
    with ``group``; ``positive`` names the positive label, which is otherwise the
    second label of a two-label classifier. A label of the file is a label of the
    classifier, or its position where no label is named by a number. ``outcome`` is 1
    where the most probable label is wrong; ``severity`` is the largest probability
    of a wrong label minus that of
    the right one, in [-1, 1].
    """

    title = "True-positive, false-positive and selection rates by group"
    needs = ("classify",)
    limits = (
        "Holds for the user's file alone: its labels and its group columns are taken as true.",
        "The value of a largest-minus-smallest gap is biased upward by noise, the more so the more and the "
        "smaller the groups; its interval is decided by pairs of groups and is not.",
        "A group without a text in the denominator of a rate takes no part in its gap, and is named.",
        "With several group columns the gap is the largest of the columns; their combinations "
        "are not examined.",
        "Equal rates can hide unequal harm, and the gaps cannot all be zero where the base rates differ.",
        "The most probable label is the prediction; another threshold gives other rates.",
    )
    measures = (
        Binary("outcome", description="the most probable label is wrong"),
        Real(
            "severity",
            low=-1.0,
            high=1.0,
            direction="lower_is_better",
            description="largest probability of a wrong label minus that of the right label",
        ),
        Binary("actual_positive", direction="none", description="the file says positive"),
        Binary("predicted_positive", direction="none", description="the classifier says positive"),
    )
    metrics = (
        Rate("error_rate", title="Share of texts with a wrong prediction"),
        _rate("tpr", "True-positive rate", POSITIVES),
        _rate("fpr", "False-positive rate", NEGATIVES),
        _rate("selection_rate", "Selection rate", None),
        _gap("tpr_gap", "Gap of true-positive rates between groups", POSITIVES),
        _gap("fpr_gap", "Gap of false-positive rates between groups", NEGATIVES),
        _gap("selection_gap", "Gap of selection rates between groups", None),
        _difference("tpr_difference", "Two groups: true-positive rate, second minus first", POSITIVES),
        _difference("fpr_difference", "Two groups: false-positive rate, second minus first", NEGATIVES),
        _difference("selection_difference", "Two groups: selection rate, second minus first", None),
    )

    def items(self, data: Dataset) -> Iterator[Item]:
        """One item a row, sliced by its group columns. Raises DataError where a row has no group."""
        numbers: dict[str, int] = {}
        for number, row in enumerate(data.rows):
            if whole_number(str(row["label"])) is not None:
                numbers.setdefault(str(row["label"]), number + 1)
        listed = json.dumps(numbers)
        for number, row in enumerate(data.rows):
            groups = {name: value for name, value in row.items() if name.startswith(GROUP_PREFIX)}
            if not groups:
                raise DataError(
                    f"data set {data.id}: no column begins with {GROUP_PREFIX!r}; name the group column so"
                )
            for name, value in groups.items():
                if value is None or value == "":
                    raise DataError(
                        f"data set {data.id}: row {number + 1} has no {name}; fill it or leave the row out"
                    )
            yield Item(
                id=f"row-{number:06d}",
                payload={
                    "text": row["text"],
                    "label": str(row["label"]),
                    "positive": row.get("positive"),
                    "numbers": listed,
                },
                slices={name: str(value) for name, value in groups.items()},
            )

    def requests(self, item: Item) -> Sequence[Request]:
        """The text, classified once."""
        return (Classify(str(item.payload["text"])),)

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation:
        """Hold the prediction against the label; invalid where a label is not one of the classifier's.

        Raises ProbeError where the numbers in the file are not the classifier's numbers.
        """
        scores = cast(LabelScores, responses[0])
        if wrong_numbers := other_numbering(
            json.loads(str(item.payload.get("numbers", "{}"))), scores.labels
        ):
            raise ProbeError(f"probe {self.id}: {wrong_numbers}")
        try:
            right = label_position(str(item.payload["label"]), scores.labels)
            positive = self._positive(item, scores.labels)
        except UnknownLabel as error:
            return Observation({}, invalid={measure.id: str(error) for measure in self.measures})
        predicted = scores.labels.index(scores.best)
        wrong = max(p for index, p in enumerate(scores.probability) if index != right)
        return Observation(
            {
                "outcome": int(predicted != right),
                "severity": wrong - scores.probability[right],
                "actual_positive": int(right == positive),
                "predicted_positive": int(predicted == positive),
            }
        )

    @staticmethod
    def _positive(item: Item, labels: Sequence[str]) -> int:
        if len(labels) < 2:
            raise UnknownLabel("the classifier has a single label: nothing to tell apart")
        named = item.payload.get("positive")
        if named not in (None, ""):
            return label_position(str(named), labels)
        if len(labels) != 2:
            raise UnknownLabel(
                f"the classifier has {len(labels)} labels: name the positive one in a column positive"
            )
        return 1
