"""Proof that a restricted pack holds what was taken out of a public one, for whoever has the hash key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.errors import UsageError
from fmaudit.pack.bagit import PAYLOAD
from fmaudit.pack.faults import Fault
from fmaudit.pack.labels import PUBLIC, RESTRICTED
from fmaudit.pack.public_files import split
from fmaudit.pack.redacted_rows import redacted_part
from fmaudit.pack.redaction import HashKey
from fmaudit.pack.verify import Verification
from fmaudit.pack.verify_contents import redactions_of


class VerifiedPack(NamedTuple):
    """A pack without faults."""

    folder: Path
    found: Verification


def proof_faults(public: VerifiedPack, restricted: VerifiedPack, key: HashKey) -> tuple[Fault, ...]:
    """Where the public pack is not the restricted one with its texts taken out; empty where it is.

    Every text is taken out of the restricted pack again and the rows compared, so that agreement proves
    each keyed hash. Both packs have been verified.

    Raises UsageError where the packs are not a public and a restricted one, or were not made with this key.
    """
    for pack, kind, option in ((public, PUBLIC, "PACK"), (restricted, RESTRICTED, "--against")):
        if pack.found.kind != kind:
            raise UsageError(f"{option} {pack.folder.name} is no {kind} pack: name the {kind} one")
    record = redactions_of(public.folder, public.found.digests)
    if record["key"] != key.id:
        raise UsageError("--hash-key is another key than the one this public pack was made with")
    return tuple(_faults(public, restricted, key, record))


def _faults(
    public: VerifiedPack, restricted: VerifiedPack, key: HashKey, record: Mapping[str, Any]
) -> Iterator[Fault]:
    names = {
        name.removeprefix(PAYLOAD): digest
        for name, digest in restricted.found.digests.items()
        if not name.startswith((f"{PAYLOAD}subjects/", f"{PAYLOAD}environment.json"))
    }
    files = split(names)
    for name in files.shown:
        if public.found.digests.get(PAYLOAD + name) != names[name]:
            yield Fault(PAYLOAD + name, "is not the same in both packs")
    hashes = {entry["file"]: entry["hash"] for entry in (*record["evidence"], *record["left_out"])}
    for name in sorted({*files.redacted, *files.left_out, *hashes}):
        if name not in names:
            yield Fault(PAYLOAD + name, "is recorded as taken out, and the restricted pack does not hold it")
        elif hashes.get(name) != key.of_file(name, restricted.folder / PAYLOAD / name):
            yield Fault(PAYLOAD + name, "is not the file whose keyed hash the public pack records")
        elif name in files.redacted and not _same_rows(public, restricted, name, key, record):
            yield Fault(PAYLOAD + name, "does not hold the rows of the restricted pack, texts taken out")


def _same_rows(
    public: VerifiedPack, restricted: VerifiedPack, name: str, key: HashKey, record: Mapping[str, Any]
) -> bool:
    # Rows, not bytes: another release of the Parquet writer may lay the same rows out differently.
    place = name.removeprefix("evidence/").rpartition("/")[0].partition("#")[0]
    levels = record["levels"].get(place, {})
    made = redacted_part(restricted.folder / PAYLOAD / name, name, levels, key)
    try:
        return bool(
            pq.read_table(pa.BufferReader(made.data)).equals(pq.read_table(public.folder / PAYLOAD / name))
        )
    except (pa.ArrowException, OSError):
        return False
