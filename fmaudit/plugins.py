"""Probes as plugins: entry points of the group ``fmaudit.probes``, one a probe.

Names are listed without importing a probe; a probe that cannot be loaded is
listed with its reason and refused only when someone asks to run it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from fmaudit.errors import ProbeError
from fmaudit.probe import Direction, Probe

GROUP = "fmaudit.probes"


@dataclass(frozen=True)
class ProbeEntry:
    """One installed probe: its id, who ships it, and why it cannot be used, if so."""

    id: str
    distribution: str
    version: str
    broken_reason: str | None = None


@dataclass(frozen=True)
class DeclaredNames:
    """What a probe may be asked, of which a run asks some.

    ``contrasts``: by metric (``probe/metric``); ``asked_on``: data sets by metric and variant.
    """

    variants: frozenset[str]
    datasets: frozenset[str]
    contrasts: Mapping[str, frozenset[str]]
    asked_on: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)


def list_probes(check: bool = False) -> list[ProbeEntry]:
    """Every installed probe, by id.

    Args:
        check: also import each probe, so that ``broken_reason`` is known; without
            it nothing is imported and ``broken_reason`` is None.

    Raises:
        ProbeError: two distributions ship a probe of one id.
    """
    installed = list(_installed().values())
    if not check:
        return [_describe(entry) for entry in installed]
    return [replace(_describe(entry), broken_reason=_broken(entry)) for entry in installed]


def known_metrics() -> set[str]:
    """Ids (``probe/metric``) of the metrics of every installed probe that can be used."""
    return set(metric_directions())


def metric_directions() -> dict[str, Direction]:
    """Which way is better, of every metric of an installed probe that can be used, by id."""
    return {
        f"{probe.id}/{metric.id}": metric.direction
        for cls in _usable().values()
        for probe in expand(cls)
        for metric in probe.metrics
    }


def metric_ideals() -> dict[str, float]:
    """Where numbers ought to be, of every installed metric with a target, by id."""
    return {
        f"{probe.id}/{metric.id}": metric.ideal
        for cls in _usable().values()
        for probe in expand(cls)
        for metric in probe.metrics
        if metric.direction == "target" and metric.ideal is not None
    }


def declared_names() -> dict[str, DeclaredNames]:
    """What every installed probe that can be used may be asked, by its id."""
    found = {}
    for name, cls in _usable().items():
        own = expand(cls)
        contrasts: dict[str, set[str]] = {f"{name}/{one.id}": set() for p in own for one in p.metrics}
        for contrast in (one for probe in own for one in probe.contrasts):
            contrasts[f"{name}/{contrast.metric}"].add(contrast.id)
        asked_on: dict[str, dict[str, frozenset[str]]] = {}
        for probe in own:
            for metric in probe.metrics:
                names = frozenset(probe.datasets_of(probe.variant))
                asked_on.setdefault(f"{name}/{metric.id}", {})[probe.variant] = names
        found[name] = DeclaredNames(
            variants=frozenset(probe.variant for probe in own),
            datasets=frozenset(name for probe in own for name in probe.datasets_of(probe.variant)),
            contrasts={metric: frozenset(ids) for metric, ids in contrasts.items()},
            asked_on=asked_on,
        )
    return found


def select(patterns: Sequence[str]) -> list[str]:
    """Probe ids that match, in the order of the listing, each once.

    Args:
        patterns: full ids, families (``bias``) or globs (``bias.*``); none selects every probe.

    Raises:
        ProbeError: a pattern matches nothing.
    """
    known = list(_installed())
    if not patterns:
        return known
    chosen: set[str] = set()
    for pattern in patterns:
        matches = [name for name in known if _matches(name, pattern)]
        if not matches:
            raise _unknown(pattern, known)
        chosen.update(matches)
    return [name for name in known if name in chosen]


def load_probe(probe_id: str) -> type[Probe]:
    """Import the class of a probe.

    Raises:
        ProbeError: unknown id (names near ones), or the probe cannot be used and why.
    """
    installed = _installed()
    entry = installed.get(probe_id)
    if entry is None:
        raise _unknown(probe_id, list(installed))
    return _load(entry)


def expand(cls: type[Probe]) -> list[Probe]:
    """One instance a variant, in declared order; one instance where there are no variants."""
    return [cls(variant) for variant in cls.variants or ("",)]


def card_folder(cls: type[Probe]) -> Path | None:
    """Folder of the probe's module, where a third party keeps its cards; None without a file."""
    try:
        return Path(inspect.getfile(cls)).parent
    except (TypeError, OSError):
        return None


def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = found.setdefault(entry.name, entry)
        if other is entry:
            # Who ships it stands in a file of its own, read only where it is asked for.
            continue
        ours, theirs = _describe(entry), _describe(other)
        if ours.distribution != theirs.distribution or entry.value != other.value:
            raise ProbeError(
                f"probe {entry.name} is shipped by {theirs.distribution} {theirs.version} and by "
                f"{ours.distribution} {ours.version}; uninstall one"
            )
    return dict(sorted(found.items()))


def _describe(entry: EntryPoint) -> ProbeEntry:
    if entry.dist is None:
        return ProbeEntry(entry.name, "unknown distribution", "")
    return ProbeEntry(entry.name, entry.dist.name, entry.dist.version)


def _usable() -> dict[str, type[Probe]]:
    found = {}
    for name, entry in _installed().items():
        with suppress(ProbeError):
            found[name] = _load(entry)
    return found


def _broken(entry: EntryPoint) -> str | None:
    try:
        _load(entry)
    except ProbeError as error:
        return str(error)
    return None


def _load(entry: EntryPoint) -> type[Probe]:
    try:
        cls = entry.load()
    # Anything may happen while someone else's module is imported.
    except Exception as error:
        cause = (str(error).splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {cause}" if cause else type(error).__name__
        raise ProbeError(f"probe {entry.name} cannot be imported: {reason}; {_remedy(entry)}") from error
    fault = _fault(entry.name, cls)
    if fault:
        raise ProbeError(f"probe {entry.name} ({entry.value}) {fault}; {_remedy(entry)}")
    assert isinstance(cls, type)
    return cls


def _remedy(entry: EntryPoint) -> str:
    shipped = _describe(entry)
    return f"repair or uninstall {shipped.distribution} {shipped.version}"


def _fault(probe_id: str, cls: object) -> str | None:
    if not (isinstance(cls, type) and issubclass(cls, Probe)):
        return "is not a subclass of fmaudit.probe.Probe"
    if cls.id != probe_id:
        return f"calls itself {cls.id or 'nothing'!r}: name the entry point as the class"
    if cls.version < 1:
        return f"has version {cls.version}: start at 1"
    if not cls.datasets:
        return "names no data set"
    return None


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or name.partition(".")[0] == pattern or fnmatchcase(name, pattern)


def _unknown(pattern: str, known: Sequence[str]) -> ProbeError:
    families = {name.partition(".")[0] for name in known}
    near = difflib.get_close_matches(pattern, [*known, *sorted(families)], n=3, cutoff=0.5)
    near += [name for name in known if name.partition(".")[2] == pattern and name not in near]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ProbeError(f"unknown probe {pattern!r}: {hint}see fmaudit ls probes")
