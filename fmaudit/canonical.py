"""Canonical bytes and digests: one meaning, one byte string (RFC 8785)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import rfc8785

DIGEST_PREFIX = "sha256:"
_CHUNK = 1 << 20


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 JSON of plain data. Raises ValueError on NaN and infinities."""
    return rfc8785.dumps(value)


def digest_bytes(data: bytes) -> str:
    """``sha256:`` and the hex digest of ``data``."""
    return DIGEST_PREFIX + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Digest of plain data, independent of key order and whitespace."""
    return digest_bytes(canonical_bytes(value))


def digest_file(path: Path) -> str:
    """Digest of a file's bytes, read in chunks."""
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return DIGEST_PREFIX + sha.hexdigest()
