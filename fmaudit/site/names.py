"""Addresses inside a site: lower-case letters, digits and hyphens, whatever a model calls itself."""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256

from fmaudit.report.escape import visible

_OTHER = re.compile(r"[^a-z0-9]+")
_SLUG_LENGTH = 48
_DIGEST_LENGTH = 12
_NAME_LENGTH = 120


def slug(text: str) -> str:
    """``text`` as ``[a-z0-9-]``, at most 48 characters; ``model`` where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain).strip("-")[:_SLUG_LENGTH].strip("-") or "model"


def audit_address(name: str, digest: str) -> str:
    """The folder name of an audit: a function of the model's name and the content digest alone.

    ``digest``: ``sha256:`` and hex digits.
    """
    return f"{slug(name)}-{digest.partition(':')[2][:_DIGEST_LENGTH]}"


def name_address(name: str) -> str:
    """The folder name of a model or family; names that have one slug still have two addresses."""
    return f"{slug(name)}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def shown_name(text: str) -> str:
    """A name as one visible line that a page has room for."""
    line = " ".join(visible(text[: 4 * _NAME_LENGTH]).split()) or "without a name"
    return line if len(line) <= _NAME_LENGTH else line[: _NAME_LENGTH - 1] + "…"
