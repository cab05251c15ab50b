"""Documents of earlier releases, brought to the shape that this release reads.

The id ``fmaudit/1`` has had four shapes, told apart by what they lack:

1. the first: base against adapted, without pedigree;
2. with pedigree, families and calibrations, these without metric, margins and sizes;
3. with these, and corrected for many numbers in part only;
4. today's.

A step adds what a shape lacks with the value that says "not recorded", and never
invents a result. Documents of today's shape come back unchanged. What a number is
shown to be after one correction for all of them is made by ``read_audit``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fmaudit.errors import UsageError

SCHEMA = "fmaudit/1"
Document = dict[str, Any]
_ID = re.compile(r"fmaudit/([0-9]{1,6})")
_SHOWN = 40


@dataclass(frozen=True)
class Step:
    """From one shape to the next: ``lacking`` recognises the older one, ``change`` returns the newer."""

    name: str
    lacking: Callable[[Mapping[str, Any]], bool]
    change: Callable[[Mapping[str, Any]], Document]


def upgrade(document: Any) -> Document:
    """An audit of any known shape as today's shape; the input is left as it is.

    Raises:
        UsageError: no object, no schema id, an id of something else, or of a newer fmaudit.
    """
    if not isinstance(document, dict):
        raise UsageError("not an fmaudit audit: it holds no JSON object")
    _check_id(document)
    changed = document
    for step in STEPS:
        if step.lacking(changed):
            changed = step.change(changed)
    return changed


def _check_id(document: Mapping[str, Any]) -> None:
    if "schema" not in document:
        raise UsageError(f"not an fmaudit audit: it has no field 'schema'; this fmaudit reads {SCHEMA}")
    written = document["schema"]
    found = _ID.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise UsageError(f"not an fmaudit audit: its schema is {_cut(written)}; this fmaudit reads {SCHEMA}")
    if written == SCHEMA:
        return
    if int(found.group(1)) > int(SCHEMA.partition("/")[2]):
        raise UsageError(f"written by a newer fmaudit ({written}): upgrade fmaudit to read it")
    raise UsageError(f"schema {written} was never published; this fmaudit reads {SCHEMA}")


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _lacks_pedigree(document: Mapping[str, Any]) -> bool:
    return "homogenization" not in document or "calibrations" not in document


def _with_pedigree(document: Mapping[str, Any]) -> Document:
    bases = {
        str(subject.get("id")) for subject in _records(document, "subjects") if subject.get("role") == "base"
    }
    changed = _each(document, "subjects", lambda subject: _with_origin(subject, bases))
    changed = _each(changed, "comparisons", lambda found: {"step": "from_base", **found})
    return {"homogenization": [], "calibrations": [], **changed}


def _with_origin(subject: Mapping[str, Any], bases: set[str]) -> Document:
    # Of a model declared to come from the base, "from its parent" and "from the base" are one statement.
    lineage = subject.get("lineage")
    if not isinstance(lineage, dict) or "from_base" in lineage:
        return dict(subject)
    direct = lineage.get("declared") is not None and str(lineage["declared"]) in bases
    origin = {
        "from_base": lineage.get("verified") if direct else None,
        "from_base_evidence": lineage.get("evidence", "") if direct else "",
    }
    return {**subject, "lineage": {**lineage, **origin}}


_CALIBRATION_LATER: Mapping[str, Any] = {
    "metric": "",
    "rates": [],
    "reason": "",
    "audits": 0,
    "sizes": [],
    "settings": {},
}


def _lacks_calibration_fields(document: Mapping[str, Any]) -> bool:
    return any("metric" not in found for found in _records(document, "calibrations"))


def _with_calibration_fields(document: Mapping[str, Any]) -> Document:
    later = {**_CALIBRATION_LATER, "margins": {"source": "not recorded"}}
    return _each(document, "calibrations", lambda found: {**later, **found})


def lacks_readings(document: Mapping[str, Any]) -> bool:
    """Whether the numbers of a document were not yet corrected in one list of families."""
    claims = [*_records(document, "comparisons"), *_records(document, "contrasts")]
    return any("reading" not in found for found in claims)


def _lacks_judged(document: Mapping[str, Any]) -> bool:
    return any("judged" not in found for found in _records(document, "comparisons"))


def _with_judged(document: Mapping[str, Any]) -> Document:
    return _each(document, "comparisons", lambda found: {"judged": bool(found.get("family")), **found})


def _each(
    document: Mapping[str, Any], name: str, change: Callable[[Mapping[str, Any]], Document]
) -> Document:
    """The document with every record of one list changed; what is no list or record stays to be refused."""
    found = document.get(name)
    if not isinstance(found, list):
        return dict(document)
    return {**document, name: [change(entry) if isinstance(entry, dict) else entry for entry in found]}


def _records(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


STEPS: tuple[Step, ...] = (
    Step("pedigree and families", _lacks_pedigree, _with_pedigree),
    Step("calibrations with metric, margins and sizes", _lacks_calibration_fields, _with_calibration_fields),
    Step("which comparisons were judged", _lacks_judged, _with_judged),
)
