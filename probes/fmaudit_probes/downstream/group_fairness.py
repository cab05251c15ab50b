"""Error rates of a classifier by group on the user's labelled file, by fairlearn's MetricFrame."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from fmaudit.errors import DataError, ProbeError
from fmaudit.probe import Binary, Item, Observation, Probe, Rate, Real, Statistic, Table, probe
from fmaudit.requests import Classify, LabelScores, Request, Response
from fmaudit_probes.downstream.label_names import (
    UnknownLabel,
    label_position,
    other_numbering,
    whole_number,
)

if TYPE_CHECKING:
    import numpy as np

    from fmaudit.data import Dataset

RateName: TypeAlias = Literal["true_positive_rate", "false_positive_rate", "selection_rate"]
GROUP_PREFIX = "group"
NEEDS = ("actual_positive", "predicted_positive")


def _counted(rate: RateName, actual: np.ndarray) -> np.ndarray:
    """The rows in the denominator of ``rate``."""
    import numpy as np

    if rate == "selection_rate":
        return np.ones(len(actual), dtype=bool)
    return np.asarray(actual == (1 if rate == "true_positive_rate" else 0))


def rates_by_group(
    rate: RateName, actual: np.ndarray, predicted: np.ndarray, group: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    """Weighted ``rate`` of each group in sorted order; NaN where its denominator is empty."""
    import numpy as np

    names, index = np.unique(group, return_inverse=True)
    share = weight * _counted(rate, actual)
    below = np.bincount(index, share, len(names))
    above = np.bincount(index, share * predicted, len(names))
    return {
        str(name): float(above[i] / below[i]) if below[i] > 0 else math.nan for i, name in enumerate(names)
    }


def fairlearn_rates_by_group(
    rate: RateName, actual: np.ndarray, predicted: np.ndarray, group: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    """As :func:`rates_by_group`, by fairlearn's MetricFrame.

    fairlearn gives 0 where a rate has no denominator; here it is NaN.
    """
    import fairlearn.metrics
    import numpy as np

    frame = fairlearn.metrics.MetricFrame(
        metrics=getattr(fairlearn.metrics, rate),
        y_true=actual.astype(int),
        y_pred=predicted.astype(int),
        sensitive_features=group,
        sample_params={"sample_weight": weight},
    )
    defined = {str(name) for name in np.unique(group[_counted(rate, actual) & (weight > 0)])}
    return {
        str(name): float(value) if str(name) in defined else math.nan
        for name, value in frame.by_group.items()
    }


def _rates(rate: RateName, table: Table, group: np.ndarray) -> dict[str, float]:
    """Rates by group of the valid rows.

    Items have equal weight here, so unequal weights are those of a resampling:
    a MetricFrame a draw would take minutes, the vectorised form gives the same
    numbers (proved in the tests).
    """
    import numpy as np

    actual, predicted = (table.columns[name] for name in NEEDS)
    valid = np.isfinite(actual) & np.isfinite(predicted)
    if not valid.any():
        return {}
    weight = table.weight[valid]
    resampled = bool(weight.min() != weight.max())
    by_group = rates_by_group if resampled else fairlearn_rates_by_group
    return by_group(rate, actual[valid], predicted[valid], group[valid], weight)


def _group_columns(table: Table) -> list[np.ndarray]:
    return [table.slices[name] for name in sorted(table.slices) if name.startswith(GROUP_PREFIX)]


def overall_rate(rate: RateName, table: Table) -> float:
    """``rate`` over all rows of ``table``; NaN without a row in the denominator."""
    import numpy as np

    return _rates(rate, table, np.full(len(table.weight), "all")).get("all", math.nan)


def rate_gap(rate: RateName, table: Table) -> float:
    """Largest minus smallest ``rate`` over the groups, in [0, 1]; of several group columns the largest gap.

    NaN where there are fewer than two groups or a group has no row in the denominator.
    """
    gaps = []
    for group in _group_columns(table):
        rates = list(_rates(rate, table, group).values())
        if len(rates) < 2 or any(math.isnan(value) for value in rates):
            return math.nan
        gaps.append(max(rates) - min(rates))
    return max(gaps, default=math.nan)


def rate_difference(rate: RateName, table: Table) -> float:
    """``rate`` of the second of exactly two groups (sorted) minus that of the first, in [-1, 1].

    NaN with several group columns or another number of groups.
    """
    columns = _group_columns(table)
    rates = list(_rates(rate, table, columns[0]).values()) if len(columns) == 1 else []
    return rates[1] - rates[0] if len(rates) == 2 else math.nan


def _statistic(
    id: str,
    fn: Callable[[RateName, Table], float],
    rate: RateName,
    title: str,
    *,
    low: float = 0.0,
    by_slice: bool = False,
    gap: bool = False,
) -> Statistic:
    signed = low < 0
    return Statistic(
        id,
        partial(fn, rate),
        needs=NEEDS,
        worst=(low, 1.0),
        by_slice=by_slice,
        direction="lower_is_better" if gap else "target" if signed else "none",
        ideal=0.0 if gap or signed else None,
        eps=0.1 if gap else None,
        delta=0.05 if gap else None,
        headline=gap,
        title=title,
    )


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
        "A largest-minus-smallest gap is biased upward by noise, the more so the more and the smaller the "
        "groups; the signed difference, given for exactly two groups, is not.",
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
        _statistic("tpr", overall_rate, "true_positive_rate", "True-positive rate", by_slice=True),
        _statistic("fpr", overall_rate, "false_positive_rate", "False-positive rate", by_slice=True),
        _statistic("selection_rate", overall_rate, "selection_rate", "Selection rate", by_slice=True),
        _statistic(
            "tpr_gap", rate_gap, "true_positive_rate", "Gap of true-positive rates between groups", gap=True
        ),
        _statistic(
            "fpr_gap", rate_gap, "false_positive_rate", "Gap of false-positive rates between groups", gap=True
        ),
        _statistic(
            "selection_gap", rate_gap, "selection_rate", "Gap of selection rates between groups", gap=True
        ),
        _statistic(
            "tpr_difference",
            rate_difference,
            "true_positive_rate",
            "Two groups: true-positive rate, second minus first",
            low=-1.0,
        ),
        _statistic(
            "fpr_difference",
            rate_difference,
            "false_positive_rate",
            "Two groups: false-positive rate, second minus first",
            low=-1.0,
        ),
        _statistic(
            "selection_difference",
            rate_difference,
            "selection_rate",
            "Two groups: selection rate, second minus first",
            low=-1.0,
        ),
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
