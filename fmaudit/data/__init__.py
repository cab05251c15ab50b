"""Data sets: rows that obey their card, wherever they come from.

Text formats are parsed here, strictly: the reader of ``datasets`` guesses types
(a string that looks like a date comes back as a datetime, ``NA`` as missing) and
cannot say which line is wrong. Parquet, which is typed, and hub data sets go
through ``datasets``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fmaudit.canonical import DIGEST_PREFIX, canonical_bytes, digest_file
from fmaudit.cards import Card, computed_rows, embedded_file
from fmaudit.data.columns import Scalar, conform
from fmaudit.data.files import SUFFIXES, Records, read_file
from fmaudit.data.hub import read_hub
from fmaudit.errors import DataError, DataUnavailable

SourceKind = Literal["embedded", "local", "hub"]
FILE_COLUMN = "file"
_LARGEST_EXACT = 2**53 - 1

__all__ = ["Dataset", "Scalar", "dataset_from_rows", "load_dataset"]


@dataclass(frozen=True)
class Dataset:
    """Rows of one data set.

    ``rows`` obey the card's columns. ``digest`` covers the rows, independent of
    the file format. ``pinned`` says whether the files are the very ones the card
    names: False for a user's own or shortened copy.
    """

    id: str
    rows: Sequence[Mapping[str, Scalar]]
    digest: str
    source: SourceKind
    pinned: bool
    card: Card


def load_dataset(card: Card, location: str | None = None) -> Dataset:
    """Load the data set of a card.

    Args:
        card: what the rows must look like.
        location: None for what ships or is computed; a file or folder; ``hub``
            for the card's pinned revision; ``hub:REPO[@REVISION][#SPLIT]`` for
            another data set of the hub. Only ``hub`` reaches the network.

    Raises:
        DataUnavailable: the data does not ship and no location was given.
        DataError: missing, empty or malformed data, with file and line or row.
    """
    if location is None:
        return _shipped(card)
    if location == "hub" or location.startswith("hub:"):
        records, pinned = read_hub(card, location.removeprefix("hub").removeprefix(":"))
        return _dataset(card, [records], "hub", pinned)
    path = Path(location).expanduser()
    files, names = _local_files(card, path)
    records_of = [read_file(file, name) for file, name in zip(files, names, strict=True)]
    if len(files) > 1 or FILE_COLUMN in card.columns:
        for records in records_of:
            for _, row in records.rows:
                row.setdefault(FILE_COLUMN, records.name)
    return _dataset(card, records_of, "local", _pinned(card, files))


def dataset_from_rows(card: Card, rows: Iterable[Mapping[str, Any]]) -> Dataset:
    """A data set from rows in memory, held against its card like any other. Raises DataError."""
    numbered = [(number, dict(row)) for number, row in enumerate(rows, 1)]
    return _dataset(card, [Records("rows in memory", "row", False, numbered)], "local", False)


def _shipped(card: Card) -> Dataset:
    if card.source.kind == "computed":
        numbered = list(enumerate(computed_rows(card), 1))
        return _dataset(card, [Records(card.source.path, "row", False, numbered)], "embedded", False)
    if card.source.kind != "embedded":
        remedy = " ".join(card.how_to_get.split())
        if "--data" not in remedy:
            remedy += f"; then give --data {card.id}=PATH"
        raise DataUnavailable(f"data set {card.id} does not ship with fmaudit: {remedy}")
    path = embedded_file(card)
    dataset = _dataset(card, [read_file(path, path.name)], "embedded", True)
    pinned = _pinned(card, [path]) if card.checksums else len(dataset.rows) == card.n_items
    return Dataset(card.id, dataset.rows, dataset.digest, "embedded", pinned, card)


def _local_files(card: Card, path: Path) -> tuple[list[Path], list[str]]:
    """The files to read, in name order, and the name each has in messages and in the column ``file``."""
    if path.is_file():
        return [path], [path.name]
    if not path.is_dir():
        raise DataError(f"data set {card.id}: no file or folder {str(path)!r}; check --data {card.id}=PATH")
    wanted = sorted({*card.source.file_names} or {*card.checksums})
    if wanted:
        found = {file for pattern in wanted for file in path.glob(pattern) if file.is_file()}
    else:
        found = {file for file in path.iterdir() if file.is_file() and file.suffix.lower() in SUFFIXES}
    if not found:
        what = ", ".join(wanted) or "any of " + " ".join(sorted(SUFFIXES))
        raise DataError(f"data set {card.id}: folder {path.name!r} has no file {what}; name the file itself")
    files = sorted(found, key=lambda file: file.relative_to(path).as_posix())
    return files, [file.relative_to(path).as_posix() for file in files]


def _pinned(card: Card, files: Sequence[Path]) -> bool:
    return bool(card.checksums) and {digest_file(file) for file in files} == set(card.checksums.values())


def _dataset(card: Card, parts: Sequence[Records], source: SourceKind, pinned: bool) -> Dataset:
    rows = tuple(row for records in parts for row in conform(card, records))
    return Dataset(card.id, rows, _digest_rows(rows), source, pinned, card)


def _digest_rows(rows: Iterable[Mapping[str, Scalar]]) -> str:
    sha = hashlib.sha256()
    for row in rows:
        # RFC 8785 has no integers beyond 2**53 - 1; their digits stand in for them.
        plain = {
            name: str(value) if isinstance(value, int) and abs(value) > _LARGEST_EXACT else value
            for name, value in row.items()
        }
        sha.update(canonical_bytes(plain))
        sha.update(b"\n")
    return DIGEST_PREFIX + sha.hexdigest()
