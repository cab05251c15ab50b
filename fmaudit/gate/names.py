"""The names that a run has, of which the rules of a policy may speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from fmaudit.plugins import DeclaredNames, declared_names
from fmaudit.schema import Audit

Levels = Mapping[str, str]
Names = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class KnownNames:
    """``variants`` and ``datasets`` by probe; ``slices`` and ``contrasts`` (ids or names) by metric.

    A metric that ``contrasts`` lacks may have any.
    """

    subjects: frozenset[str]
    variants: Names
    datasets: Names
    slices: Mapping[str, tuple[Levels, ...]]
    contrasts: Names

    def joined(self, declared: Mapping[str, DeclaredNames]) -> KnownNames:
        """With what probes declare, by probe: a rule on that is no mistake where the run did not ask it."""
        asked = {name: declared[name] for name in self.variants if name in declared}
        own = {metric: ids for names in declared.values() for metric, ids in names.contrasts.items()}
        return replace(
            self,
            variants=_united(self.variants, {name: names.variants for name, names in asked.items()}),
            datasets=_united(self.datasets, {name: names.datasets for name, names in asked.items()}),
            contrasts=_united(self.contrasts, own),
        )


@cache
def installed_names() -> Mapping[str, DeclaredNames]:
    """What the installed probes may be asked, by their id; read once."""
    return declared_names()


def _united(own: Names, others: Names) -> Names:
    none: frozenset[str] = frozenset()
    return {key: own.get(key, none) | others.get(key, none) for key in {*own, *others}}


def names_of(audit: Audit) -> KnownNames:
    """The names of a finished run."""
    probes = {measurement.probe for measurement in audit.measurements}
    own = {name: [one for one in audit.measurements if one.probe == name] for name in probes}
    slices: dict[str, list[Levels]] = {}
    for estimate in audit.estimates:
        slices.setdefault(estimate.metric, []).append(estimate.slice)
    for comparison in audit.comparisons:
        slices.setdefault(comparison.metric, []).append(comparison.slice)
    contrasts: dict[str, set[str]] = {}
    for contrast in audit.contrasts:
        contrasts.setdefault(contrast.metric, set()).add(contrast.id)
    return KnownNames(
        subjects=frozenset(subject.id for subject in audit.subjects),
        variants={name: frozenset(one.variant for one in found) for name, found in own.items()},
        datasets={
            name: frozenset(one.dataset.id for one in found if one.dataset) for name, found in own.items()
        },
        slices={metric: tuple(found) for metric, found in slices.items()},
        contrasts={metric: frozenset(found) for metric, found in contrasts.items()},
    )
