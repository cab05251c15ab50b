"""From findings on specimens to the record of a calibration, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmaudit.analysis.calibrations import SCHEMA
from fmaudit.calibration.asking import Finding
from fmaudit.calibration.ladder import Asked, Ladder
from fmaudit.calibration.power import (
    declared_margin,
    response,
    share_found,
    share_of_seeds,
    smallest_dose,
)
from fmaudit.inheritance.verdicts import tolerated
from fmaudit.schema import Quantity
from fmaudit.schema.pedigree import AuditPower, Calibration, Margins


def calibration(asked: Asked, findings: Sequence[Finding], ladder: Ladder) -> Calibration:
    """The calibration of one probe.

    Args:
        asked: the defect and its probe.
        findings: of that defect, one for every dose and training seed.
        ladder: what was measured.
    """
    steps = [
        sorted((one for one in findings if one.dose == dose), key=lambda one: one.seed)
        for dose in ladder.doses
    ]
    sizes = [_size(n, steps, ladder) for n in ladder.audit_sizes()]
    whole, metric = sizes[-1], asked.metric
    return Calibration(
        probe=asked.probe.id,
        probe_version=asked.probe.version,
        metric=f"{asked.probe.id}/{metric.id}",
        defect=asked.defect,
        n=whole.n,
        doses=list(ladder.doses),
        response=[response([one.rate for one in step]) for step in steps],
        rates=[[round(one.rate, 6) for one in step] for step in steps],
        power_items=whole.power_items,
        power_seeds=[share_of_seeds([one.found for one in step]) for step in steps],
        smallest_dose_found=whole.smallest_dose_found,
        reason=whole.reason,
        false_alarms=whole.false_alarms,
        training_seeds=ladder.seeds,
        audits=ladder.audits,
        sizes=sizes,
        margins=Margins(
            eps=tolerated(declared_margin(metric), whole.n),
            source="default" if metric.eps is None else "metric",
        ),
        settings=dict(asked.probe.protocol()),
        recipe=ladder.recipe(),
    )


def _size(n: int, steps: Sequence[Sequence[Finding]], ladder: Ladder) -> AuditPower:
    power = [share_found(np.stack([one.audits[n] for one in step])) for step in steps]
    smallest, reason = smallest_dose(ladder.doses, [share.value or 0.0 for share in power])
    return AuditPower(
        n=n, power_items=power, false_alarms=power[0], smallest_dose_found=smallest, reason=reason
    )


def document(found: Sequence[Calibration]) -> dict[str, Any]:
    """The content of ``calibration.json``."""
    return {"schema": SCHEMA, "probes": [one.model_dump(mode="json") for one in found]}


def markdown(found: Sequence[Calibration]) -> str:
    """The content of ``calibration.md``: a table of doses and one of audit sizes for each probe."""
    return "\n".join(["# Calibration", "", *(line for one in found for line in _section(one))])


def summary(one: Calibration) -> str:
    """One line: smallest dose found and false alarms."""
    return f"{one.probe}: {_smallest(one)} at n {one.n:,}; false alarms {_share(one.false_alarms)}"


def _section(one: Calibration) -> list[str]:
    settings = "".join(f", {name} {value}" for name, value in _sorted(one.settings))
    return [
        f"## {one.probe} (version {one.probe_version}): {one.defect}",
        "",
        f"{_smallest(one)[0].upper()}{_smallest(one)[1:]} with 80 % power at n {one.n:,}. "
        f"False alarms at dose zero: {_share(one.false_alarms)}.",
        "",
        f"Headline rate: {one.metric}; found where its whole interval lies beyond {one.margins.eps:g} "
        f"({one.margins.source}){settings}. {one.training_seeds} training seeds a dose, {one.audits} "
        f"resampled audits of each. Brackets: 95 % intervals in which training seeds are the independent "
        "units.",
        "",
        "| dose | rate | found, over items | training seeds that find |",
        "|---:|---:|---:|---:|",
        *(
            f"| {dose:g} | {_number(rate)} | {_share(items)} | {_share(seeds)} |"
            for dose, rate, items, seeds in zip(
                one.doses, one.response, one.power_items, one.power_seeds, strict=True
            )
        ),
        "",
        "| items | smallest dose found | false alarms | " + " | ".join(map(_step, one.doses[1:])) + " |",
        "|---:|---:|---:|" + "---:|" * (len(one.doses) - 1),
        *(
            f"| {size.n:,} | {_dose(size.smallest_dose_found)} | {_share(size.false_alarms)} | "
            + " | ".join(f"{share.value:.0%}" for share in size.power_items[1:])
            + " |"
            for size in one.sizes
        ),
        "",
        f"Recipe: {one.recipe}",
        "",
    ]


def _sorted(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(settings.items())


def _smallest(one: Calibration) -> str:
    if one.smallest_dose_found is None:
        return f"no dose found ({one.reason})"
    return f"smallest dose found: {one.smallest_dose_found:g}"


def _step(dose: float) -> str:
    return f"found at {dose:g}"


def _dose(dose: float | None) -> str:
    return "none" if dose is None else f"{dose:g}"


def _number(found: Quantity) -> str:
    if found.value is None:
        return "none"
    if found.lower is None or found.upper is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}]"


def _share(found: Quantity) -> str:
    if found.value is None:
        return "none"
    if found.lower is None or found.upper is None:
        return f"{found.value:.1%}"
    return f"{found.value:.1%} [{found.lower:.1%}, {found.upper:.1%}]"
