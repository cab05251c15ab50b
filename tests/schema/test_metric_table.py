"""Metrics of an audit by variant."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.analysis.records import metrics
from fmaudit.probe import Mean, Probe, Real, probe
from fmaudit.question import Question
from fmaudit.schema import Measurement, MetricInfo
from fmaudit.schema.metrics import metric_table


@dataclass(frozen=True)
class Number:
    metric: str
    measurement: str


def two_variants() -> list[Probe]:
    @probe("toy.scaled", version=1, dataset="items")
    class Scaled(Probe):
        title = "Scaled"
        variants = {"plain": ("score",), "percent": ("score",)}

        def __init__(self, variant: str = "plain") -> None:
            super().__init__(variant)
            top = 100.0 if variant == "percent" else 1.0
            self.measures = (Real("share", low=0.0, high=top, unit="%" if variant == "percent" else ""),)
            self.metrics = (Mean("share", of="share", direction="target", ideal=top / 2),)

    return [Scaled("plain"), Scaled("percent")]


def measured(subject: str, variant: str) -> Measurement:
    asked = Question("toy.scaled", "items", variant)
    dataset = {"id": "items", "digest": "", "n_items": 1, "n_asked": 1, "pinned": True, "source": "embedded"}
    return Measurement(
        id=asked.of(subject), subject=subject, probe=asked.probe, version=1, variant=variant,
        dataset=dataset, state="measured",
    )  # fmt: skip


def test_every_variant_keeps_its_own_range_and_ideal():
    table = metric_table(metrics(two_variants()), [measured("base", "plain"), measured("base", "percent")])
    plain = table.of(Number("toy.scaled/share", "base/toy.scaled@items+plain"))
    percent = table.of(Number("toy.scaled/share", "toy.scaled@items+percent"))
    assert (plain.range, plain.ideal, plain.unit) == ((0.0, 1.0), 0.5, "")
    assert (percent.range, percent.ideal, percent.unit) == ((0.0, 100.0), 50.0, "%")
    assert [info.variant for info in table.declared(Question("toy.scaled", "items", "percent"))] == [
        "percent"
    ]


def test_an_audit_that_names_no_variants_still_has_its_metrics():
    """Files of earlier releases hold one record a metric, whatever the variant."""
    old = MetricInfo(id="toy.scaled/share", probe="toy.scaled", title="Share", kind="mean", direction="none")
    table = metric_table([old], [measured("base", "percent")])
    assert table.of(Number("toy.scaled/share", "base/toy.scaled@items+percent")) == old
    assert table.of(Number("toy.scaled/share", "nobody/knows")) == old
    assert table.get("toy.scaled/other", "") is None
    assert table.declared(Question("toy.scaled", "items", "percent")) == [old]
