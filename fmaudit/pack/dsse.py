"""DSSE 1.0 envelopes around in-toto statements: what is signed is type and bytes, never a parsed document.

Protocol: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Protocol

from fmaudit.canonical import canonical_bytes
from fmaudit.pack.faults import PackFault
from fmaudit.pack.json_text import read_object

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KEY_ID = re.compile(r"[0-9a-f]{64}")


class Signs(Protocol):
    """What an envelope needs of a private key. ``key_id``: hex SHA-256 of the public key's DER."""

    @property
    def key_id(self) -> str:
        """Which key it is; a hint, never a reason to trust."""

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes."""


@dataclass(frozen=True)
class Envelope:
    """An opened envelope: the statement's bytes, and the one signature over its encoding."""

    payload: bytes
    key_id: str
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is of."""
        return pae(PAYLOAD_TYPE, self.payload)


def pae(payload_type: str, body: bytes) -> bytes:
    """The pre-authentication encoding of DSSE 1.0."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def seal(statement: bytes, key: Signs) -> bytes:
    """A signed envelope around a statement, as canonical JSON."""
    return _encode(Envelope(statement, key.key_id, key.sign(pae(PAYLOAD_TYPE, statement))))


def open_envelope(data: bytes, file: str) -> Envelope:
    """Read an envelope; its signature is not checked.

    Raises PackFault, naming ``file``, for another payload type, no or several
    signatures, and bytes that are not the canonical form of what they say.
    """
    fields = read_object(data, file)
    if fields.get("payloadType") != PAYLOAD_TYPE:
        raise PackFault(file, f"its payload type is not {PAYLOAD_TYPE}")
    signatures = fields.get("signatures")
    if not (isinstance(signatures, list) and len(signatures) == 1 and isinstance(signatures[0], dict)):
        raise PackFault(file, "holds no signature, or more than one")
    key_id = str(signatures[0].get("keyid"))
    if not _KEY_ID.fullmatch(key_id):
        raise PackFault(file, "its keyid is not the SHA-256 of a key")
    envelope = Envelope(
        _decoded(fields.get("payload"), file),
        key_id,
        _decoded(signatures[0].get("sig"), file),
    )
    if _encode(envelope) != data:
        raise PackFault(file, "is not in canonical form: it was written anew by something else")
    return envelope


def _encode(envelope: Envelope) -> bytes:
    return canonical_bytes(
        {
            "payload": base64.b64encode(envelope.payload).decode("ascii"),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": envelope.key_id, "sig": base64.b64encode(envelope.signature).decode("ascii")}
            ],
        }
    )


def _decoded(text: Any, file: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        raise PackFault(file, "its payload or signature is not base64") from None
