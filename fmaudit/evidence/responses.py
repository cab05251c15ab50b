"""Responses as JSON text of a row, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fmaudit.requests import (
    Failure,
    Generation,
    Generations,
    InstrumentScore,
    LabelScores,
    Response,
    TokenScores,
)

_KINDS = {"tokens": TokenScores, "labels": LabelScores, "failure": Failure}


def encode_responses(responses: Sequence[Response], sample: int) -> str:
    """JSON text of what one row rests on: its own sample, and for sample 0 everything else too."""
    return json.dumps(
        [_encode(response, sample) for response in responses],
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def decode_responses(text: str) -> tuple[Response | None, ...]:
    """The responses of one row; ``None`` where they stand in the row of sample 0."""
    return tuple(_decode(entry) for entry in json.loads(text))


def _encode(response: Response, sample: int) -> dict[str, Any] | None:
    match response:
        case Generations(samples):
            return (
                {"kind": "generation", **_finite(asdict(samples[sample]))} if sample < len(samples) else None
            )
        case _ if sample > 0:
            return None
        case TokenScores():
            return {"kind": "tokens", **_finite(asdict(response))}
        case LabelScores():
            return {"kind": "labels", **_finite(asdict(response))}
        case Failure(reason):
            return {"kind": "failure", "reason": reason}


def _decode(entry: dict[str, Any] | None) -> Response | None:
    if entry is None:
        return None
    kind, fields = entry["kind"], {name: value for name, value in entry.items() if name != "kind"}
    if kind == "generation":
        scores = {name: InstrumentScore(**score) for name, score in fields.pop("scores").items()}
        return Generations((Generation(**fields, scores=scores),))
    # A token or a label may read "inf" or "nan" and is text all the same.
    restored = {
        name: tuple(value) if name in ("tokens", "labels") else _restored(value)
        for name, value in fields.items()
    }
    response: Response = _KINDS[kind](**restored)
    return response


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(float(part) if part in ("-inf", "inf", "nan") else part for part in value)
    return value
