"""The numbers of one model in two audits, question by question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fmaudit.analysis.distances import PRINTED
from fmaudit.analysis.imported import IMPORTED
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.release_flips import release_flips
from fmaudit.analysis.release_records import OneSided, ReleaseCell
from fmaudit.analysis.releases import (
    Refusal,
    Release,
    ReleaseRows,
    release_change,
    release_contrast_change,
    release_pair,
)
from fmaudit.schema import ContrastResult, Subject
from fmaudit.schema.metrics import MetricTable, OfMetric, metric_table


@dataclass(frozen=True)
class Releases:
    """Two audits and the model that is compared, the earlier of each first."""

    older: ReleaseRows
    newer: ReleaseRows
    old: Subject
    new: Subject

    @property
    def sides(self) -> tuple[tuple[ReleaseRows, Subject], tuple[ReleaseRows, Subject]]:
        """Each audit with its model."""
        return (self.older, self.old), (self.newer, self.new)

    def infos(self) -> MetricTable:
        """What is known of every metric; the later audit's word where both know one."""
        audits = (self.older.audit, self.newer.audit)
        return metric_table(
            (found for audit in audits for found in audit.metrics),
            (found for audit in audits for found in audit.measurements),
        )


def questions(found: Releases) -> tuple[list[str], list[OneSided]]:
    """Keys that both measured, and those that only one did; what neither measured is left out."""
    sides = [
        {
            measured.id.removeprefix(f"{subject.id}/"): measured
            for measured in release.audit.measurements
            if measured.subject == subject.id
        }
        for release, subject in found.sides
    ]
    both: list[str] = []
    alone: list[OneSided] = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        states = [side[key].state if key in side else "" for side in sides]
        if states == ["measured", "measured"]:
            both.append(key)
        elif "measured" in states:
            place = states.index("measured")
            other = sides[1 - place].get(key)
            reason = (
                "not asked" if other is None else f"{other.state}: {other.reason or 'no reason recorded'}"
            )
            word: Release = "later" if place else "earlier"
            alone.append(OneSided(key, word, reason))
    return both, alone


def number_cells(found: Releases, key: str, *, headline: bool, level: float) -> Iterator[ReleaseCell]:
    """Every number of a question that one of the audits has, with its change or why there is none.

    ``headline``: only headline numbers over all items.
    """
    settings, infos, protocol = _settings(found, key, level), found.infos(), _protocol(found, key)
    imported = _imported(found, key)
    paired = release_pair(found.older, found.newer, found.old.id, found.new.id, key)
    olds, news = (
        {
            (number.metric, frozenset(number.slice.items())): number
            for number in release.audit.estimates
            if number.measurement == f"{subject.id}/{key}"
            and (not headline or (not number.slice and _is_headline(infos, number)))
        }
        for release, subject in found.sides
    )
    for metric, levels in dict.fromkeys([*news, *olds]):
        change = release_change(
            found.older, found.newer, found.old.id, found.new.id, key, metric, dict(levels), settings
        )
        info = infos.at(metric, key)
        away = None
        if not isinstance(change, Refusal) and info is not None and info.direction == "target":
            away = release_change(
                found.older,
                found.newer,
                found.old.id,
                found.new.id,
                key,
                metric,
                dict(levels),
                settings,
                PRINTED,
            )
        flips = None
        if not levels and not isinstance(change, Refusal) and not isinstance(paired, Refusal):
            flips = release_flips(paired, metric.partition("/")[2])
        yield ReleaseCell(
            key=key,
            metric=metric,
            title=(info.title if info else "") or metric.partition("/")[2],
            slice=dict(levels),
            contrast="",
            older=olds.get((metric, levels)),
            newer=news.get((metric, levels)),
            change=None if isinstance(change, Refusal) else change,
            refusal=change if isinstance(change, Refusal) else None,
            flips=flips,
            info=info,
            protocol=protocol,
            imported=imported,
            distance=None if isinstance(away, Refusal) else away,
        )


def _is_headline(infos: MetricTable, number: OfMetric) -> bool:
    info = infos.of(number)
    return info is not None and info.headline


def contrast_cells(found: Releases, key: str, *, headline: bool, level: float) -> Iterator[ReleaseCell]:
    """Every contrast of a question that one of the audits has, with its change or why there is none.

    ``headline``: only headline contrasts.
    """
    settings, infos, protocol = _settings(found, key, level), found.infos(), _protocol(found, key)
    imported = _imported(found, key)
    olds, news = (
        {
            name.removeprefix(f"{subject.id}/{key}/"): contrast
            for name, contrast in release.contrasts.items()
            if contrast.measurement == f"{subject.id}/{key}" and (contrast.headline or not headline)
        }
        for release, subject in found.sides
    )
    for name in dict.fromkeys([*news, *olds]):
        change = release_contrast_change(
            found.older, found.newer, found.old.id, found.new.id, key, name, settings
        )
        own: ContrastResult = news.get(name) or olds[name]
        info = infos.of(own)
        away = None
        if not isinstance(change, Refusal) and info is not None and info.direction == "target":
            away = release_contrast_change(
                found.older, found.newer, found.old.id, found.new.id, key, name, settings, distance=True
            )
        yield ReleaseCell(
            key=key,
            metric=own.metric,
            title=own.title,
            slice={},
            contrast=name,
            older=olds.get(name),
            newer=news.get(name),
            change=None if isinstance(change, Refusal) else change,
            refusal=change if isinstance(change, Refusal) else None,
            flips=None,
            info=info,
            protocol=protocol,
            imported=imported,
            distance=None if isinstance(away, Refusal) else away,
        )


def _settings(found: Releases, key: str, level: float) -> Settings:
    # The seed that the later audit's own intervals were resampled with.
    measured = found.newer.measurements[f"{found.new.id}/{key}"]
    return Settings(level=level, seed=int(measured.protocol.get("seed") or 0))


def _protocol(found: Releases, key: str) -> str:
    return str(found.newer.measurements[f"{found.new.id}/{key}"].protocol.get("digest", ""))


def _imported(found: Releases, key: str) -> bool:
    records = [release.measurement(subject.id, key) for release, subject in found.sides]
    return any(record is not None and record.assurance == IMPORTED for record in records)
