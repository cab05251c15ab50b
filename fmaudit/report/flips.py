"""Items whose outcome flipped or persisted from base to adapted: redacted unless to be revealed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fmaudit.report.evidence import severity_text, shown_text

FlipKind = Literal["introduced", "repaired", "persisted"]
KINDS: tuple[FlipKind, ...] = ("introduced", "repaired", "persisted")
TITLES: dict[FlipKind, str] = {
    "introduced": "New: no defect in the base, a defect in the adapted model (0 to 1)",
    "repaired": "Gone: a defect in the base, none in the adapted model (1 to 0)",
    "persisted": "Stayed: a defect in both (1 and 1)",
}
MAX_FLIPS = 5


@dataclass(frozen=True)
class FlippedItem:
    """One item: its severity on both sides and what each model generated; None where there is none."""

    item_id: str
    base_severity: float | None = None
    adapted_severity: float | None = None
    base_text: str | None = None
    adapted_text: str | None = None


@dataclass(frozen=True)
class FlipSample:
    """A few items of one comparison by how they flipped, or the reason why they cannot be listed.

    ``totals`` counts all of a kind; ``seed`` chose the few.
    """

    comparison: str
    items: Mapping[FlipKind, Sequence[FlippedItem]]
    totals: Mapping[FlipKind, int]
    seed: int = 0
    reason: str = ""


@dataclass(frozen=True)
class FlipRow:
    """One item, ready to print; a text of a model is there only where ``revealed``."""

    item: str
    base_severity: str
    adapted_severity: str
    base_text: str
    adapted_text: str
    revealed: bool


@dataclass(frozen=True)
class FlipGroup:
    """Items that went the same way."""

    title: str
    total: str
    rows: tuple[FlipRow, ...]


@dataclass(frozen=True)
class FlipView:
    """The flipped items of one cell."""

    groups: tuple[FlipGroup, ...]
    seed: str
    reason: str


def flip_views(samples: Sequence[object] | None, *, reveal: bool) -> dict[str, FlipView]:
    """Flipped items by comparison id, at most five of a kind; other samples are left out."""
    return {
        sample.comparison: FlipView(
            tuple(
                FlipGroup(
                    TITLES[kind],
                    f"{sample.totals.get(kind, 0):,}",
                    tuple(_row(item, reveal) for item in sample.items.get(kind, ())[:MAX_FLIPS]),
                )
                for kind in KINDS
                if not sample.reason
            ),
            str(sample.seed),
            sample.reason,
        )
        for sample in samples or ()
        if isinstance(sample, FlipSample)
    }


def rows_commands(probe: str, subjects: Sequence[str]) -> tuple[str, ...]:
    """The commands that print all rows behind a cell, to be run in the folder of the run."""
    return tuple(
        f"fmaudit rows . {shlex.quote(probe)} --subject {shlex.quote(subject)}" for subject in subjects
    )


def _row(item: FlippedItem, reveal: bool) -> FlipRow:
    return FlipRow(
        item=item.item_id,
        base_severity=severity_text(item.base_severity),
        adapted_severity=severity_text(item.adapted_severity),
        base_text=shown_text(item.base_text, reveal),
        adapted_text=shown_text(item.adapted_text, reveal),
        revealed=reveal,
    )
