"""The rows of evidence of a probe as a frame; text that models wrote is left out unless it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import FIXED_COLUMNS, REASON_SUFFIX, VALID_SUFFIX, read_parts
from fmaudit.report.evidence import shown_text
from fmaudit.requests import Generations

if TYPE_CHECKING:
    from pandas import DataFrame


def evidence_frame(run: Path, probe: str, subject: str | None, reveal: bool) -> DataFrame:
    """One row an item, subject, seed and sample, with every measure, its validity and its reason.

    ``text`` says how long a generated text is, or is the text itself where
    ``reveal``; slices and clusters have a column each.

    Raises:
        UsageError: not a run directory, or no rows of this probe and subject; the message says what there is.
    """
    import pandas as pd

    found: list[dict[str, Any]] = []
    directory = RunDirectory(run)
    for record in _records(directory, probe, subject):
        table = read_parts(directory.evidence(record["subject"], record["key"]))
        found += [_flat(record, row, reveal) for row in table.to_pylist()]
    return pd.DataFrame(found).astype({"outcome": "float64", "severity": "float64"})


def _records(directory: RunDirectory, probe: str, subject: str | None) -> list[Mapping[str, Any]]:
    state = directory.read_state()
    if state is None:
        raise UsageError(f"{directory.path.name} has no run.json: it has no rows of evidence")
    measured = [entry for entry in state["measurements"] if entry["state"] == "measured"]
    chosen = [entry for entry in measured if entry["probe"] == probe and subject in (None, entry["subject"])]
    if not chosen:
        of = f" for {subject!r}" if subject is not None else ""
        raise UsageError(
            f"no rows of probe {probe!r}{of}; probes here: {_listed(e['probe'] for e in measured)}; "
            f"subjects: {_listed(e['subject'] for e in measured)}"
        )
    return chosen


def _flat(record: Mapping[str, Any], row: Mapping[str, Any], reveal: bool) -> dict[str, Any]:
    flat: dict[str, Any] = {"subject": record["subject"], "measurement": record["key"]}
    for name in FIXED_COLUMNS:
        if name in ("clusters", "slices"):
            prefix = name.removesuffix("s")
            flat |= {f"{prefix}.{column}": level for column, level in row[name]}
        elif name != "responses":
            flat[name] = row[name]
    flat |= {name: value for name, value in row.items() if name not in FIXED_COLUMNS}
    for name in ("outcome", "severity"):
        flat.setdefault(name, None)
        flat.setdefault(name + VALID_SUFFIX, False)
        flat.setdefault(name + REASON_SUFFIX, "the probe has no such measure")
    flat["text"] = _text(row["responses"], reveal)
    if reveal:
        flat["responses"] = row["responses"]
    return flat


def _text(responses: str, reveal: bool) -> str | None:
    from fmaudit.evidence.responses import decode_responses

    # A response that is no text of a model is no response at all to a reader of texts.
    if '"generation"' not in responses:
        return None
    texts = [
        sample.text
        for response in decode_responses(responses)
        if isinstance(response, Generations)
        for sample in response.samples
    ]
    return shown_text("\n".join(texts), reveal) if texts else None


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted({str(name) for name in names})) or "none"
