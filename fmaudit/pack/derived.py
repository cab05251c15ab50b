"""Files of a pack that are computed from run.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.canonical import canonical_bytes, digest
from fmaudit.errors import UsageError
from fmaudit.pack.statements import SUBJECT_FOLDER

ENVIRONMENT_FILE = "environment.json"


def derived_files(state: Mapping[str, Any]) -> dict[str, bytes]:
    """What packing writes beside the run's own files, computed from run.json.

    ``environment.json``, and for each subject its parts' digests as canonical JSON: the SHA-256 of that file
    is the subject's digest.

    Raises UsageError for a subject whose digest is not that of its parts, or whose id is no file name.
    """
    environment = {
        "schema": "fmaudit/environment/1",
        "tool": state.get("tool", {}),
        "environment": state.get("environment", {}),
    }
    try:
        found = {ENVIRONMENT_FILE: canonical_bytes(environment)}
    except ValueError as error:  # Of rfc8785: integers and floats that no two readers take for the same.
        raise UsageError(f"run.json has no canonical form ({error}): restore it") from None
    for entry in state["subjects"]:
        parts = entry.get("parts") or {}
        if not parts:
            continue
        if "/" in entry["id"] or entry["id"] in (".", ".."):
            raise UsageError(f"subject {entry['id']!r} in run.json is no file name: run.json was changed")
        if entry.get("digest") not in ("", None, digest(parts)):
            raise UsageError(
                f"the digest of subject {entry['id']} in run.json is not that of its parts: restore it"
            )
        found[f"{SUBJECT_FOLDER}{entry['id']}.json"] = canonical_bytes(parts)
    return found
