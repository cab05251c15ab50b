"""The audit as one call: what the command line is a thin layer over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.running.options import Progress, RunOptions, Silent
from fmaudit.schema import Audit, read_audit

if TYPE_CHECKING:
    from pandas import DataFrame

    from fmaudit.notebook.frames import Comparisons, Estimates
    from fmaudit.notebook.page import ReportFrame
    from fmaudit.notebook.plots import Plots
    from fmaudit.report.index import AuditIndex
    from fmaudit.report.view import ReportView


@dataclass(frozen=True, repr=False)
class Run:
    """A finished audit; in a notebook it shows its verdict, key numbers and matrix.

    ``failures`` has one line for each measurement that broke while the others went on.
    """

    path: Path
    audit: Audit
    failures: Sequence[str] = field(default=())

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report" / "report.html"

    @cached_property
    def estimates(self) -> Estimates:
        """Every number of every model: ``run.estimates["bias"]``, ``run.estimates.to_frame()``."""
        from fmaudit.notebook.frames import estimates_of

        return estimates_of(self._index)

    @cached_property
    def comparisons(self) -> Comparisons:
        """Base against adapted: ``run.comparisons["bias"]``, ``run.comparisons.to_frame()``."""
        from fmaudit.notebook.frames import comparisons_of

        return comparisons_of(self._index)

    @property
    def plot(self) -> Plots:
        """Figures: ``run.plot.forest()``, ``matrix()``, ``heatmaps()``, ``scores()`` and others."""
        from fmaudit.notebook.plots import Plots

        return Plots(self._index, self.path)

    def rows(self, probe: str, subject: str | None = None, *, reveal: bool = False) -> DataFrame:
        """The rows of evidence of a probe, one an item, subject, seed and sample.

        Args:
            probe: Its id.
            subject: Only this one, by its id.
            reveal: Give generated text; otherwise only its length.

        Raises:
            UsageError: There are no such rows; the message says what there is.
        """
        from fmaudit.notebook.rows import evidence_frame

        return evidence_frame(self.path, probe, subject, reveal)

    def show(self, height: int = 720) -> ReportFrame:
        """The report page in a frame of ``height`` pixels, for a notebook; no script runs in it."""
        from fmaudit.notebook.page import report_frame

        return report_frame(self.report, height)

    @cached_property
    def _index(self) -> AuditIndex:
        from fmaudit.report.index import AuditIndex, without_paths

        return AuditIndex(without_paths(self.audit))

    @cached_property
    def _view(self) -> ReportView:
        from fmaudit.report.view import report_view

        return report_view(self.audit)

    @property
    def _place(self) -> str:
        # The folder's name alone: what a notebook shows is often passed on.
        return f"{self.path.name}/{self.report.relative_to(self.path).as_posix()}"

    def __repr__(self) -> str:
        """One line: the verdict, how much was measured, and where the report is."""
        from fmaudit.notebook.overview import overview_line

        return overview_line(self._view, self._place)

    def _repr_html_(self) -> str:
        from fmaudit.notebook.overview import overview_html

        return overview_html(self._view, self._place, self.failures)

    def _repr_markdown_(self) -> str:
        from fmaudit.notebook.overview import overview_markdown

        return overview_markdown(self._view, self._place)


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
    from fmaudit.evidence.lock import sole_writer
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
    with sole_writer(Path(output)):
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
