"""What every interchange format needs: names, digests, times, numbers and what stands for their absence."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from fmaudit.canonical import canonical_bytes, digest_bytes
from fmaudit.context import card_of
from fmaudit.report.index import without_paths
from fmaudit.schema import Audit, Comparison, Estimate, Measurement, Numbers, Subject
from fmaudit.schema.metrics import MetricTable, OfMetric, metrics_of

NOT_STATED = "not stated"
# Text in a JSON string may later stand in an HTML page: these three cannot begin markup there.
_MARKUP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._+@=-]+")
_SHA256 = re.compile(r"^sha256:([0-9a-f]{64})$")
_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
_MAX_NAME = 80


# Subject, measurement, metric and slice of a number.
Place = tuple[str, str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class ExportFile:
    """One file of an export: its path inside the export's folder, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class ExportSource:
    """What an export is a function of.

    ``audit``: without absolute paths. ``digest``: of the canonical bytes of
    ``audit.json``. ``moment``: seconds since 1970 (UTC) that stand for the time of
    the audit, None where none is recorded.
    """

    audit: Audit
    digest: str
    moment: int | None = None

    @cached_property
    def subjects(self) -> Mapping[str, Subject]:
        """Subjects by id."""
        return {subject.id: subject for subject in self.audit.subjects}

    @cached_property
    def metrics(self) -> MetricTable:
        """What is known of every metric."""
        return metrics_of(self.audit)

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """Measurements by id."""
        return {measurement.id: measurement for measurement in self.audit.measurements}

    @cached_property
    def changes(self) -> Mapping[Place, Comparison]:
        """The comparisons with the base by the place of the adapted subject's own number."""
        return {
            place_of(found.adapted, found): found
            for found in self.audit.comparisons
            if found.step == "from_base"
        }

    def estimates_of(self, subject: str) -> list[Estimate]:
        """The estimates of one subject, in the order of the audit."""
        return [estimate for estimate in self.audit.estimates if estimate.subject == subject]

    def measurements_of(self, subject: str) -> list[Measurement]:
        """The measurements of one subject, in the order of the audit."""
        return [found for found in self.audit.measurements if found.subject == subject]

    def headline_comparisons(self) -> list[Comparison]:
        """What the audit says of base against adapted, over all items of each headline metric."""
        return [
            found
            for found in self.audit.comparisons
            if not found.slice and found.step == "from_base" and self.is_headline(found)
        ]

    def is_headline(self, number: OfMetric) -> bool:
        """Whether the metric of a number is its probe's headline."""
        found = self.metrics.of(number)
        return bool(found and found.headline)

    def title(self, number: OfMetric) -> str:
        """The title of a number's metric, or its id where the audit has none."""
        found = self.metrics.of(number)
        return (found.title if found else "") or number.metric

    def key(self, measurement: str) -> str:
        """Name of a measurement without its subject: ``probe@dataset+variant``."""
        found = self.measurements.get(measurement)
        return measurement.removeprefix(f"{found.subject}/") if found else measurement


def place_of(subject: str, number: Estimate | Comparison) -> Place:
    """Where a number of ``subject`` stands."""
    return subject, number.measurement, number.metric, tuple(sorted(number.slice.items()))


def source_of(audit: Audit, moment: int | None = None) -> ExportSource:
    """An audit ready to be exported."""
    return ExportSource(without_paths(audit, longest=None), digest_bytes(audit.to_bytes()), moment)


def gap(numbers: Numbers) -> str:
    """Why a number may not be exported as a value; empty where it has its value and both limits."""
    complete = None not in (numbers.value, numbers.lower, numbers.upper)
    if numbers.state == "measured" and complete:
        return ""
    if numbers.reason:
        return numbers.reason
    return numbers.state if numbers.state != "measured" else "no interval: undefined"


def details(numbers: Numbers) -> dict[str, str]:
    """Everything a value may not travel without, as text; what the audit does not hold is left out."""
    facts: dict[str, Any] = {
        "adjusted_level": numbers.adjusted_level,
        "adjusted_lower": numbers.adjusted_lower,
        "adjusted_upper": numbers.adjusted_upper,
        "clusters": numbers.clusters or None,
        "conclusive": numbers.conclusive,
        "coverage": numbers.coverage,
        "estimand": numbers.estimand,
        "level": numbers.level,
        "mde": numbers.mde,
        "method": numbers.method,
        "n": numbers.n,
        "n_eff": numbers.n_eff,
        "p": numbers.p,
        "p_adjusted": numbers.p_adjusted,
        "reason": numbers.reason,
        "samples_per_item": numbers.samples_per_item,
        "state": numbers.state,
        "worst": numbers.worst,
        "worst_interval": numbers.worst_interval,
    }
    if numbers.resampling:
        facts |= {
            "resampling_draws": numbers.resampling.draws,
            "resampling_seed": numbers.resampling.seed,
        }
    return {name: plain(value) for name, value in facts.items() if value not in (None, "")}


def plain(value: Any) -> str:
    """A value as text: text as it is, anything else as ``audit.json`` writes it."""
    return value if isinstance(value, str) else canonical_bytes(value).decode()


def missing(source: ExportSource, subject: str) -> list[dict[str, Any]]:
    """What was not measured of one subject, or has no interval: what it is, its state and the reason."""
    found: list[dict[str, Any]] = [
        {"measurement": source.key(entry.id), "state": entry.state, "reason": entry.reason or NOT_STATED}
        for entry in source.measurements_of(subject)
        if entry.state != "measured"
    ]
    return found + [
        {
            "measurement": source.key(entry.measurement),
            "metric": entry.metric,
            "slice": dict(entry.slice),
            "state": entry.state,
            "reason": gap(entry),
        }
        for entry in source.estimates_of(subject)
        if gap(entry)
    ]


def slice_text(levels: Mapping[str, str]) -> str:
    """A slice as ``column=level``; empty for all items."""
    return ", ".join(f"{column}={level}" for column, level in sorted(levels.items()))


def auditor(audit: Audit) -> str:
    """The organisation that audited, or the person, as the audit's context states it; empty where silent."""
    card = card_of(audit.context)
    named = (card.auditor.organisation, card.auditor.name) if card else ()
    return next((name for name in named if name and name.strip()), "")


def relationship(audit: Audit) -> str:
    """How the auditor stands to the model's developer, as the context states it; empty where silent."""
    card = card_of(audit.context)
    return (card.relationship or "") if card else ""


def hex_digest(digest: str) -> str:
    """The 64 hex digits of a sha256 digest; empty where it is none."""
    found = _SHA256.match(digest)
    return found.group(1) if found else ""


def safe_name(text: str) -> str:
    """Text as one component of a path: ASCII, short, never ``.`` or ``..``; unequal texts stay unequal."""
    cleaned = _UNSAFE.sub("-", text).strip(".-")[:_MAX_NAME]
    if cleaned == text and cleaned.lower() not in ("", "data"):
        return cleaned
    mark = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{cleaned}-{mark}" if cleaned else f"name-{mark}"


def stable_uuid(digest: str, *parts: str) -> uuid.UUID:
    """A name-based UUID (version 5) of the audit and what ``parts`` name in it."""
    return uuid.uuid5(_NAMESPACE, canonical_bytes([digest, *parts]).decode())


def random_looking_uuid(digest: str, *parts: str) -> uuid.UUID:
    """A UUID of the same inputs with the bits of version 4, for formats whose schema asks for that."""
    return uuid.UUID(bytes=sha256(canonical_bytes([digest, *parts])).digest()[:16], version=4)


def iso_time(moment: int) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def json_bytes(value: Any) -> bytes:
    """Plain data as ASCII JSON with sorted keys; hidden and markup characters only as escapes."""
    return (_inert(json.dumps(value, indent=1, sort_keys=True, allow_nan=False)) + "\n").encode("ascii")


def jsonl_bytes(records: Iterable[Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> bytes:
    """Records as JSON lines, written like :func:`json_bytes`."""
    lines = (_inert(json.dumps(record, sort_keys=True, allow_nan=False)) + "\n" for record in records)
    return "".join(lines).encode("ascii")


def _inert(text: str) -> str:
    # Outside of strings JSON has none of these characters.
    for char, escape in _MARKUP.items():
        text = text.replace(char, escape)
    return text
