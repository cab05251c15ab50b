"""What a probe found on specimens of known dose, beside the probe's own results."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.report.escape import terminal
from fmaudit.report.figures import Curve, CurvePoint
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import SHARE, quantity_text
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
    """Power and false alarms of one probe on one planted defect."""

    anchor: str
    defect: str
    summary: str
    false_alarms: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[DoseRow, ...]
    curve: Curve | None


def calibration_views(index: AuditIndex, probe: str, anchor: str) -> tuple[CalibrationView, ...]:
    """The calibrations of a probe; none means that its power is not known."""
    versions = {str(m.version) for m in index.audit.measurements if m.probe == probe}
    own = [found for found in index.audit.calibrations if found.probe == probe]
    return tuple(_view(found, f"{anchor}-dose-{place}", versions) for place, found in enumerate(own, 1))


def _view(found: Calibration, anchor: str, versions: set[str]) -> CalibrationView:
    if found.smallest_dose_found is None:
        summary = f"No dose on the ladder was found with 80 % power at n {found.n:,}."
    else:
        summary = (
            f"Smallest dose found with 80 % power at n {found.n:,}: {found.smallest_dose_found:g}. "
            "A smaller defect can pass unseen."
        )
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
        false_alarms=quantity_text(found.false_alarms, SHARE),
        facts=tuple((name, value) for name, value in facts if value),
        rows=_rows(found),
        curve=_curve(found),
    )


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
