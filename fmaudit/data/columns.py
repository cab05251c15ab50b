"""Hold raw rows against the columns of a card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias

from fmaudit.cards import Card, Column, ColumnType
from fmaudit.data.files import OddNumber, Records
from fmaudit.errors import DataError

Scalar: TypeAlias = str | int | float | bool | None
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_SHOWN = 12
_LARGEST_EXACT = 2**53 - 1
_WIDEST = 4096  # bits; Python writes no longer integer in decimal


def conform(card: Card, records: Records) -> Iterator[dict[str, Scalar]]:
    """Rows with the card's names and types, in file order.

    Raises:
        DataError: a required column or value is missing, a value has another
            type, or a column is not allowed; with the line or row.
    """
    present = {name for _, row in records.rows for name in row}
    renames = _renames(card, present)
    _check_columns(card, records.name, present, renames)
    for number, raw in records.rows:
        place = f"{records.name} {records.unit} {number}"
        named = {renames.get(name, name): value for name, value in raw.items()}
        row: dict[str, Scalar] = {}
        for name, column in card.columns.items():
            value = _declared(named.pop(name, None), column, records.as_text, f"{place}: column {name!r}")
            if value is None and column.required:
                raise DataError(f"{place}: column {name!r} has no value; data set {card.id} requires one")
            row[name] = value
        for name, value in named.items():
            if not isinstance(value, bytes):
                row[_writable(name)] = _undeclared(value)
        yield row


def _renames(card: Card, present: set[str]) -> Mapping[str, str]:
    renames: dict[str, str] = {}
    for name, column in card.columns.items():
        if name not in present:
            alias = next((alias for alias in column.aliases if alias in present), None)
            if alias is not None:
                renames[alias] = name
    return renames


def _check_columns(card: Card, file: str, present: set[str], renames: Mapping[str, str]) -> None:
    found = {renames.get(name, name) for name in present}
    missing = [name for name, column in card.columns.items() if column.required and name not in found]
    if missing:
        shown = ", ".join(sorted(present)[:_SHOWN]) + (", ..." if len(present) > _SHOWN else "")
        raise DataError(
            f"{file}: data set {card.id} needs the column {', '.join(missing)}; found: {shown or 'none'}"
        )
    extra = sorted(found - set(card.columns))
    if extra and not card.extra_columns:
        raise DataError(f"{file}: data set {card.id} has no column {', '.join(extra[:_SHOWN])}; remove it")


def _declared(value: Any, column: Column, as_text: bool, place: str) -> Scalar:
    if isinstance(value, OddNumber):
        raise DataError(f"{place} wants a {column.type}, found {float(value)}; correct it")
    value = _plain(value)
    if isinstance(value, str) and _writable(value) != value:
        raise DataError(f"{place} holds half a character (a lone surrogate): its text was cut; correct it")
    if as_text and isinstance(value, str):
        # What looks empty in a spreadsheet is empty.
        if column.type != "string" or not (column.required or value.strip()):
            value = value.strip()
        # A text format cannot tell an absent value from an empty one.
        if not value and (column.type != "string" or not column.required):
            return None
    if value is None:
        return None
    try:
        return _convert(value, column.type, as_text)
    except (ValueError, OverflowError):
        shown = repr(value) if not isinstance(value, str) or column.type != "string" else "text"
        raise DataError(f"{place} wants a {column.type}, found {shown[:40]}; correct it") from None


def _convert(value: Any, wanted: ColumnType, as_text: bool) -> Scalar:
    """Raises ValueError where the value is not of the wanted type."""
    if wanted == "string":
        # A label 1 is the string "1" in CSV; JSON and Parquet shall give the same rows.
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return str(value)
        # A column of whole numbers with a gap is one of floats in Parquet; 1.0 and 1 are one label.
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
    elif wanted == "boolean":
        if isinstance(value, bool):
            return value
        if as_text and value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
    elif not isinstance(value, bool) and (as_text or isinstance(value, int | float)):
        if wanted == "number":
            number = float(value)
            if math.isfinite(number):
                return number
        elif isinstance(value, int | str) or value.is_integer():
            return int(value)
    raise ValueError


def _undeclared(value: Any) -> Scalar:
    """A value of a column that the card does not name, as something that can always be written down."""
    plain = _plain(value)
    if isinstance(plain, float) and plain.is_integer() and abs(plain) <= _LARGEST_EXACT:
        return int(plain)  # the group 1.0 of one row is the group 1 of another
    if isinstance(plain, int) and plain.bit_length() > _WIDEST:
        return hex(plain)
    if plain is None or isinstance(plain, bool | int | float):
        return plain
    text = str(plain)
    # Half a character is no value: whoever reads the column finds none, who does not is not stopped.
    return text if _writable(text) == text else None


def _writable(text: str) -> str:
    """The text with lone surrogates, which no encoding has, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    """Dates as ISO text, decimals as floats, NaN as missing."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
