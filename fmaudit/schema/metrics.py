"""What an audit knows of its metrics, by variant: two variants of a probe may differ in range and ideal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fmaudit.question import Question
from fmaudit.schema.audit import Audit, Measurement, MetricInfo


class OfMetric(Protocol):
    """A number of an audit: an estimate, contrast, comparison or homogenization."""

    @property
    def metric(self) -> str:
        """``probe/metric``."""
        ...

    @property
    def measurement(self) -> str:
        """Id of the measurement, or its key within a subject."""
        ...


@dataclass(frozen=True)
class MetricTable:
    """Metrics by id and variant, and the variant of every measurement by its id and key."""

    infos: Mapping[tuple[str, str], MetricInfo]
    variants: Mapping[str, str]

    def get(self, metric: str, variant: str) -> MetricInfo | None:
        """A metric as a variant declares it; as another one does where that one declares none."""
        found = self.infos.get((metric, variant)) or self.infos.get((metric, ""))
        return found or next((info for (name, _), info in self.infos.items() if name == metric), None)

    def at(self, metric: str, measurement: str) -> MetricInfo | None:
        """The metric as the variant of a measurement, named by id or key, declares it."""
        return self.get(metric, self.variants.get(measurement, ""))

    def of(self, number: OfMetric) -> MetricInfo | None:
        """The metric of a number."""
        return self.at(number.metric, number.measurement)

    def declared(self, question: Question) -> list[MetricInfo]:
        """Every metric of a question's probe, as its variant declares them."""
        ids = dict.fromkeys(info.id for info in self.infos.values() if info.probe == question.probe)
        found = (self.get(name, question.variant) for name in ids)
        return [info for info in found if info is not None]


def metric_table(metrics: Iterable[MetricInfo], measurements: Iterable[Measurement]) -> MetricTable:
    """Index metrics and measurements."""
    variants: dict[str, str] = {}
    for measurement in measurements:
        variants[measurement.id] = measurement.variant
        variants.setdefault(measurement.question.key, measurement.variant)
    return MetricTable({(info.id, info.variant): info for info in metrics}, variants)


def metrics_of(audit: Audit) -> MetricTable:
    """The metrics of an audit."""
    return metric_table(audit.metrics, audit.measurements)
