"""The names that a run has, of which the rules of a policy may speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fmaudit.schema import Audit

Levels = Mapping[str, str]
Questions = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""Variants and data sets by probe."""


@dataclass(frozen=True)
class KnownNames:
    """``variants`` and ``datasets`` by probe; ``slices`` and ``contrasts`` (ids or names) by metric."""

    subjects: frozenset[str]
    variants: Mapping[str, frozenset[str]]
    datasets: Mapping[str, frozenset[str]]
    slices: Mapping[str, tuple[Levels, ...]]
    contrasts: Mapping[str, frozenset[str]]

    def joined(self, declared: Questions) -> KnownNames:
        """With the variants and data sets that probes declare: a rule on one of them is no mistake."""
        none: frozenset[str] = frozenset()
        variants = {name: own | declared.get(name, (none, none))[0] for name, own in self.variants.items()}
        datasets = {name: own | declared.get(name, (none, none))[1] for name, own in self.datasets.items()}
        return replace(self, variants=variants, datasets=datasets)


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
