"""What a probe found on specimens of known dose, beside the probe's own results."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.report.escape import terminal
from fmaudit.report.figures import Curve, CurvePoint
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import SHARE, quantity_text, share, without_variation
from fmaudit.schema import Calibration, Quantity


@dataclass(frozen=True)
class DoseRow:
    """One dose: what the probe measured, and how often it found it."""

    dose: str
    response: str
    power_items: str
    power_seeds: str


@dataclass(frozen=True)
class CalibrationView:
    """Power and false alarms of one probe on one planted defect.

    ``at``: JSON pointer of its record in ``audit.json``.
    """

    anchor: str
    defect: str
    summary: str
    false_alarms: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[DoseRow, ...]
    curve: Curve | None
    at: str = ""


def calibration_views(index: AuditIndex, probe: str, anchor: str) -> tuple[CalibrationView, ...]:
    """The calibrations of a probe; none means that its power is not known."""
    versions = {str(m.version) for m in index.audit.measurements if m.probe == probe}
    own = [found for found in index.audit.calibrations if found.probe == probe]
    return tuple(
        _view(index, found, f"{anchor}-dose-{place}", versions) for place, found in enumerate(own, 1)
    )


def _view(index: AuditIndex, found: Calibration, anchor: str, versions: set[str]) -> CalibrationView:
    seeds = f"estimated from {found.training_seeds:,} training seed{'' if found.training_seeds == 1 else 's'}"
    if found.smallest_dose_found is None:
        summary = f"No dose on the ladder was found with 80 % power at n {found.n:,} ({seeds})."
    else:
        summary = (
            f"Smallest dose found with 80 % power at n {found.n:,}: {found.smallest_dose_found:g} "
            f"({seeds}; {_least_power(found)}). A smaller defect can pass unseen."
        )
    summary += _fewer_asked(index, found)
    if versions and str(found.probe_version) not in versions:
        summary += f" This is of version {found.probe_version} of the probe, not of the one that ran."
    facts = (
        ("defect planted", found.defect),
        ("items", f"{found.n:,}"),
        ("training seeds", f"{found.training_seeds:,}"),
        ("recipe", found.recipe),
        ("probe version", str(found.probe_version)),
    )
    return CalibrationView(
        anchor=anchor,
        defect=found.defect,
        summary=summary,
        false_alarms=f"{quantity_text(found.false_alarms, SHARE)}, n {found.n:,}, {seeds}",
        facts=tuple((name, value) for name, value in facts if value),
        rows=_rows(found),
        curve=_curve(found),
        at=index.place(found),
    )


def _least_power(found: Calibration) -> str:
    """The lower limit of the power at the smallest dose found, which may be far below the 80 % reached."""
    powers = dict(zip(found.doses, found.power_items, strict=False))
    power = powers.get(found.smallest_dose_found) if found.smallest_dose_found is not None else None
    if power is None or power.lower is None or without_variation(power.lower, power.upper, power.method):
        return "the power has no lower limit"
    return f"lower limit of the power {share(power.lower)}"


def _fewer_asked(index: AuditIndex, found: Calibration) -> str:
    """What changes where this run asked fewer items than the specimens were asked; empty where it did not."""
    counted = [
        estimate.n
        for estimate in index.audit.estimates
        if estimate.metric == found.metric and not estimate.slice
    ]
    counted = counted or [
        measurement.dataset.n_asked
        for measurement in index.audit.measurements
        if measurement.probe == found.probe and measurement.dataset and measurement.state == "measured"
    ]
    if not counted or min(counted) >= found.n:
        return ""
    asked = min(counted)
    said = f" This run counts only {asked:,} items"
    smaller = max((size for size in found.sizes if size.n <= asked), key=lambda size: size.n, default=None)
    if smaller is None:
        return f"{said}: it finds less than that."
    if smaller.smallest_dose_found is None:
        return f"{said}; at n {smaller.n:,} no dose on the ladder was found with 80 % power."
    return f"{said}; at n {smaller.n:,} the smallest dose found is {smaller.smallest_dose_found:g}."


def _rows(found: Calibration) -> tuple[DoseRow, ...]:
    def at(series: list[Quantity], place: int) -> Quantity | None:
        return series[place] if place < len(series) else None

    return tuple(
        DoseRow(
            f"{dose:g}",
            quantity_text(at(found.response, place)),
            quantity_text(at(found.power_items, place), SHARE),
            quantity_text(at(found.power_seeds, place), SHARE),
        )
        for place, dose in enumerate(found.doses)
    )


def _curve(found: Calibration) -> Curve | None:
    points = tuple(
        CurvePoint(dose, answer.value, answer.lower, answer.upper)
        for dose, answer in zip(found.doses, found.response, strict=False)
        if answer.value is not None and answer.lower is not None and answer.upper is not None
    )
    return Curve(terminal(found.defect), points) if len(points) > 1 else None
