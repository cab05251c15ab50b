"""Words that builder and verifier share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fmaudit.errors import UsageError

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
PUBLIC, RESTRICTED = "public", "restricted"
UNSIGNED = "none, this pack is unsigned"


def signature_label(key_id: str | None, keyless: bool) -> str:
    """What ``bag-info.txt`` says of the signature."""
    parts = [f"DSSE, key {key_id}"] if key_id else []
    parts += ["Sigstore"] if keyless else []
    return "; ".join(parts) or UNSIGNED


def packing_day(environment: Mapping[str, str]) -> str:
    """The day that ``SOURCE_DATE_EPOCH`` names, as ``2026-01-31``; empty where it is not set.

    Raises UsageError for a value that is no number of seconds.
    """
    given = environment.get(EPOCH_VARIABLE, "").strip()
    if not given:
        return ""
    if not given.isascii() or not given.isdigit() or len(given) > 11:
        raise UsageError(f"{EPOCH_VARIABLE} wants whole seconds since 1970, got {given[:40]!r}")
    return datetime.fromtimestamp(int(given), UTC).strftime("%Y-%m-%d")
