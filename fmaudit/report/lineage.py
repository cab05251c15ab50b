"""The lineage tree: who was adapted from whom, how far that is shown, and what each step brought."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import quantity_text
from fmaudit.report.readings import comparison_word, side_value
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import REVERSED, decided, defect_title, is_defect
from fmaudit.schema import Comparison, Subject

EdgeState = Literal["verified", "refuted", "unknown"]
EDGE_SYMBOLS: dict[EdgeState, str] = {"verified": "✓", "refuted": "✕", "unknown": "?"}
_BROUGHT = ("introduced", "amplified", REVERSED, "changed, size unresolved", "repaired", "mitigated")
_WENT = ("higher than base", "lower than base")
_NOT_REACHED = ("inconclusive", "unmeasured")
_ADAPTER_FITS = re.compile(r"weights (?:of \S+ )?with an adapter that fits them")
_DECLARED = "it runs on the base's weights; that the adapter was trained on them is declared, not shown"
_SMALL_P = re.compile(r"\bp (?:below|<|=)? ?(\d(?:\.\d+)?e-\d+)")
_LEAST_P = 1e-6
_KEPT = ("inherited", "coincident", "association")


@dataclass(frozen=True)
class StepWord:
    """The defects that one step gave one word."""

    word: str
    symbol: str
    tone: Tone
    defects: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A declared descent and whether it is shown."""

    parent: str
    state: EdgeState
    evidence: str

    @property
    def symbol(self) -> str:
        """The shape of the state."""
        return EDGE_SYMBOLS[self.state]


@dataclass(frozen=True)
class LineageNode:
    """One model of the tree, how it hangs on its parent, what its step brought, and its children."""

    label: str
    name: str
    role: str
    recipe: str
    edges: tuple[Edge, ...]
    brought: tuple[StepWord, ...]
    kept: tuple[StepWord, ...]
    step_note: str
    still_note: str
    children: tuple[LineageNode, ...]


@dataclass(frozen=True)
class Control:
    """A reference model beside the tree: a control has to be refuted as kin of the base."""

    label: str
    name: str
    state: EdgeState
    evidence: str
    group: str
    usable: str

    @property
    def symbol(self) -> str:
        """A control is good where descent is refuted."""
        return (
            "✓"
            if self.state == "refuted"
            else EDGE_SYMBOLS["unknown" if self.state == "unknown" else "refuted"]
        )


@dataclass(frozen=True)
class LineageView:
    """The tree, models whose declared parent is not in the run, and the unrelated controls."""

    roots: tuple[LineageNode, ...]
    strays: tuple[LineageNode, ...]
    controls: tuple[Control, ...]


def lineage_view(index: AuditIndex) -> LineageView | None:
    """The tree of an audit; None where nothing was adapted and there is no control."""
    subjects = index.ordered_subjects
    if not any(subject.role != "base" for subject in subjects):
        return None
    children: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.role == "adapted":
            children.setdefault(parent_of(index, subject), []).append(subject)
    placed: set[str] = set()
    roots = tuple(_node(index, s, children, placed) for s in subjects if s.role == "base")
    strays = []
    for subject in subjects:
        if subject.role == "adapted" and subject.id not in placed:
            strays.append(_node(index, subject, children, placed))
    controls = tuple(_control(index, s) for s in subjects if s.role == "reference")
    return LineageView(roots, tuple(strays), controls)


def parent_of(index: AuditIndex, subject: Subject) -> str:
    """The id a subject was declared to be adapted from; the audit's base where nothing was declared."""
    declared = subject.base or subject.lineage.declared or ""
    return declared or next((base.id for base in index.audit.subjects if base.role == "base"), "")


def tree_order(index: AuditIndex) -> tuple[Subject, ...]:
    """The adapted subjects, each after its parent and before that parent's next child."""
    adapted = [subject for subject in index.ordered_subjects if subject.role == "adapted"]
    found: list[Subject] = []

    def descend(parent: str) -> None:
        for subject in adapted:
            if parent_of(index, subject) == parent and subject not in found:
                found.append(subject)
                descend(subject.id)

    for base in index.ordered_subjects:
        if base.role == "base":
            descend(base.id)
    return (*found, *(subject for subject in adapted if subject not in found))


def _node(
    index: AuditIndex, subject: Subject, children: Mapping[str, Sequence[Subject]], placed: set[str]
) -> LineageNode:
    # A circle of declarations ends where it would repeat.
    placed.add(subject.id)
    below = []
    for child in children.get(subject.id, ()):
        if child.id not in placed:
            below.append(_node(index, child, children, placed))
    own = _step(index, subject)
    return LineageNode(
        label=index.subject_label(subject.id),
        name=subject.name,
        role=subject.role,
        recipe=subject.recipe or "",
        edges=_edges(index, subject),
        brought=_words(index, own, (*_BROUGHT, *_WENT)),
        kept=_words(index, own, _KEPT),
        step_note=_step_note(index, subject, own),
        still_note=_still_note(index, own),
        children=tuple(below),
    )


def _edges(index: AuditIndex, subject: Subject) -> tuple[Edge, ...]:
    if subject.role == "base":
        return ()
    lineage = subject.lineage
    parent = parent_of(index, subject)
    evidence = evidence_text(lineage.evidence)
    if lineage.divergence_bits is not None:
        bits = f"next-token divergence {quantity_text(lineage.divergence_bits)} bits"
        evidence = f"{evidence}; {bits}" if evidence else bits
    edges = [Edge(index.subject_label(parent) if parent else "no parent", _state(lineage.verified), evidence)]
    found = index.subjects.get(parent)
    if found is None or found.role != "base":
        base = next((other for other in index.audit.subjects if other.role == "base"), None)
        if base is not None:
            label = index.subject_label(base.id)
            edges.append(Edge(label, _state(lineage.from_base), evidence_text(lineage.from_base_evidence)))
    return tuple(edges)


def evidence_text(evidence: str) -> str:
    """Evidence on a descent as printed: what an adapter that fits does not show, and no p below 1e-6."""

    def bounded(found: re.Match[str]) -> str:
        return f"p < {_LEAST_P:.0e}".replace("e-0", "e-") if float(found[1]) < _LEAST_P else found[0]

    said = _SMALL_P.sub(bounded, evidence)
    return f"{said}; {_DECLARED}" if _ADAPTER_FITS.search(evidence) else said


def _state(verified: bool | None) -> EdgeState:
    return "unknown" if verified is None else "verified" if verified else "refuted"


def _step(index: AuditIndex, subject: Subject) -> list[Comparison]:
    if subject.role != "adapted":
        return []
    parent = index.subjects.get(parent_of(index, subject))
    step = "from_base" if parent is None or parent.role == "base" else "from_parent"
    return [
        found
        for found in index.audit.comparisons
        if found.adapted == subject.id
        and found.step == step
        and not found.slice
        and is_defect(index.metrics.of(found))
    ]


def _words(index: AuditIndex, own: Sequence[Comparison], words: Iterable[str]) -> tuple[StepWord, ...]:
    groups: dict[tuple[str, str, Tone], list[str]] = {}
    for found in own:
        groups.setdefault(_said(index, found), []).append(_defect(index, found))
    return tuple(
        StepWord(*said, tuple(defects))
        for word in words
        for said, defects in groups.items()
        if said[0] == word
    )


def _said(index: AuditIndex, found: Comparison) -> tuple[str, str, Tone]:
    return (REVERSED, "⇄", "alert") if REVERSED in found.flags else comparison_word(index, found)


def _defect(index: AuditIndex, found: Comparison) -> str:
    before, after = (side_value(index, found, value) for value in (found.base_value, found.adapted_value))
    return f"{defect_title(index, found.metric)}, {before} → {after}"


def _step_note(index: AuditIndex, subject: Subject, own: Sequence[Comparison]) -> str:
    if subject.role != "adapted":
        return ""
    if not own:
        return "No headline defect was compared over this step."
    said = {*_BROUGHT, *_KEPT, *_WENT}
    left: dict[str, int] = {}
    for found in own:
        word = _said(index, found)[0]
        if word not in said:
            left[word] = left.get(word, 0) + 1
    counts = ", ".join(f"{count} {word}" for word, count in sorted(left.items()))
    return f"Of {len(own)} headline defects over this step: {counts}." if counts else ""


def _still_note(index: AuditIndex, own: Sequence[Comparison]) -> str:
    """What a step that brought nothing may say of itself."""
    if not own or any(_said(index, found)[0] in (*_BROUGHT, *_WENT) for found in own):
        return ""
    reached = [found for found in own if decided(found) and found.verdict not in _NOT_REACHED]
    if not reached or not all(decided(found) for found in own):
        return "No verdict was reached for this step."
    return "No defect is shown to be brought, changed or removed by this step."


def _control(index: AuditIndex, subject: Subject) -> Control:
    lineage = subject.lineage
    # A reference is held against the audit's base, whatever it declares of itself.
    from_base = lineage.from_base if lineage.from_base is not None else lineage.verified
    state = _state(from_base)
    usable = {
        "refuted": "unrelated to the base: usable as a control",
        "verified": "kin of the base: refused as a control",
        "unknown": "not shown to be unrelated: refused as a control",
    }[state]
    return Control(
        label=index.subject_label(subject.id),
        name=subject.name,
        state=state,
        evidence=evidence_text(lineage.from_base_evidence or lineage.evidence),
        group=lineage.group,
        usable=usable,
    )
