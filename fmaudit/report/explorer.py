"""All rows of a run in a form that a browser can search: columns, compressed, without generated text."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmaudit.report.escape import visible

MAX_TEXT = 200
_DIGITS = 4
_MISSING = np.iinfo(np.int16).min


@dataclass(frozen=True)
class SideColumns:
    """One subject's answers to the items of a measurement, one entry an item.

    ``asked``: samples; ``valid``: those with a value; ``hits``: those with outcome 1. ``severity``: mean over
    the valid samples, NaN where there is none. ``reason``: place in the list of reasons, 0 for none.
    """

    subject: int
    asked: np.ndarray
    valid: np.ndarray
    hits: np.ndarray
    severity: np.ndarray
    reason: np.ndarray

    def take(self, items: np.ndarray) -> SideColumns:
        """The same at these items."""
        columns = (self.asked, self.valid, self.hits, self.severity, self.reason)
        return SideColumns(self.subject, *(column[items] for column in columns))


@dataclass(frozen=True)
class SliceColumn:
    """One slice column: ``codes`` has one place in ``levels`` an item, 0 for none."""

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class MeasurementColumns:
    """One measurement of all its subjects, the base's side first where it was measured.

    ``binary``: it has an outcome of 0 or 1; ``severity`` names the column shown as severity, empty for none.
    """

    probe: str
    label: str
    severity: str
    binary: bool
    ids: Sequence[str]
    slices: tuple[SliceColumn, ...]
    sides: tuple[SideColumns, ...]

    def take(self, items: np.ndarray) -> MeasurementColumns:
        """The same at these items."""
        return MeasurementColumns(
            self.probe,
            self.label,
            self.severity,
            self.binary,
            [self.ids[item] for item in items.tolist()],
            tuple(SliceColumn(found.name, found.levels, found.codes[items]) for found in self.slices),
            tuple(side.take(items) for side in self.sides),
        )


@dataclass(frozen=True)
class ModelName:
    """A subject as the explorer calls it."""

    label: str
    role: str


@dataclass(frozen=True)
class EncodedRows:
    """The rows of a run, packed.

    ``payload``: base64 of gzip of :func:`pack`. ``held`` of ``total`` rows are in it; where that is a part,
    ``seed`` chose it and ``least`` items of every kind of change are kept. ``gaps``: what could not be read.
    ``unlisted``: by probe, rows of the evidence that are no items of their own and that ``total`` leaves out.
    """

    payload: str
    held: int
    total: int
    questions: tuple[str, ...]
    models: tuple[ModelName, ...]
    probes: tuple[str, ...]
    seed: int = 0
    least: int = 0
    gaps: tuple[str, ...] = ()
    unlisted: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class ExplorerView:
    """The explorer, ready to print; option lists carry the values that the script compares."""

    payload: str
    size: str
    scope: str
    questions: tuple[tuple[int, str], ...]
    models: tuple[tuple[int, str], ...]
    commands: tuple[str, ...]
    gaps: tuple[str, ...]


def explorer_view(
    evidence: Sequence[object] | None, rows_command: str = "fmaudit rows ."
) -> ExplorerView | None:
    """The explorer of the first encoded rows; None where there are none."""
    found = next((sample for sample in evidence or () if isinstance(sample, EncodedRows)), None)
    if found is None or not found.total:
        return None
    return ExplorerView(
        payload=found.payload,
        size=f"{found.held:,}",
        scope=_scope(found),
        questions=tuple(enumerate(found.questions)),
        models=tuple(
            (place, model.label) for place, model in enumerate(found.models) if model.role != "base"
        ),
        commands=tuple(f"{rows_command} {probe}" for probe in found.probes),
        gaps=found.gaps,
    )


def _scope(found: EncodedRows) -> str:
    held, total = f"{found.held:,}", f"{found.total:,}"
    left = sum(count for _, count in found.unlisted)
    apart = "".join(
        f" Of the {found.total + left:,} rows of the evidence, {left:,} are not listed and not counted here: "
        + ", ".join(f"{count:,} of {probe}" for probe, count in found.unlisted)
        + ", which serve as the reference that other rows are scored against."
        for _ in found.unlisted[:1]
    )
    if found.held == found.total:
        if found.gaps:
            return f"This page holds all {total} rows that could be read.{apart}"
        return f"This page holds all {total} rows{' that are items' if left else ' of the run'}.{apart}"
    return (
        apart.lstrip()
        + (" " if apart else "")
        + (
            f"This page holds {held} of {total} rows: a sample of items, drawn with seed {found.seed} at one "
            f"rate from every kind of change, at least {found.least} items of each. It serves to look at "
            "items, not to count them: every number of the report is computed from all rows."
        )
    )


def pack(
    measurements: Sequence[MeasurementColumns], models: Sequence[ModelName], reasons: Sequence[str]
) -> str:
    """Base64 of gzip of a header and its columns; equal input gives equal text.

    Four bytes hold the header's length (little-endian), then comes the header (JSON), then the columns, each
    at the offset the header names: counts and codes of one or two bytes, severities as a mantissa of two
    bytes and an exponent of ten of two bytes, four significant digits.
    """
    body = bytearray()

    def place(column: np.ndarray, kind: str) -> int:
        at = len(body)
        body.extend(np.ascontiguousarray(column, dtype=kind).tobytes())
        return at

    header = {
        "models": [[shortened(model.label), model.role] for model in models],
        "reasons": [shortened(reason) for reason in reasons],
        "measurements": [_described(found, place) for found in measurements],
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    data = len(text).to_bytes(4, "little") + text + bytes(body)
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _described(found: MeasurementColumns, place: Any) -> dict[str, Any]:
    most = max((int(side.asked.max(initial=0)) for side in found.sides), default=0)
    width = 1 if most < 256 else 2
    sides = []
    for side in found.sides:
        mantissa, exponent = quantised(side.severity)
        counts = {name: place(getattr(side, name), f"<u{width}") for name in ("asked", "valid", "hits")}
        numbers = {"mantissa": place(mantissa, "<i2"), "exponent": place(exponent, "<i2")}
        sides.append({"model": side.subject, "reason": place(side.reason, "<u2")} | counts | numbers)
    slices = [
        {"name": shortened(column.name), "levels": [shortened(level) for level in column.levels]}
        | {"codes": place(column.codes, "<u2")}
        for column in found.slices
    ]
    return {
        "label": shortened(found.label),
        "severity": shortened(found.severity),
        "binary": found.binary,
        "width": width,
        "ids": [shortened(name) for name in found.ids],
        "slices": slices,
        "sides": sides,
    }


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mantissa and exponent of ten of each value at four significant digits; the least mantissa for NaN."""
    known = np.isfinite(values)
    safe = np.where(known & (values != 0), np.abs(values), 1.0)
    exponent = np.floor(np.log10(safe)).astype(np.int16) - (_DIGITS - 1)
    # Two steps: a power of ten below the smallest float would be zero.
    half = exponent // 2
    mantissa = np.rint(np.where(known, values, 0.0) / 10.0**half / 10.0 ** (exponent - half))
    full = np.abs(mantissa) >= 10**_DIGITS
    mantissa, exponent = np.where(full, mantissa / 10, mantissa), np.where(full, exponent + 1, exponent)
    exponent = np.where(mantissa == 0, 0, exponent)
    return np.where(known, mantissa, _MISSING).astype(np.int16), exponent.astype(np.int16)


def shortened(text: str) -> str:
    """A name made visible and cut to 200 characters."""
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return cut if cut.isascii() and cut.isprintable() else visible(cut)


def sampled(found: MeasurementColumns, base: int | None, rate: float, least: int, seed: int) -> np.ndarray:
    """Items kept at ``rate``, from each kind of change at least ``least``; in their order.

    ``base`` is the place of the base among the models.
    """
    random = np.random.default_rng(seed)
    kinds = _kinds(found, base)
    kept = []
    for kind in np.unique(kinds):
        items = np.flatnonzero(kinds == kind)
        count = min(len(items), max(least, int(len(items) * rate)))
        kept.append(random.permutation(items)[:count])
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=int)


def _kinds(found: MeasurementColumns, base: int | None) -> np.ndarray:
    kinds = np.zeros(len(found.ids), dtype=int)
    before = next((side for side in found.sides if side.subject == base), None)
    for side in found.sides:
        invalid = side.valid < side.asked
        kinds = np.maximum(kinds, np.where(invalid, 1, 0))
        if before is None or side is before or not found.binary:
            continue
        known = (before.valid > 0) & (side.valid > 0)
        old, new = (
            np.where(known & (one.hits == 0), 0, np.where(known & (one.hits == one.valid), 1, -1))
            for one in (before, side)
        )
        for kind, (first, second) in ((2, (1, 1)), (3, (1, 0)), (4, (0, 1))):
            kinds = np.maximum(kinds, np.where((old == first) & (new == second), kind, 0))
    return kinds


def unpack(payload: str) -> tuple[Mapping[str, Any], bytes]:
    """Header and columns of :func:`pack`."""
    data = gzip.decompress(base64.b64decode(payload))
    size = int.from_bytes(data[:4], "little")
    header: Mapping[str, Any] = json.loads(data[4 : 4 + size])
    return header, data[4 + size :]
