"""Reading untrusted log files: bounded, as data alone, with file and line in every complaint."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmaudit.errors import DataError

MAX_FILE = 1 << 30
"""Bytes of one log file, and of all unpacked members of one archive."""
MAX_RECORD = 1 << 26
"""Bytes of one line, or of one unpacked member."""
MAX_ROWS = 1_000_000
MAX_TEXT = 100_000
_MAX_DEPTH = 6
_MAX_SAFE_INTEGER = 2**53 - 1
_ZSTANDARD = 93
_LOCAL_HEADER = 30
_ENCRYPTED = 1
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object. Raises DataError naming the file and line."""
    _check_file(path)
    return _object(path.read_bytes(), path.name)


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line of a JSON Lines file. Raises DataError naming the file and line."""
    _check_file(path)
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_RECORD + 1):
            number += 1
            if len(line) > MAX_RECORD:
                raise DataError(
                    f"{path.name}, line {number} is longer than {MAX_RECORD:,} bytes: it is no sample"
                )
            if number > MAX_ROWS:
                raise DataError(f"{path.name} has more than {MAX_ROWS:,} lines: import a part of it")
            if line.strip():
                yield number, _object(line, f"{path.name}, line {number}", whole=False)


def member_names(path: Path) -> list[str]:
    """The names in a zip archive, each once, in the archive's order. Raises DataError naming the file."""
    _check_file(path)
    with _opened(path) as archive:
        return list(dict.fromkeys(info.filename for info in archive.infolist()))


def read_members(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Name and JSON content of these members of a zip archive, in the archive's order.

    Of members of one name the last counts, as it does for whoever opens a member by its name.
    Nothing is unpacked to disk. Raises DataError naming the file and member.
    """
    _check_file(path)
    total = 0
    with _opened(path) as archive, path.open("rb") as raw:
        last = {info.filename: info for info in archive.infolist()}
        chosen = frozenset(wanted)
        members = [info for name, info in last.items() if name in chosen]
        if len(members) > MAX_ROWS:
            raise DataError(f"{path.name} has more than {MAX_ROWS:,} samples: import a part of it")
        for info in members:
            place = f"{path.name}, {clean(info.filename, 120)}"
            total += info.file_size
            if info.file_size > MAX_RECORD or total > MAX_FILE:
                raise DataError(
                    f"{place} unpacks beyond {MAX_RECORD:,} bytes, or the archive beyond {MAX_FILE:,}"
                )
            yield info.filename, _parsed(_member(archive, raw, info, place), place)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name} is damaged or no .eval archive: {clean(reason, 200)}") from None


def _member(archive: zipfile.ZipFile, raw: Any, info: zipfile.ZipInfo, place: str) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{place} is encrypted: unpack the log and import the .json form")
    if info.compress_type != _ZSTANDARD:
        with archive.open(info) as stream:
            data = stream.read(MAX_RECORD + 1)
    else:
        data = _zstandard(raw, info, place)
    if len(data) != info.file_size:
        raise DataError(f"{place} does not have the size the archive states: the file is damaged")
    return data


def _zstandard(raw: Any, info: zipfile.ZipInfo, place: str) -> bytes:
    # The standard library of Python 3.11 to 3.13 cannot read this kind of member; Arrow can.
    import pyarrow as pa

    raw.seek(info.header_offset)
    header = raw.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or info.compress_size > MAX_RECORD:
        raise DataError(f"{place} is cut off or too large: the file is damaged")
    name, extra = struct.unpack("<HH", header[26:30])
    raw.seek(info.header_offset + _LOCAL_HEADER + name + extra)
    packed = raw.read(info.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            data = bytes(stream.read(MAX_RECORD + 1))
    except (pa.ArrowException, OSError):
        raise DataError(f"{place} cannot be unpacked: the file is damaged") from None
    if zlib.crc32(data) != info.CRC:
        raise DataError(f"{place} has a wrong checksum: the file is damaged")
    return data


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"no file {path.name}: check the path of the log")
    if path.stat().st_size > MAX_FILE:
        raise DataError(f"{path.name} is larger than {MAX_FILE:,} bytes: import a part of it")


def _object(data: bytes, place: str, *, whole: bool = True) -> dict[str, Any]:
    found = _parsed(data, place, whole=whole)
    if not isinstance(found, dict):
        raise DataError(f"{place} is not a JSON object: it is no log")
    return found


def _parsed(data: bytes, place: str, *, whole: bool = True) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}" if whole else place
        raise DataError(f"{where} is not JSON (column {error.colno}: {error.msg})") from None
    except (RecursionError, ValueError):
        raise DataError(f"{place} is nested too deeply or holds a number without end: it is no log") from None


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Text that can be encoded, cut at ``limit`` characters with a digest of the whole."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    if len(whole) <= limit:
        return whole
    return f"{whole[:limit]}... [{len(whole):,} characters, sha256 {sha256(text)[:12]}]"


def slug(text: str, limit: int = 60) -> str:
    """A name fit for a folder and an id; one that had to be changed carries a digest of the original."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:limit]
    return text if kept == text and text else f"{kept or 'x'}-{sha256(text)[:8]}"


def sha256(text: str) -> str:
    """Hex digest of text, whatever it holds."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def content_hash(value: Any) -> str:
    """Hex digest of plain JSON data, independent of key order."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=True, default=str))


def plain(value: Any, depth: int = 0) -> Any:
    """Plain data that the canonical form can hold; what is too deep or too long becomes a digest."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_SAFE_INTEGER else clean(hex(value), 200)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        # Where in memory a function stood is no part of what it is.
        return clean(_ADDRESS.sub("", value), 500)
    if depth >= _MAX_DEPTH:
        return f"sha256:{content_hash(value)}"
    if isinstance(value, Mapping):
        return {clean(str(name), 200): plain(part, depth + 1) for name, part in list(value.items())[:200]}
    if isinstance(value, list | tuple):
        return [plain(part, depth + 1) for part in list(value)[:200]]
    return clean(str(value), 500)


def number(value: Any) -> float | None:
    """A finite number or truth value as a float; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def model_name(value: Any) -> str:
    """A model's name without the folders of somebody's machine."""
    name = clean(value, 200) if isinstance(value, str) else ""
    local = name.startswith(("/", "~", ".", "\\")) or "\\" in name or name.count("/") > 1
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if local else name


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}
