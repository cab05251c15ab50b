"""The numbers a gate decides on, computed from the rows of a run and of the last release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fmaudit.analysis import distances
from fmaudit.analysis.claims import Claim, Form, RunNumbers
from fmaudit.analysis.decisive import decisive_change
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.release_sequences import release_sequence
from fmaudit.analysis.release_subjects import match_subjects
from fmaudit.analysis.releases import (
    Refusal,
    ReleaseRows,
    release_change,
    release_contrast_change,
    release_pair,
)
from fmaudit.analysis.sequences import NO_CONTRAST
from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import MANIFEST_FILE, RunDirectory
from fmaudit.gate.baseline import Baseline
from fmaudit.gate.evaluate import NO_RELEASE
from fmaudit.question import record_id
from fmaudit.schema import Audit, Comparison, Numbers

_AGAIN = "repeat the fmaudit run command, which computes it anew"


@dataclass
class RunEvidence:
    """One finished run, and the baseline of the last release where there is one.

    Numbers are computed once for each claim and level.
    """

    directory: RunDirectory
    audit: Audit
    form: Form
    seed: int
    baseline: Baseline | None = None
    _numbers: dict[tuple[str, float], Numbers] = field(default_factory=dict)

    def number(self, claim: Claim, level: float) -> Numbers:
        """A number of the run with its two-sided interval at ``level``."""
        place = (repr(claim), level)
        if place not in self._numbers:
            self._numbers[place] = self._run_numbers.number(claim, level)
        return self._numbers[place]

    def printed(self, claim: Claim, level: float) -> Numbers:
        """The same number as ``audit.json`` should hold it."""
        return self._run_numbers.printed(claim, level)

    def release_change(self, claim: Claim, level: float) -> Numbers | str:
        """The change since the last release, or why there is none."""
        if self.baseline is None:
            return NO_RELEASE
        older = self._older
        assert older is not None
        before = self._same_subject(claim.subject)
        if before is None:
            return f"the baseline has no model {claim.subject}"
        settings = Settings(level, self.seed)
        found: Numbers | Refusal
        if claim.contrast:
            if self.form == "anytime":
                return NO_CONTRAST
            found = release_contrast_change(
                older, self._newer, before, claim.subject, claim.key, claim.contrast, settings,
                distance=claim.distance,
            )  # fmt: skip
        else:
            found = release_change(
                older, self._newer, before, claim.subject, claim.key, claim.metric, claim.slice, settings,
                self._distance_form(claim) if claim.distance else None,
            )  # fmt: skip
        if isinstance(found, Refusal):
            return f"not comparable with the last release: {found.text}"
        if claim.distance:
            return found
        if self.form == "anytime":
            pair = release_pair(older, self._newer, before, claim.subject, claim.key)
            assert not isinstance(pair, Refusal)
            units = self._run_numbers.units(claim.measurement)
            return release_sequence(found, pair, claim.metric, claim.slice, units, level)
        rates = {metric.id for metric in self.audit.metrics if metric.kind == "rate"}
        if claim.metric in rates and not claim.contrast:
            return Numbers(**decisive_change(found.model_dump()))
        return found

    def _distance_form(self, claim: Claim) -> distances.Form:
        if self.form == "anytime":
            return distances.sequential(self._run_numbers.units(claim.measurement))
        return distances.DECISIVE

    def word(self, comparison: Comparison) -> str:
        """The verdict of a comparison, judged again from the rows.

        Raises ExecutionError where audit.json says another.
        """
        again = self._words.get(comparison.id)
        if again != comparison.verdict:
            raise ExecutionError(
                f"audit.json calls {comparison.id} {comparison.verdict!r} and the rows do not: {_AGAIN}"
            )
        return again

    @cached_property
    def _run_numbers(self) -> RunNumbers:
        return RunNumbers(self.directory, self.form)

    @cached_property
    def _words(self) -> dict[str, str]:
        from fmaudit.analysis.build import build_audit

        return {found.id: found.verdict for found in build_audit(self.directory).comparisons}

    @cached_property
    def _newer(self) -> ReleaseRows:
        return ReleaseRows(self.directory, self.audit)

    @cached_property
    def _older(self) -> ReleaseRows | None:
        return None if self.baseline is None else ReleaseRows(self.baseline.directory)

    def _same_subject(self, subject: str) -> str | None:
        """The subject of the baseline: of the same role and id, else the sole one of the same role."""
        assert self._older is not None
        found = match_subjects(self._older.audit.subjects, self.audit.subjects).earlier_of(subject)
        if found is not None:
            return found.id
        controls = [one for one in self._older.audit.subjects if one.role == "reference"]
        return next((one.id for one in controls if one.id == subject), None)


def check_manifest(run: Path) -> None:
    """Raise ExecutionError, naming the file, where a file of the run is not the one that was written."""
    path = run / MANIFEST_FILE
    try:
        listed = json.loads(path.read_bytes())["files"]
        pairs = [(str(name), str(digest)) for name, digest in listed.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ExecutionError(
            f"{MANIFEST_FILE} of {run.name} is missing or broken: repeat the fmaudit run command"
        ) from None
    for name, digest in pairs:
        file = run / name
        if name.startswith("report/"):
            continue
        if not file.is_file():
            raise ExecutionError(f"{name} of {run.name} is missing: repeat the fmaudit run command")
        if digest_file(file) != digest:
            raise ExecutionError(
                f"{name} of {run.name} was changed after it was written: repeat the fmaudit run command"
            )
    known = {name for name, _ in pairs}
    for file in sorted((run / "evidence").rglob("*.parquet")):
        name = file.relative_to(run).as_posix()
        if name not in known:
            raise ExecutionError(
                f"{name} of {run.name} is not in its manifest: repeat the fmaudit run command"
            )


def check_audit(audit: Audit, state: Mapping[str, Any]) -> None:
    """Raise ExecutionError where audit.json and run.json do not speak of the same models and measurements."""
    subjects = [(one.id, one.role, one.digest) for one in audit.subjects]
    recorded = [(entry["id"], entry["role"], entry["digest"]) for entry in state["subjects"]]
    if subjects != recorded:
        raise ExecutionError(f"audit.json and run.json do not hold the same models: {_AGAIN}")
    stated = {one.id: (one.state, one.partial, one.protocol) for one in audit.measurements}
    for entry in state["measurements"]:
        name = record_id(entry)
        # A measurement that broke is unmeasured in the audit.
        own = "unmeasured" if entry["state"] == "failed" else entry["state"]
        if stated.pop(name, None) != (own, entry["partial"], entry["protocol"]):
            raise ExecutionError(f"audit.json and run.json do not say the same of {name}: {_AGAIN}")
    if stated:
        raise ExecutionError(f"audit.json holds {min(stated)}, which run.json does not: {_AGAIN}")
