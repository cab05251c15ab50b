"""BagIt 1.0 (RFC 8493): the folder layout that ``sha256sum -c`` can check."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from fmaudit.pack.faults import PackFault
from fmaudit.pack.paths import unsafe_name

DECLARATION_FILE = "bagit.txt"
INFO_FILE = "bag-info.txt"
MANIFEST_FILE = "manifest-sha256.txt"
TAG_MANIFEST_FILE = "tagmanifest-sha256.txt"
TAG_FILES = (DECLARATION_FILE, INFO_FILE, MANIFEST_FILE, TAG_MANIFEST_FILE)
PAYLOAD = "data/"
ATTESTATIONS = "data/attestations/"
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
MAX_MANIFEST = 256 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_ENCODED = re.compile(r"%(0A|0D|25)", re.IGNORECASE)


class Label(NamedTuple):
    """What ``bag-info.txt`` says. ``date``: the day of packing, empty where it is left out."""

    kind: str
    signature: str
    agent: str
    date: str = ""


def info_text(label: Label) -> bytes:
    """The bytes of ``bag-info.txt``."""
    fields = {
        "Bag-Software-Agent": label.agent,
        "Bagging-Date": label.date,
        "External-Description": "Evidence of an audit of language models",
        "Fmaudit-Pack": label.kind,
        "Fmaudit-Signature": label.signature,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value).encode()


def read_info(data: bytes) -> dict[str, str]:
    """The fields of ``bag-info.txt``. Raises PackFault for a line that is none, or a field given twice."""
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(data, INFO_FILE), 1):
        name, colon, value = line.partition(": ")
        if not colon or name in found:
            raise PackFault(INFO_FILE, f"line {number} is no field, or a field given twice")
        found[name] = value
    return found


def manifest_text(digests: Mapping[str, str]) -> bytes:
    """A manifest as ``sha256sum`` writes it: hex digest, two spaces, name; sorted by the names' bytes."""
    ordered = sorted(digests, key=lambda name: name.encode())
    return "".join(f"{digests[name]}  {name}\n" for name in ordered).encode()


def read_manifest(data: bytes, file: str) -> dict[str, str]:
    """Names and hex digests of a manifest.

    Line feeds, carriage returns and percent signs are decoded as the RFC demands.
    Raises PackFault for a line that is none, a name that leads out of the bag, or a name given twice.
    """
    if len(data) > MAX_MANIFEST:
        raise PackFault(file, f"is larger than {MAX_MANIFEST >> 20} MiB: not read")
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(data, file), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise PackFault(file, f"line {number} is not a SHA-256 digest and a name")
        name = _ENCODED.sub(lambda code: chr(int(code.group(1), 16)), match.group(2))
        reason = unsafe_name(name)
        if reason:
            raise PackFault(file, f"line {number}: the name {reason}")
        if name in found:
            raise PackFault(file, f"line {number} gives a name twice")
        found[name] = match.group(1)
    return found


def content_digest(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of the payload manifest without the lines of the attestations.

    Attestations are files of the bag and name this digest, so it cannot cover them. By hand:
    ``grep -v '  data/attestations/' manifest-sha256.txt | sha256sum``.
    """
    return lines_digest({name: digest for name, digest in digests.items() if is_content(name)})


def is_content(name: str) -> bool:
    """Whether a file of the bag is payload and no attestation."""
    return name.startswith(PAYLOAD) and not name.startswith(ATTESTATIONS)


def lines_digest(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of these lines of a manifest."""
    return hashlib.sha256(manifest_text(digests)).hexdigest()


def _lines(data: bytes, file: str) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackFault(file, f"is not UTF-8 (byte {error.start})") from None
    if text and not text.endswith("\n"):
        raise PackFault(file, "ends in the middle of a line: it is cut off")
    return text.split("\n")[:-1]
