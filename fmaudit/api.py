"""The audit as one call: what the command line is a thin layer over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.running.options import Progress, RunOptions, Silent
from fmaudit.schema import Audit, read_audit


@dataclass(frozen=True)
class Run:
    """A finished audit.

    ``failures`` has one line for each measurement that broke while the others went on.
    """

    path: Path
    audit: Audit
    failures: Sequence[str] = field(default=())

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report" / "report.html"


def audit(
    base: str,
    adapted: Mapping[str, str] | Sequence[str] = (),
    references: Sequence[str] = (),
    probes: Sequence[str] = (),
    output: str | Path = "runs/audit",
    *,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> Run:
    """Audit ``base`` and the models adapted from it; repeat the call to continue an interrupted run.

    Args:
        base: Hub id, directory, ``DIR::adapter=DIR`` or ``FILE.gguf``.
        adapted: Models adapted from it, as a list or by name.
        references: Unrelated models.
        probes: Families, ids or patterns; all that are installed when empty.
        output: The run directory.
        options: Everything else; ``probes`` given here win over the options' own.
        progress: Told what is going on; silent when None.

    Raises:
        FmauditError: with one line that says what to do, and the exit code it stands for.
    """
    from fmaudit.running.execute import execute

    named = (
        [f"{name}={model}" for name, model in adapted.items()]
        if isinstance(adapted, Mapping)
        else list(adapted)
    )
    chosen = options or RunOptions()
    if probes:
        chosen = replace(chosen, probes=tuple(probes))
    watched = progress or Silent()
    directory, failures = execute(base, named, list(references), Path(output), chosen, watched)
    watched.say("computing intervals")
    return Run(directory.path, finish(directory), tuple(failures))


def finish(directory: RunDirectory) -> Audit:
    """Compute ``audit.json`` from the rows and render the reports; runs no model."""
    from fmaudit.analysis.build import build_audit
    from fmaudit.evidence.atomic import write_atomically
    from fmaudit.report.examples import evidence_samples
    from fmaudit.report.write import write_report

    found = build_audit(directory)
    write_atomically(directory.path / AUDIT_FILE, found.to_bytes())
    write_report(directory.path, evidence=evidence_samples(directory))
    directory.write_manifest()
    return found


def open_run(path: str | Path) -> Run:
    """A run that was finished before."""
    return Run(Path(path), read_audit(Path(path)))
