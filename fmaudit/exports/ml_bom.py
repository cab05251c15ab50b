"""CycloneDX 1.6 machine-learning bill of materials: every subject, its numbers, its pedigree, the claims.

The official Python library of the format has no classes for model cards and
declarations, so the document is written as plain data and validated against the
official schema in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.exports.common import (
    NOT_STATED,
    ExportFile,
    ExportSource,
    auditor,
    hex_digest,
    iso_time,
    json_bytes,
    plain,
    relationship,
    stable_uuid,
)
from fmaudit.exports.ml_bom_card import model_card, named_properties
from fmaudit.exports.ml_bom_claims import declarations
from fmaudit.schema import Subject

FILE_NAME = "ml-bom.cdx.json"
SPEC_VERSION = "1.6"


def export_ml_bom(source: ExportSource) -> list[ExportFile]:
    """The one file of this format."""
    return [ExportFile(FILE_NAME, json_bytes(ml_bom(source)))]


def ml_bom(source: ExportSource) -> dict[str, Any]:
    """The bill of materials as plain data. Source: CycloneDX 1.6, JSON schema bom-1.6."""
    refs = model_refs(source)
    tool = source.audit.tool
    metadata: dict[str, Any] = {
        "tools": {
            "components": [
                {
                    "type": "application",
                    "name": tool.get("name", "fmaudit"),
                    "version": tool.get("version", NOT_STATED),
                }
            ]
        },
        "properties": named_properties(
            {
                "audit-digest": source.digest,
                "audit-schema": source.audit.schema_,
                "auditor": auditor(source.audit) or NOT_STATED,
                "relationship": relationship(source.audit) or NOT_STATED,
            }
        ),
    }
    if source.moment is not None:
        metadata["timestamp"] = iso_time(source.moment)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{stable_uuid(source.digest, 'ml-bom')}",
        "version": 1,
        "metadata": metadata,
        "components": [_component(source, subject, refs) for subject in source.audit.subjects],
        "declarations": declarations(source, refs),
    }


def model_refs(source: ExportSource) -> dict[str, str]:
    """The ``bom-ref`` of each subject."""
    return {subject.id: f"model-{place}" for place, subject in enumerate(source.audit.subjects)}


def _component(source: ExportSource, subject: Subject, refs: Mapping[str, str]) -> dict[str, Any]:
    component = {
        **_identity(subject),
        "bom-ref": refs[subject.id],
        "modelCard": model_card(source, subject, f"{refs[subject.id]}-card"),
        "properties": named_properties(_facts(source, subject)),
    }
    ancestors = [_identity(found) for found in _verified_ancestors(source, subject)]
    if ancestors:
        component["pedigree"] = {"ancestors": ancestors, "notes": _evidence(subject)}
    return component


def _identity(subject: Subject) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "machine-learning-model", "name": subject.name}
    digits = hex_digest(subject.digest)
    if digits:
        found["hashes"] = [{"alg": "SHA-256", "content": digits}]
    return found


def _facts(source: ExportSource, subject: Subject) -> dict[str, str]:
    facts = {
        "subject": subject.id,
        "role": subject.role,
        "kind": subject.kind,
        "digest": subject.digest,
        "digest-scope": "weights, adapter, tokenizer and chat template, as fmaudit hashes them",
        "recipe": subject.recipe or "",
        "training-seed": "" if subject.training_seed is None else str(subject.training_seed),
        **{f"digest-of:{name}": digest for name, digest in subject.parts.items()},
        **{f"note-{place}": note for place, note in enumerate(subject.notes, 1)},
    }
    lineage = subject.lineage
    if lineage.declared or subject.base:
        declared = lineage.declared or subject.base or ""
        known = source.subjects.get(declared)
        facts |= {
            "lineage-declared": known.name if known else declared,
            "lineage-verified": _answer(lineage.verified),
            "lineage-evidence": lineage.evidence,
            "lineage-from-base": _answer(lineage.from_base),
            "lineage-from-base-evidence": lineage.from_base_evidence,
        }
    if lineage.divergence_bits is not None:
        facts["lineage-divergence-bits"] = plain(lineage.divergence_bits.model_dump(mode="json"))
    return facts


def _answer(verified: bool | None) -> str:
    return {True: "verified", False: "refuted", None: "declared, not verified"}[verified]


def _verified_ancestors(source: ExportSource, subject: Subject) -> list[Subject]:
    """Nearest first; a subject that was only declared to be one is none."""
    named: list[str] = []
    if subject.lineage.verified and subject.lineage.declared:
        named.append(subject.lineage.declared)
    if subject.lineage.from_base and subject.base:
        named.append(subject.base)
    return [
        source.subjects[name]
        for name in dict.fromkeys(named)
        if name in source.subjects and name != subject.id
    ]


def _evidence(subject: Subject) -> str:
    parts = [subject.lineage.evidence, subject.lineage.from_base_evidence]
    return "; ".join(dict.fromkeys(part for part in parts if part)) or "verified; no evidence text recorded"
