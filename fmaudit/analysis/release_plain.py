"""A comparison of two audits as plain data."""

from __future__ import annotations

from typing import Any

from fmaudit.analysis.release_flips import Flips
from fmaudit.analysis.release_records import ReleaseCell, ReleaseComparison, ReleaseModel
from fmaudit.schema import Subject

SCHEMA = "fmaudit/release-comparison/1"


def plain(found: ReleaseComparison, *, with_items: bool = False) -> dict[str, Any]:
    """The comparison as plain data; ``with_items`` lists the ids of flipped items."""
    return {
        "schema": SCHEMA,
        "earlier": {"audit": found.older},
        "later": {"audit": found.newer},
        "level": found.level,
        "adjustment": "Holm for headline numbers, Benjamini-Hochberg for the others of a probe and model",
        "families": [family.model_dump(mode="json") for family in found.families],
        "changes_tested": found.tests,
        "models": [_plain_model(model, with_items) for model in found.models],
        "only_earlier": [_plain_subject(subject) for subject in found.only_earlier],
        "only_later": [_plain_subject(subject) for subject in found.only_later],
    }


def _plain_model(model: ReleaseModel, with_items: bool) -> dict[str, Any]:
    return {
        "earlier": _plain_subject(model.older),
        "later": _plain_subject(model.newer),
        "same": model.same,
        "numbers": [_plain_cell(cell, with_items) for cell in model.cells],
        "verdict_changes": [
            {
                "measurement": found.key,
                "metric": found.metric,
                "slice": dict(found.slice),
                "earlier": found.older,
                "later": found.newer,
                "note": found.note,
            }
            for found in model.verdicts
        ],
        "verdicts_unchanged": model.kept_verdicts,
        "one_sided": [
            {"measurement": found.key, "measured_in": found.measured_in, "reason": found.reason}
            for found in model.one_sided
        ],
    }


def _plain_subject(subject: Subject) -> dict[str, str]:
    return {"id": subject.id, "role": subject.role, "name": subject.name, "digest": subject.digest}


def _plain_cell(cell: ReleaseCell, with_items: bool) -> dict[str, Any]:
    refusal = cell.refusal
    return {
        "measurement": cell.key,
        "metric": cell.metric,
        "slice": dict(cell.slice),
        "contrast": cell.contrast,
        "protocol": cell.protocol,
        "imported": cell.imported,
        "earlier": cell.older.model_dump(mode="json") if cell.older else None,
        "later": cell.newer.model_dump(mode="json") if cell.newer else None,
        "change": cell.change.model_dump(mode="json") if cell.change else None,
        "family": cell.family,
        "reading": cell.reading,
        "refusal": None if refusal is None else {"reason": refusal.text, "fields": list(refusal.fields)},
        "flips": None if cell.flips is None else _plain_flips(cell.flips, with_items),
    }


def _plain_flips(flips: Flips, with_items: bool) -> dict[str, Any]:
    up, down = flips.words
    found: dict[str, Any] = {
        up: len(flips.up),
        down: len(flips.down),
        "unchanged": flips.unchanged,
        "unanswered": flips.unanswered,
        "whole": flips.whole,
    }
    return found | ({"items": {up: list(flips.up), down: list(flips.down)}} if with_items else {})
