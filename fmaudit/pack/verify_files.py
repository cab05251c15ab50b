"""Whether the files of a bag are those its manifests list: no more, no fewer, and none changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fmaudit.pack import bagit
from fmaudit.pack.bagit import (
    DECLARATION_FILE,
    INFO_FILE,
    MANIFEST_FILE,
    PAYLOAD,
    TAG_FILES,
    TAG_MANIFEST_FILE,
)
from fmaudit.pack.faults import Fault, PackFault
from fmaudit.pack.paths import walk


@dataclass(frozen=True)
class Inventory:
    """The files of a bag with their hex SHA-256, and what is wrong with them."""

    digests: Mapping[str, str]
    faults: tuple[Fault, ...]


def read_limited(folder: Path, name: str, limit: int) -> bytes:
    """A file of a pack. Raises PackFault for one that is larger than ``limit`` bytes."""
    with (folder / name).open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise PackFault(name, f"is larger than {limit:,} bytes: not read")
    return data


def check_files(folder: Path, stated: Mapping[str, str]) -> Inventory:
    """Hold every file against the manifests.

    Args:
        folder: The bag.
        stated: Hex SHA-256 by name as the pack's statement has it, as far as it can be read: a third witness,
            so that of a file and a manifest that disagree the changed one is named.
    """
    found = walk(folder)
    names = set(found.files)
    faults = list(found.faults)
    # No manifest can list them, and their names may say anything.
    faults += [Fault(name, "is an empty folder, which does not belong to a pack") for name in found.empty]
    faults += [
        Fault(name, "is missing: the pack is cut off, or no pack") for name in TAG_FILES if name not in names
    ]
    strangers = sorted(name for name in names if not name.startswith(PAYLOAD) and name not in TAG_FILES)
    faults += [Fault(name, "does not belong to a pack") for name in strangers]
    try:
        manifest, tags = _manifests(folder, names)
    except PackFault as fault:
        return Inventory({}, (*faults, fault.fault))
    known = {name for name in names if name in manifest or name in TAG_FILES}
    digests = {name: _sha256(folder / name) for name in sorted(known)}
    payload = list(_payload_faults(manifest, names, digests, stated, tags))
    faults += payload
    faults += _tag_faults(folder, tags, digests, stated, intact=not payload)
    return Inventory(digests, tuple(faults))


def _manifests(folder: Path, names: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    found = []
    for file in (MANIFEST_FILE, TAG_MANIFEST_FILE):
        data = read_limited(folder, file, bagit.MAX_MANIFEST) if file in names else b""
        entries = bagit.read_manifest(data, file)
        if bagit.manifest_text(entries) != data:
            raise PackFault(
                file, "is not written as a pack's manifest is: sorted, two spaces before the name"
            )
        found.append(entries)
    manifest, tags = found
    if any(not name.startswith(PAYLOAD) for name in manifest):
        raise PackFault(MANIFEST_FILE, f"lists a file outside {PAYLOAD}")
    if TAG_MANIFEST_FILE in names and set(tags) != {DECLARATION_FILE, INFO_FILE, MANIFEST_FILE}:
        raise PackFault(TAG_MANIFEST_FILE, "does not list the three other files beside it")
    return manifest, tags


def _payload_faults(
    manifest: Mapping[str, str],
    names: set[str],
    digests: Mapping[str, str],
    stated: Mapping[str, str],
    tags: Mapping[str, str],
) -> Iterator[Fault]:
    manifest_changed = digests.get(MANIFEST_FILE) != tags.get(MANIFEST_FILE)
    for name in sorted(manifest):
        if name not in names:
            yield Fault(name, f"is missing; {MANIFEST_FILE} lists it")
        elif digests[name] != manifest[name]:
            as_stated = stated.get(name) == digests[name] if name in stated else manifest_changed
            if as_stated:
                yield Fault(MANIFEST_FILE, f"was changed: it gives another digest of {name}")
            else:
                yield Fault(name, f"was changed: it is not the file whose digest {MANIFEST_FILE} gives")
    for name in sorted(name for name in names if name.startswith(PAYLOAD) and name not in manifest):
        yield Fault(name, f"was added: {MANIFEST_FILE} does not list it")


def _tag_faults(
    folder: Path,
    tags: Mapping[str, str],
    digests: Mapping[str, str],
    stated: Mapping[str, str],
    *,
    intact: bool,
) -> Iterator[Fault]:
    sound = {
        DECLARATION_FILE: DECLARATION_FILE in digests
        and digests[DECLARATION_FILE] == hashlib.sha256(bagit.DECLARATION).hexdigest(),
        INFO_FILE: digests.get(INFO_FILE) == stated.get(INFO_FILE, ""),
        MANIFEST_FILE: intact,
    }
    for name, digest in sorted(tags.items()):
        if name in digests and digests[name] != digest:
            if sound[name]:
                yield Fault(TAG_MANIFEST_FILE, f"was changed: it gives another digest of {name}")
            else:
                yield Fault(name, f"was changed: it is not the file whose digest {TAG_MANIFEST_FILE} gives")
    if (
        DECLARATION_FILE in digests
        and not sound[DECLARATION_FILE]
        and tags.get(DECLARATION_FILE) == digests[DECLARATION_FILE]
    ):
        yield Fault(DECLARATION_FILE, "does not declare BagIt 1.0")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
