"""Controls of public frameworks beside what of this audit is evidence relevant to them, and what is a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fmaudit.controls import (
    Catalogue,
    Control,
    ControlMapping,
    Evidence,
    Framework,
    evidence_of,
    load_catalogue,
    load_mapping,
    unmapped_probes,
)
from fmaudit.report.documentation_form import FORM, FormView, form_view
from fmaudit.report.index import AuditIndex
from fmaudit.report.sections import probe_sections
from fmaudit.schema import Audit

WORDING = "evidence relevant to"
_MOST_NAMES = 4


@dataclass(frozen=True)
class EvidencePart:
    """One thing of the audit: of which probe, what of it, and where the page shows it."""

    probe: str
    text: str
    anchor: str


@dataclass(frozen=True)
class EvidenceView:
    """What the audit holds by one rule of the mapping; ``says`` is what it is."""

    says: str
    parts: tuple[EvidencePart, ...]


@dataclass(frozen=True)
class ControlView:
    """One control; ``evidence`` is empty where the audit holds none."""

    key: str
    id: str
    title: str
    own_words: str
    binds: str
    in_force_from: str
    source: str
    checked: str
    evidence: tuple[EvidenceView, ...]


@dataclass(frozen=True)
class FrameworkView:
    """A framework, the controls the audit holds evidence relevant to, and those it holds none for."""

    id: str
    anchor: str
    title: str
    edition: str
    kind: str
    source: str
    note: str
    superseded_by: str
    checks: tuple[str, ...]
    shown: tuple[ControlView, ...]
    gaps: tuple[ControlView, ...]

    @property
    def count(self) -> str:
        """For how many of its controls there is evidence, as a phrase."""
        return f"{WORDING} {len(self.shown)} of {len(self.shown) + len(self.gaps)} controls"


@dataclass(frozen=True)
class ControlsView:
    """All frameworks, the model documentation form of the EU, and the probes that no rule knows."""

    frameworks: tuple[FrameworkView, ...]
    form: FormView
    unmapped: tuple[str, ...]
    revision: str


def controls_view(
    index: AuditIndex, catalogue: Catalogue | None = None, mapping: ControlMapping | None = None
) -> ControlsView:
    """What of an audit is evidence relevant to which controls, by the shipped mapping unless told."""
    catalogue = catalogue or load_catalogue()
    mapping = mapping or load_mapping(catalogue)
    found = _found(index, evidence_of(index.audit, mapping))
    form = [framework for framework in catalogue.frameworks if framework.id == FORM]
    return ControlsView(
        frameworks=tuple(
            _framework(framework, catalogue, found)
            for framework in catalogue.frameworks
            if framework.id != FORM
        ),
        form=form_view(
            index, form[0] if form else None, catalogue.of(FORM), found.get(f"{FORM}/MDF bias-detection", ())
        ),
        unmapped=unmapped_probes(index.audit, mapping),
        revision=mapping.revision,
    )


def _framework(
    framework: Framework, catalogue: Catalogue, found: Mapping[str, Sequence[EvidenceView]]
) -> FrameworkView:
    controls = catalogue.of(framework.id)
    views = [_control(control, found.get(control.key, ())) for control in controls]
    checks = {control.checked: None for control in controls}
    return FrameworkView(
        id=framework.id,
        anchor=f"controls-{framework.id}",
        title=framework.title,
        edition=framework.edition,
        kind=framework.kind,
        source=framework.source,
        note=framework.note,
        superseded_by=framework.superseded_by,
        checks=tuple(f"{check.date_checked or 'not checked'}: {check.how}" for check in checks),
        shown=tuple(view for view in views if view.evidence),
        gaps=tuple(view for view in views if not view.evidence),
    )


def _control(control: Control, evidence: Sequence[EvidenceView]) -> ControlView:
    day = control.checked.date_checked
    return ControlView(
        key=control.key,
        id=control.id,
        title=control.title,
        own_words=control.own_words,
        binds=control.binds,
        in_force_from=control.in_force_from.isoformat() if control.in_force_from else "",
        source=control.source,
        checked=f"checked {day.isoformat()}" if day else "not checked against the text",
        evidence=tuple(evidence),
    )


def _found(index: AuditIndex, evidence: Sequence[Evidence]) -> dict[str, tuple[EvidenceView, ...]]:
    """Evidence by control, the parts of one rule together."""
    anchors = {section.id: section.anchor for section in probe_sections(index)}
    rules: dict[str, list[Evidence]] = {}
    for entry in evidence:
        rules.setdefault(entry.rule, []).append(entry)
    found: dict[str, tuple[EvidenceView, ...]] = {}
    for entries in rules.values():
        view = EvidenceView(entries[0].says, tuple(_part(index, entry, anchors) for entry in entries))
        for control in entries[0].controls:
            found[control] = (*found.get(control, ()), view)
    return found


def _part(index: AuditIndex, entry: Evidence, anchors: Mapping[str, str]) -> EvidencePart:
    section = anchors.get(entry.probe, "probes")
    place = {
        "verdict": "inheritance",
        "unmeasured": "scope",
        "instrument": "instruments",
        "homogenization": "together",
        "lineage": "models",
        "stated": "audit-card",
        "document": "methods",
    }
    return EvidencePart(entry.probe, _text(index, entry), place.get(entry.when, section))


def _text(index: AuditIndex, entry: Evidence) -> str:
    names = partial(_names, index)
    match entry.when:
        case "measured":
            firm = f"{entry.count:,} of {entry.total:,} headline numbers conclusive"
            return f"measured on {_models(entry)}; {firm if entry.total else 'no headline number'}"
        case "verdict":
            counted = f"{entry.count:,} {_plural('comparison', entry.count)}"
            return f"{entry.word}: {counted}, {names(entry.subjects)}"
        case "unmeasured":
            return f"not measured on {names(entry.subjects)}: {entry.word}"
        case "invalid_scores":
            return f"{entry.count:,} values of {entry.total:,} rows without a valid score, {_models(entry)}"
        case "instrument":
            return f"{entry.word}: error rates from {entry.count:,} labelled cases"
        case "calibration":
            return f"planted defect: {entry.word}"
        case "homogenization":
            return f"{_models(entry)}, {entry.count:,} items"
        case "lineage":
            return f"{names(entry.subjects)}: {entry.word}"
        case "stated":
            return f"audit card: {entry.word}"
        case "document":
            return "this audit"


def _names(index: AuditIndex, subjects: Sequence[str]) -> str:
    labels = [index.subject_label(subject) for subject in subjects]
    more = len(labels) - _MOST_NAMES
    return ", ".join(labels[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _models(entry: Evidence) -> str:
    return f"{len(entry.subjects)} {_plural('model', len(entry.subjects))}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def controls_by_probe(audit: Audit) -> dict[str, tuple[str, ...]]:
    """Ids of the controls that a measurement of a probe is evidence relevant to."""
    rules = [rule for rule in load_mapping(load_catalogue()).rules if rule.when == "measured"]
    probes = sorted({measurement.probe for measurement in audit.measurements})
    return {
        probe: tuple(dict.fromkeys(one for rule in rules if rule.covers(probe) for one in rule.controls))
        for probe in probes
    }
