"""JSON of strangers: read strictly, so that two readers can never understand it differently."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fmaudit.pack.faults import PackFault

MAX_JSON = 128 << 20
"""Bytes of one JSON document that are read into memory."""
MAX_NESTING = 64
"""Objects and arrays in each other; what is read may be written again by functions that recurse."""


def read_object(data: bytes, file: str) -> dict[str, Any]:
    """A JSON object.

    Raises PackFault, naming ``file``, for what is no UTF-8 or JSON, a key given
    twice, NaN or infinities, numbers no float holds, halves of characters, and texts nested too deep.
    """
    if len(data) > MAX_JSON:
        raise PackFault(file, f"is larger than {MAX_JSON >> 20} MiB: not read")
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise PackFault(file, f"is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise PackFault(file, f"is not JSON (line {error.lineno}: {error.msg})") from None
    except _NotStrictError as error:
        raise PackFault(file, str(error)) from None
    except (RecursionError, ValueError):
        raise PackFault(
            file, "is not JSON that can be read (nested too deep, or a number too long)"
        ) from None
    if not isinstance(found, dict):
        raise PackFault(file, "holds no JSON object")
    if _nesting_exceeds(found, MAX_NESTING):
        raise PackFault(file, f"is nested deeper than {MAX_NESTING} levels: not read")
    if rb"\ud" in data.lower() and _has_half_characters(found):
        raise PackFault(file, "holds half of a character, which no UTF-8 can write")
    return found


def _has_half_characters(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _nesting_exceeds(value: Any, limit: int) -> bool:
    layer = [value]
    for _ in range(limit):
        parts = (part for one in layer for part in (one.values() if isinstance(one, dict) else one))
        layer = [part for part in parts if isinstance(part, dict | list)]
        if not layer:
            return False
    return True


class _NotStrictError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NotStrictError(f"gives the key {name[:60]!r} twice")
        found[name] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise _NotStrictError(f"holds {text}, which is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NotStrictError(f"holds {text[:40]}, a number that no float can hold")
    return value
