"""Croissant 1.1 metadata (JSON-LD) of a run's evidence: its Parquet files, columns and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest_file
from fmaudit.exports.common import (
    NOT_STATED,
    ExportFile,
    ExportSource,
    auditor,
    hex_digest,
    iso_time,
    json_bytes,
    plain,
    safe_name,
    stable_uuid,
)

FILE_NAME = "croissant.json"
CROISSANT = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
# The name that the format's own reader knows Parquet by.
_PARQUET = "application/x-parquet"
_GLOB_SPECIAL = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
# The terms of the format that are used here, and those its readers look for.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
}
_TERMS = (
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
_MAPS = {
    "clusters": "cluster factors of the item, for standard errors",
    "slices": "slices of the item, by column",
}
_COLUMNS = {
    "item_id": "Item: the question asked",
    "position": "Place of the item in the seeded random order",
    "block": "Block of 64 items that was finished together",
    "weight": "Weight of the item in a mean",
    "seed": "Replicate of the whole protocol",
    "sample": "Which of the k draws of the item",
    "responses": "What the model answered, as JSON text. It holds generated text, which is NOT redacted",
}


@dataclass(frozen=True)
class EvidencePart:
    """One Parquet file: its path in the run, digest, size in bytes, and (column, data type) pairs."""

    path: str
    sha256: str
    size: int
    columns: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """Name of the measurement's folder."""
        return self.path.split("/")[-2]


def evidence_parts(run: Path) -> list[EvidencePart]:
    """The Parquet files of a run's evidence, sorted by path."""
    found = sorted((run / "evidence").glob("*/*/part-*.parquet"))
    return [
        EvidencePart(
            path.relative_to(run).as_posix(),
            hex_digest(digest_file(path)),
            path.stat().st_size,
            _columns(path),
        )
        for path in found
    ]


def export_croissant(source: ExportSource, parts: Sequence[EvidencePart]) -> list[ExportFile]:
    """The one file of this format; its paths are relative to the run directory."""
    return [ExportFile(FILE_NAME, json_bytes(croissant(source, parts)))]


def croissant(source: ExportSource, parts: Sequence[EvidencePart]) -> dict[str, Any]:
    """The description as plain data. Source: Croissant 1.1 and Croissant RAI 1.0, MLCommons."""
    audit = source.audit
    by_key: dict[str, list[EvidencePart]] = {}
    for part in parts:
        by_key.setdefault(part.key, []).append(part)
    sets = [_record_set(place, key, found) for place, (key, found) in enumerate(sorted(by_key.items()))]
    described: dict[str, Any] = {
        "@context": _CONTEXT | {term: f"cr:{term}" for term in _TERMS},
        "@type": "sc:Dataset",
        "conformsTo": [CROISSANT, RAI],
        "name": f"Evidence of audit {source.digest}",
        "description": "Answers of language models to the questions of an fmaudit run, one row an item, "
        "subject, seed and sample, with every measure, its validity and its reason. Subjects: "
        + "; ".join(f"{subject.id} ({subject.role}): {subject.name}" for subject in audit.subjects),
        "license": NOT_STATED,
        "url": f"urn:uuid:{stable_uuid(source.digest, 'croissant')}",
        "creator": {
            "@type": "sc:Organization",
            "name": auditor(audit) or NOT_STATED,
        },
        "datePublished": NOT_STATED if source.moment is None else iso_time(source.moment),
        "version": "1.0.0",
        "citeAs": f"fmaudit evidence, audit digest {source.digest}",
        "isLiveDataset": False,
        "distribution": [_file_object(place, part) for place, part in enumerate(parts)]
        + [_file_set(place, key) for place, key in enumerate(sorted(by_key))],
        "recordSet": sets,
    }
    return described | _responsible(source)


def _columns(path: Path) -> tuple[tuple[str, str], ...]:
    import pyarrow.parquet as pq

    return tuple(
        (field.name, _data_type(field.type))
        for field in pq.read_schema(path)
        # Croissant has no type for a map; the record set's description names these columns.
        if field.name not in _MAPS
    )


def _data_type(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"


def _file_object(place: int, part: EvidencePart) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"file-{place}",
        "name": part.path,
        "contentUrl": part.path,
        "contentSize": f"{part.size} B",
        "encodingFormat": _PARQUET,
        "sha256": part.sha256,
    }


def _file_set(place: int, key: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{place}",
        "name": key,
        "encodingFormat": _PARQUET,
        "includes": f"evidence/*/{key.translate(_GLOB_SPECIAL)}/part-*.parquet",
    }


def _record_set(place: int, key: str, parts: Sequence[EvidencePart]) -> dict[str, Any]:
    columns = dict(column for part in parts for column in part.columns)
    found = f"records-{place}"
    subject = {
        "@type": "cr:Field",
        "@id": f"{found}/subject-of-row",
        "name": "subject",
        "description": "Id of the model that answered, from the file's place",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": f"files-{place}"},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": "^evidence/([^/]+)/.*$"},
        },
    }
    return {
        "@type": "cr:RecordSet",
        "@id": found,
        "name": key,
        "description": _about(key),
        "field": [
            subject,
            *(_field(found, place, name, kind) for name, kind in columns.items()),
        ],
    }


def _about(key: str) -> str:
    maps = "; ".join(f"{name} ({meaning})" for name, meaning in _MAPS.items())
    rows = f"Rows of {key}"
    if key.endswith("#retest"):
        rows = f"Rows of {key.removesuffix('#retest')} asked a second time on random numbers of their own"
    return f"{rows}. The files also hold two maps from text to text: {maps}"


def _field(record_set: str, place: int, name: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{safe_name(name)}",
        "name": name,
        "description": _COLUMNS.get(name, _measure(name)),
        "dataType": kind,
        "source": {"fileSet": {"@id": f"files-{place}"}, "extract": {"column": name}},
    }


def _measure(name: str) -> str:
    if name.endswith(".valid"):
        return f"Whether measure {name.removesuffix('.valid')} has a value"
    if name.endswith(".reason"):
        return f"Why measure {name.removesuffix('.reason')} has no value"
    return f"Measure {name} of the probe; empty where it is not valid"


def _responsible(source: ExportSource) -> dict[str, Any]:
    """The responsible-AI terms; written with their prefix, because readers drop them without it."""
    audit = source.audit
    missing = [
        f"{entry.id}: {entry.state}, coverage {plain(entry.coverage)}, invalid {plain(entry.invalid)}"
        + (f" ({entry.reason})" if entry.reason else "")
        for entry in audit.measurements
    ]
    limits = list(
        dict.fromkeys(
            limit
            for entry in audit.measurements
            for limit in (*entry.limits, *(entry.dataset.limits if entry.dataset else ()))
        )
    )
    tools: Mapping[str, str] = {
        card.id: f"{card.title} ({card.digest}): {card.warning or card.measures}"
        for card in audit.instruments
    }
    return {
        "rai:dataCollection": "Probes asked each model the items of a data set under a recorded protocol; "
        "the answers were stored as they came.",
        "rai:dataCollectionType": "Experiments",
        "rai:dataCollectionMissingData": "; ".join(missing),
        "rai:dataImputationProtocol": "Nothing is imputed: a missing measure has no value and a reason.",
        "rai:dataLimitations": limits,
        "rai:dataBiases": [card.warning for card in audit.instruments if card.warning] or NOT_STATED,
        "rai:dataUseCases": "Checking and recomputing the numbers of the audit with the same digest.",
        "rai:machineAnnotationTools": [tools[name] for name in sorted(tools)],
        "rai:personalSensitiveInformation": "Column responses holds model text as it was generated, which "
        "can include memorized personal data; it is not redacted in these files.",
    }
