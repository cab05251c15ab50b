"""Gathers the evidence on who was adapted from whom, one model in memory at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fmaudit.inheritance.lineage import (
    Agreement,
    KinshipEvidence,
    LineageFinding,
    group_lineages,
    judge_lineages,
)
from fmaudit.subjects.next_tokens import (
    Predictions,
    agreement,
    next_token_predictions,
    shared_offsets,
)
from fmaudit.subjects.subject import LoadedSubject
from fmaudit.subjects.tensors import SampledMatrix, WeightRecord, record_weights
from fmaudit.subjects.unit_matching import UnitMatching, match_units

Progress = Callable[[str, int, int], None]
"""Called with what is done, the models done and the models there are."""

BASE = "base"
TELLING_SHARE = 0.05
TELLING_TENSORS = 2
LOW_RANK_SHARE = 0.25
_KIN_LOG_P = float(np.log(1e-6))
_RANK_TOLERANCE = 1e-4


@dataclass(frozen=True)
class TensorKinship:
    """How far the weights of two models are from each other.

    Attributes:
        comparable: Parameters with one name and shape in both.
        share_identical: Share of these that are equal to the last bit.
        telling: Comparable inner 2-D weights that are not constant.
        telling_identical: Of these, equal to the last bit.
        matrices: Inner matrices the figures below come from: at most 16, drawn by
            name, at most 512 rows of each.
        relative_change: Median of ||A - B||_F / ||B||_F.
        cosine: Median cosine of the flattened matrices; about 0 between unrelated models.
        rank_max: Largest numerical rank of A - B: singular values above 1e-4 of the largest
            and above what rounding of the stored weights explains.
        rank_median: Median of these ranks.
        low_rank: Whether no rank exceeds a quarter of what it could be, as after LoRA.
        reason: Why the models cannot be compared, or only in part.
    """

    comparable: int
    share_identical: float | None = None
    telling: int = 0
    telling_identical: int = 0
    matrices: int = 0
    relative_change: float | None = None
    cosine: float | None = None
    rank_max: int | None = None
    rank_median: float | None = None
    low_rank: bool | None = None
    reason: str = ""

    @property
    def decisive(self) -> bool:
        """Whether more is identical than two models trained apart can have in common."""
        return self.telling_identical >= max(TELLING_TENSORS, TELLING_SHARE * self.telling)


@dataclass(frozen=True)
class Lineages:
    """Findings on every declared descent and on every reference.

    Attributes:
        adapted: By adapted subject, against what it is declared to be adapted from.
        references: By reference, against the base.
        reference_pairs: By pair of references, in the order given.
        groups: Lineage label by reference; those not shown to be unrelated share one.
        tensors: Distance of each adapted subject's weights from its declared parent's.
        matching: Unit matching of each adapted subject with its declared parent.
    """

    adapted: Mapping[str, LineageFinding]
    references: Mapping[str, LineageFinding]
    reference_pairs: Mapping[tuple[str, str], LineageFinding]
    groups: Mapping[str, str]
    tensors: Mapping[str, TensorKinship]
    matching: Mapping[str, UnitMatching]


def tensor_kinship(a: LoadedSubject, b: LoadedSubject) -> TensorKinship:
    """Compare the weights of two subjects, adapters merged, with one model in memory at a time."""
    return compare_weights(record_weights(a), record_weights(b))


def compare_weights(a: WeightRecord, b: WeightRecord, *, distances: bool = True) -> TensorKinship:
    """Compare the weights kept of two models; changes are relative to the second.

    Without ``distances`` only what is identical is counted, which costs nothing.
    """
    names = [n for n, t in a.tensors.items() if n in b.tensors and b.tensors[n].shape == t.shape]
    most = max(len(a.tensors), len(b.tensors))
    reason = "" if len(names) == most else f"{len(names)} of {most} tensors have one name and shape in both"
    if not names:
        return TensorKinship(0, reason=reason)
    same = {n for n in names if a.tensors[n].digest == b.tensors[n].digest}
    telling = [n for n in names if a.tensors[n].telling and b.tensors[n].telling]
    shared = [n for n in a.matrices if distances and n in b.matrices and n in names]
    found = [_distance(a.matrices[n], b.matrices[n]) for n in shared]
    ranks = [rank for _, _, rank, _ in found]
    return TensorKinship(
        comparable=len(names),
        share_identical=len(same) / len(names),
        telling=len(telling),
        telling_identical=len(same.intersection(telling)),
        matrices=len(shared),
        relative_change=float(np.median([change for change, _, _, _ in found])) if found else None,
        cosine=float(np.median([cosine for _, cosine, _, _ in found])) if found else None,
        rank_max=max(ranks, default=None),
        rank_median=float(np.median(ranks)) if ranks else None,
        low_rank=all(rank <= LOW_RANK_SHARE * full for _, _, rank, full in found) if found else None,
        reason=reason,
    )


def _distance(a: SampledMatrix, b: SampledMatrix) -> tuple[float, float, int, int]:
    """Relative change, cosine, numerical rank of the difference, and the rank it could have."""
    one, other = a.rows.astype(np.float64), b.rows.astype(np.float64)
    change = one - other
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    cosine = float((one * other).sum()) / (lengths[0] * lengths[1]) if all(lengths) else float("nan")
    small = change if change.shape[0] <= change.shape[1] else change.T
    values = np.sqrt(np.clip(np.linalg.eigvalsh(small @ small.T), 0, None))
    # Rounding errors of independent elements: their largest singular value is about rms (sqrt m + sqrt n).
    rms = max(lengths) / change.size**0.5
    rounding = 2.0 ** -min(a.bits, b.bits) * rms * (change.shape[0] ** 0.5 + change.shape[1] ** 0.5)
    rank = int((values > max(_RANK_TOLERANCE * values.max(), rounding)).sum())
    relative = float(np.linalg.norm(change)) / lengths[1] if lengths[1] else float("inf")
    return relative, cosine, rank, min(change.shape)


def verify_lineage(
    base: LoadedSubject,
    adapted: Mapping[str, LoadedSubject],
    references: Mapping[str, LoadedSubject],
    texts: Sequence[str],
    *,
    parents: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Lineages:
    """Find out for every adapted subject and every reference whether it descends from the base.

    Every model is loaded once; what is kept of it is a sample of its weights and what
    it would say next. All tests of the run are one Holm family. Deterministic.

    Args:
        base: What everything is compared with.
        adapted: Adapted subjects by id.
        references: Reference models by id; they are the controls of next-token agreement.
        texts: Neutral passages, best 30 or more; each is one cluster.
        parents: Adapted id -> id of the adapted subject it was adapted from; the base if absent.
        progress: Called after each model.

    Raises:
        ValueError: ``base`` is used as an id, an id is used twice, or a parent is unknown.
    """
    parents = dict(parents or {})
    subjects = {BASE: base, **adapted, **references}
    if len(subjects) != 1 + len(adapted) + len(references):
        raise ValueError(
            f"ids of adapted subjects and references must differ from each other and from {BASE!r}"
        )
    for child, parent in parents.items():
        if child not in adapted or parent not in {BASE, *adapted} or child == parent:
            raise ValueError(
                f"{child!r} cannot have {parent!r} as its parent: name the base or an adapted subject"
            )
    run = _Profiles(subjects, tuple(references), texts, progress)
    descents = {child: (parents.get(child, BASE), child) for child in adapted}
    pairs = [*descents.values(), *((BASE, name) for name in references)]
    pairs += itertools.combinations(references, 2)
    findings = judge_lineages({pair: run.evidence(*pair) for pair in pairs})
    between = {pair: findings[pair] for pair in itertools.combinations(references, 2)}
    return Lineages(
        adapted={child: findings[pair] for child, pair in descents.items()},
        references={name: findings[BASE, name] for name in references},
        reference_pairs=between,
        groups=group_lineages(
            tuple(references), [pair for pair, found in between.items() if found.verified is not False]
        ),
        tensors={child: run.tensors(*pair) for child, pair in descents.items()},
        matching={child: run.matching(*pair) for child, pair in descents.items()},
    )


class _Profiles:
    """What was kept of every model of a run, and the evidence on pairs of them."""

    def __init__(
        self,
        subjects: Mapping[str, LoadedSubject],
        references: tuple[str, ...],
        texts: Sequence[str],
        progress: Progress | None,
    ) -> None:
        self._subjects = subjects
        self._references = references
        self._weights: dict[str, WeightRecord] = {}
        self._predictions: dict[str, Predictions] = {}
        self._matchings: dict[tuple[str, str], UnitMatching] = {}
        self._tensors: dict[tuple[str, str], TensorKinship] = {}
        base = subjects[BASE]
        # Models that run on the base's weights come next, so that these are loaded once.
        order = sorted(subjects, key=lambda name: (name != BASE, not subjects[name].shares_model_with(base)))
        for done, name in enumerate(order, start=1):
            self._weights[name] = record_weights(subjects[name])
            self._predictions[name] = next_token_predictions(subjects[name], texts)
            if progress is not None:
                progress(f"lineage of {subjects[name].name}", done, len(order))

    def tensors(self, parent: str, child: str) -> TensorKinship:
        """Distance of the child's weights from its parent's."""
        key = (parent, child)
        if key not in self._tensors:
            self._tensors[key] = compare_weights(self._weights[child], self._weights[parent])
        return self._tensors[key]

    def matching(self, one: str, other: str) -> UnitMatching:
        """Unit matching of two models."""
        key = (one, other) if one <= other else (other, one)
        if key not in self._matchings:
            self._matchings[key] = match_units(self._weights[key[0]].hidden, self._weights[key[1]].hidden)
        return self._matchings[key]

    def evidence(self, parent: str, child: str) -> KinshipEvidence:
        """Everything known of one pair."""
        matched = self.matching(parent, child)
        agreed, controls, reason = self._agreements(parent, child)
        detail = matched.reason
        if matched.log_p is not None:
            detail = f"{matched.units} hidden units of {len(matched.layers)} layers matched"
        return KinshipEvidence(
            identity=self._identity(parent, child),
            matching_log_p=matched.log_p,
            matching=detail,
            agreement=agreed,
            agreement_reason=reason,
            controls=controls,
        )

    def _identity(self, parent: str, child: str) -> str:
        above, below = self._subjects[parent], self._subjects[child]
        if below.parts["weights"] == above.parts["weights"] and above.spec.adapter is None:
            adapter = " with an adapter that fits them" if below.spec.adapter is not None else ""
            return f"the weights of {above.name}{adapter}"
        found = compare_weights(self._weights[child], self._weights[parent], distances=False)
        if found.decisive:
            return f"{found.telling_identical} of {found.telling} weight matrices identical"
        return ""

    def _related(self, one: str, other: str) -> bool:
        """Whether two models are kin by their weights, so that neither is a control for the other."""
        if one == other or self._identity(one, other):
            return True
        log_p = self.matching(one, other).log_p
        return log_p is not None and log_p < _KIN_LOG_P

    def _agreements(self, parent: str, child: str) -> tuple[Agreement | None, dict[str, Agreement], str]:
        pair = [self._predictions[parent], self._predictions[child]]
        reason = next((one.reason for one in pair if one.reason), "")
        if reason:
            return None, {}, reason
        unrelated = (
            {BASE, *self._references} if {parent, child} <= set(self._references) else set(self._references)
        )
        usable = [
            name
            for name in (BASE, *self._references)
            if name in unrelated
            and not self._predictions[name].reason
            and not self._related(name, parent)
            and not self._related(name, child)
        ]
        offsets = shared_offsets([*pair, *(self._predictions[name] for name in usable)])
        controls = {
            f"{name} with {member}": agreement(self._predictions[member], self._predictions[name], offsets)
            for name in usable
            for member in (parent, child)
        }
        return agreement(pair[0], pair[1], offsets), controls, ""
