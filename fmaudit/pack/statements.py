"""The in-toto statements of a pack, computed from its files alone, so that a verifier can compute them again.

``pack`` names every file; ``gate-...`` say what each policy found. Subjects carry SHA-256 digests only: the
algorithms that every reader of statements accepts. Statement layer:
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmaudit.canonical import canonical_bytes
from fmaudit.pack.bagit import MANIFEST_FILE, PAYLOAD, content_digest
from fmaudit.pack.model_digest import SERIALIZATION
from fmaudit.pack.predicates import SCAI, TEST_RESULT, Json, attribute_report, test_result
from fmaudit.pack.records import GateRecord

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PACK_TYPE = "urn:fmaudit:attestation:pack:1"
SCHEMA = "fmaudit/pack/1"
PACK = "pack"
CONTENT_NAME = f"{MANIFEST_FILE} without attestations"
SUBJECT_FOLDER = "subjects/"


@dataclass(frozen=True)
class Contents:
    """What the statements of a pack are computed from.

    Attributes:
        kind: ``public`` or ``restricted``.
        digests: Hex SHA-256 by path: payload without attestations, ``bagit.txt``, ``bag-info.txt``.
        run: The content of run.json.
        gates: The gate's records.
        models: Subject id to the root digest of its files, where these were at hand.
        redaction: What was taken out of a public pack; None for a restricted one.
    """

    kind: str
    digests: Mapping[str, str]
    run: Mapping[str, Any]
    gates: tuple[GateRecord, ...]
    models: Mapping[str, str] = field(default_factory=dict)
    redaction: Mapping[str, Any] | None = None


def statements(contents: Contents) -> dict[str, bytes]:
    """Every statement by its name, canonical JSON. Equal contents give equal bytes."""
    found: dict[str, bytes] = {}
    for gate in sorted(contents.gates, key=lambda gate: gate.stem):
        found |= _gate_statements(gate, contents)
    found[PACK] = canonical_bytes(_pack_statement(contents, found))
    return found


def model_descriptors(contents: Contents) -> dict[str, Json]:
    """An in-toto descriptor of each subject, by id.

    With its files at hand the OpenSSF root digest; otherwise the subject's own digest, which is the
    SHA-256 of the file ``data/subjects/ID.json``: the digests of its parts, as canonical JSON.
    """
    found: dict[str, Json] = {}
    for entry in contents.run["subjects"]:
        name = str(entry["id"])
        own = f"{PAYLOAD}{SUBJECT_FOLDER}{name}.json"
        root = contents.models.get(name)
        if root is not None:
            found[name] = {
                "name": name,
                "digest": {"sha256": root},
                "annotations": {"serialization": SERIALIZATION},
            }
        elif own in contents.digests:
            found[name] = {"name": own, "digest": {"sha256": contents.digests[own]}}
    return found


def _gate_statements(gate: GateRecord, contents: Contents) -> dict[str, bytes]:
    name = f"gate-{gate.stem}"
    models = model_descriptors(contents)
    subjects = [
        *models.values(),
        {"name": CONTENT_NAME, "digest": {"sha256": content_digest(contents.digests)}},
    ]
    configuration = [
        {"name": place, "digest": {"sha256": contents.digests[place]}, "annotations": note}
        for ending, note in (
            ("policy.yaml", {"policy": gate.policy.id, "meaning": gate.policy.digest}),
            ("waivers.yaml", {}),
        )
        if (place := f"{PAYLOAD}gate/{gate.stem}.{ending}") in contents.digests
    ]
    made = {f"{name}.test-result": _statement(subjects, TEST_RESULT, test_result(gate, configuration))}
    if gate.findings:
        report = attribute_report(gate, contents.run, contents.digests, models)
        made[f"{name}.scai"] = _statement(subjects, SCAI, report)
    return {name: canonical_bytes(statement) for name, statement in made.items()}


def _pack_statement(contents: Contents, others: Mapping[str, bytes]) -> Json:
    subjects = [
        {"name": name, "digest": {"sha256": contents.digests[name]}}
        for name in sorted(contents.digests, key=lambda name: name.encode())
    ]
    predicate: Json = {
        "schema": SCHEMA,
        "kind": contents.kind,
        "content": content_digest(contents.digests),
        "statements": [
            {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
            for name, data in sorted(others.items())
        ],
        "models": [
            {"subject": name, "digest": {"sha256": root}} for name, root in sorted(contents.models.items())
        ],
        "redaction": None if contents.redaction is None else dict(contents.redaction),
    }
    return _statement(subjects, PACK_TYPE, predicate)


def _statement(subjects: list[Json], predicate_type: str, predicate: Json) -> Json:
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": predicate_type,
        "predicate": predicate,
    }
