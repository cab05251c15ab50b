"""Strict readers of data files: every complaint names the file and the line, byte or row."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fmaudit.errors import DataError

Row = dict[str, Any]
NumberedRow = tuple[int, Row]
_FIELD_LIMIT = 1 << 30
_LONGEST_INTEGER = 1000
_SEPARATOR_LINE = re.compile(r"(?i)sep=[;,\t|]")
INDEX_COLUMN = "index"


@dataclass(frozen=True)
class Records:
    """Raw rows of one file, each with its line or row number, counted from 1.

    ``as_text``: the format knows no types, every value is a string.
    """

    name: str
    unit: Literal["line", "row"]
    as_text: bool
    rows: list[NumberedRow]


def read_file(path: Path, name: str) -> Records:
    """Read a file by its suffix.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        DataError: unknown suffix, unreadable, not UTF-8, malformed, or no rows.
    """
    reader = SUFFIXES.get(path.suffix.lower())
    if reader is None:
        kind = path.suffix or "a file without suffix"
        raise DataError(f"{name}: cannot read {kind}; use {', '.join(SUFFIXES)}")
    try:
        records = reader(path, name)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}; check the file") from None
    if not records.rows:
        raise DataError(f"{name}: no rows; it must hold at least one")
    return records


def _text(path: Path, name: str) -> str:
    data = path.read_bytes()
    # Spreadsheets write "Unicode text" as UTF-16; its byte-order mark leaves no doubt.
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        # The decoder counts from after the byte-order mark.
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, start) + 1
        raise DataError(
            f"{name}: not UTF-8 at byte {start + 1} (line {line}); save it as UTF-8 "
            "(in a spreadsheet: CSV UTF-8)"
        ) from None
    if not text.strip():
        raise DataError(f"{name}: empty file; it must hold at least one row")
    return text


def _read_json_lines(path: Path, name: str) -> Records:
    rows: list[NumberedRow] = []
    for number, line in enumerate(_text(path, name).split("\n"), 1):
        if line.strip():
            rows.append((number, _json_object(_parse_json(line, name, number), name, f"line {number}")))
    return Records(name, "line", False, rows)


def _read_json(path: Path, name: str) -> Records:
    content = _parse_json(_text(path, name), name, None)
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        content = content["data"]
    if not isinstance(content, list):
        found = type(content).__name__
        raise DataError(f'{name}: want a list of objects, or {{"data": [...]}}; found {found}')
    rows = [(number, _json_object(row, name, f"row {number}")) for number, row in enumerate(content, 1)]
    return Records(name, "row", False, rows)


def _parse_json(text: str, name: str, line: int | None) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) != len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} appears twice")
        return row

    try:
        return json.loads(
            text, parse_constant=OddNumber, parse_float=_float, parse_int=_int, object_pairs_hook=unique
        )
    except json.JSONDecodeError as error:
        place = f"line {line or error.lineno}, column {error.colno}"
        raise DataError(f"{name} {place}: not JSON: {error.msg}; correct it") from None
    except (ValueError, RecursionError) as error:
        place = f" line {line}" if line else ""
        raise DataError(f"{name}{place}: not JSON: {error}; correct it") from None


class OddNumber(float):
    """NaN, an infinity, or a number beyond every float, as a JSON file spells it: no value of any column."""


def _float(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else OddNumber(digits)


def _int(digits: str) -> int | str:
    """Python reads no integer of thousands of digits; whoever wrote one meant a name, not a quantity."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _json_object(value: Any, name: str, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{name} {place}: want a JSON object, found {type(value).__name__}")
    return flatten(value)


def flatten(value: Row) -> Row:
    """Nested objects and lists as one level, names joined by dots (``prompt.text``, ``answers.0``)."""
    flat: Row = {}
    for key, inner in value.items():
        if isinstance(inner, list):
            inner = {str(index): entry for index, entry in enumerate(inner)}
        if isinstance(inner, dict):
            flat.update({f"{key}.{name}": entry for name, entry in flatten(inner).items()})
        else:
            flat[str(key)] = inner
    return flat


def _read_csv(path: Path, name: str) -> Records:
    text = _text(path, name)
    return _read_delimited(text, name, _separator(text))


def _read_tsv(path: Path, name: str) -> Records:
    return _read_delimited(_text(path, name), name, "\t")


def _separator(text: str) -> str:
    """The comma, unless the first line says otherwise: ``sep=;``, or a header that only ``;`` or tabs cut."""
    first = text.lstrip("\r\n").splitlines()[0]
    if _SEPARATOR_LINE.fullmatch(first):
        return first[4]
    if "," in first:
        return ","
    return next((sign for sign in (";", "\t") if sign in first), ",")


def _read_delimited(text: str, name: str, delimiter: str) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[NumberedRow] = []
    line = 1
    with _long_fields():
        try:
            for fields in reader:
                start, line = line, reader.line_num + 1
                if not fields or (len(fields) > 1 and not any(fields)):
                    continue
                if not header and fields[0].lower() == "sep=" and not any(fields[1:]):
                    continue
                if not header:
                    header = _header(fields, name, start)
                    continue
                fields = _fitted(fields, header)
                if len(fields) != len(header):
                    raise DataError(
                        f"{name} line {start}: {len(fields)} columns where the header has {len(header)}; "
                        "quote a field that holds the separator or a quote"
                    )
                else:
                    named = zip(header, fields, strict=True)
                    rows.append((start, {key: field for key, field in named if key}))
        except csv.Error as error:
            raise DataError(f"{name} line {line}: malformed row: {error}; check its quotes") from None
    return Records(name, "line", True, rows)


def _fitted(fields: list[str], header: list[str]) -> list[str]:
    """The row with as many fields as the header, as far as empty or nameless ones make the difference."""
    named = len(header)
    while named and not header[named - 1]:
        named -= 1
    filled = len(fields)
    while filled > len(header) and not fields[filled - 1]:
        filled -= 1
    if filled >= named:
        return fields[:filled] + [""] * (len(header) - filled)
    return fields


def _header(fields: list[str], name: str, line: int) -> list[str]:
    """Column names; a nameless first one is the index that pandas writes, other nameless ones are dropped."""
    header = [field.strip() for field in fields]
    if not header[0] and INDEX_COLUMN not in header:
        header[0] = INDEX_COLUMN
    twice = sorted({key for key in header if key and header.count(key) > 1})
    if twice:
        raise DataError(f"{name} line {line}: column {twice[0]!r} appears twice in the header; rename one")
    return header


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(_FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_lines(path: Path, name: str) -> Records:
    lines = enumerate(_text(path, name).replace("\r\n", "\n").split("\n"), 1)
    return Records(name, "line", True, [(number, {"text": line}) for number, line in lines if line.strip()])


def _read_parquet(path: Path, name: str) -> Records:
    import pyarrow as pa

    with quiet_datasets() as datasets, tempfile.TemporaryDirectory() as cache:
        try:
            table = datasets.Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True)
            rows = table.to_list()
        except (datasets.exceptions.DatasetGenerationError, pa.ArrowInvalid, ValueError) as error:
            cause = str(error.__cause__ or error).splitlines()[0]
            raise DataError(f"{name}: not readable as Parquet: {cause}") from None
    return Records(name, "row", False, [(number, flatten(row)) for number, row in enumerate(rows, 1)])


@contextmanager
def quiet_datasets() -> Iterator[Any]:
    """The ``datasets`` module without progress bars and log lines; its settings are put back."""
    import datasets

    bars = not datasets.are_progress_bars_disabled()
    level = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield datasets
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


SUFFIXES: dict[str, Callable[[Path, str], Records]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_lines,
}
