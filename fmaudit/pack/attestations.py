"""The attestations of a pack: its statements, each signed with a key, through Sigstore, both, or bare."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.pack.bagit import ATTESTATIONS
from fmaudit.pack.dsse import PAYLOAD_TYPE, Envelope, open_envelope
from fmaudit.pack.faults import Fault, PackFault
from fmaudit.pack.json_text import MAX_JSON, read_object
from fmaudit.pack.keys import VerifyingKey
from fmaudit.pack.statements import PACK, PACK_TYPE, SCHEMA, STATEMENT_TYPE
from fmaudit.pack.verify_files import read_limited

KEYED, KEYLESS, BARE = ".dsse.json", ".sigstore.json", ".intoto.json"
FORMS = (KEYED, KEYLESS, BARE)
KeylessVerifier = Callable[[bytes], bytes]
"""Takes a Sigstore bundle and gives the payload that the expected identity signed; raises ValueError."""


@dataclass(frozen=True)
class Attestation:
    """One file of attestations, opened. ``envelope`` belongs to the keyed form."""

    file: str
    name: str
    form: str
    payload: bytes
    data: bytes
    envelope: Envelope | None = None


@dataclass(frozen=True)
class PackStatement:
    """What the pack's own statement says."""

    kind: str
    digests: Mapping[str, str]
    models: Mapping[str, str]


def read_attestations(folder: Path, names: Iterable[str]) -> list[Attestation]:
    """Every attestation among the files of a pack. Raises PackFault for a file that is none."""
    found = []
    for file in sorted(name for name in names if name.startswith(ATTESTATIONS)):
        form = next((form for form in FORMS if file.endswith(form)), None)
        if form is None:
            raise PackFault(file, "is no attestation of a pack")
        data = read_limited(folder, file, MAX_JSON)
        name = file.removeprefix(ATTESTATIONS).removesuffix(form)
        envelope = open_envelope(data, file) if form == KEYED else None
        payload = envelope.payload if envelope else _bundled(data, file) if form == KEYLESS else data
        found.append(Attestation(file, name, form, payload, data, envelope))
    return found


def forms_of(attestations: Iterable[Attestation]) -> tuple[str, ...]:
    """How the pack's statement is signed. Raises PackFault where there is none, or one is bare."""
    forms = tuple(
        form for form in FORMS if any(one.name == PACK and one.form == form for one in attestations)
    )
    if not forms:
        raise PackFault(f"{ATTESTATIONS}{PACK}", "is missing: nothing names the files of this pack")
    if BARE in forms and len(forms) > 1:
        raise PackFault(
            f"{ATTESTATIONS}{PACK}{BARE}", "stands beside a signed one: it does not belong to a pack"
        )
    return forms


def pack_statement(attestation: Attestation) -> PackStatement:
    """The pack's statement, read. Raises PackFault for another statement, or one of a later fmaudit."""
    fields = read_object(attestation.payload, attestation.file)
    if (fields.get("_type"), fields.get("predicateType")) != (STATEMENT_TYPE, PACK_TYPE):
        raise PackFault(attestation.file, f"is no in-toto statement of type {PACK_TYPE}")
    predicate = fields.get("predicate")
    if not isinstance(predicate, dict):
        raise PackFault(attestation.file, "has no predicate")
    schema = predicate.get("schema")
    if schema != SCHEMA:
        raise PackFault(
            attestation.file, f"is of {str(schema)[:40]!r} and this fmaudit reads {SCHEMA}: take a newer one"
        )
    try:
        return PackStatement(
            kind=str(predicate["kind"]),
            digests=_digests(fields["subject"], "name"),
            models=_digests(predicate["models"], "subject"),
        )
    except (KeyError, TypeError, AttributeError):
        raise PackFault(attestation.file, "does not list its files and models as a pack does") from None


def signature_faults(
    attestations: Iterable[Attestation], key: VerifyingKey | None, keyless: KeylessVerifier | None
) -> list[Fault]:
    """What is wrong with the signatures, as far as there is something to check them with."""
    found = []
    for one in attestations:
        reason = ""
        if one.form == BARE and (key or keyless):
            reason = "is not signed, so there is nothing to check with a key or an identity"
        elif one.envelope is not None and key is not None:
            reason = _key_fault(one.envelope, key)
        elif one.form == KEYLESS and keyless is not None:
            reason = _keyless_fault(one, keyless)
        if reason:
            found.append(Fault(one.file, reason))
    return found


def _key_fault(envelope: Envelope, key: VerifyingKey) -> str:
    if key.verifies(envelope.signed_bytes, envelope.signature):
        return "" if envelope.key_id == key.key_id else "names another key than the one that signed it"
    if envelope.key_id != key.key_id:
        return f"is signed with key {envelope.key_id}, not with the given {key.key_id}"
    return "was changed: its signature does not fit"


def _keyless_fault(one: Attestation, keyless: KeylessVerifier) -> str:
    try:
        payload = keyless(one.data)
    except ValueError as error:
        return f"Sigstore does not verify it: {error}"
    return "" if payload == one.payload else "its bundle holds another statement than the one that is signed"


def _bundled(data: bytes, file: str) -> bytes:
    envelope = read_object(data, file).get("dsseEnvelope")
    if not isinstance(envelope, dict) or envelope.get("payloadType") != PAYLOAD_TYPE:
        raise PackFault(file, f"is no Sigstore bundle of {PAYLOAD_TYPE}")
    try:
        return base64.b64decode(str(envelope.get("payload")), validate=True)
    except (binascii.Error, ValueError):
        raise PackFault(file, "its payload is not base64") from None


def _digests(descriptors: Any, label: str) -> dict[str, str]:
    return {str(entry[label]): str(entry["digest"]["sha256"]) for entry in descriptors}
