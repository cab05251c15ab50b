"""Reports into the run directory, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.flips import FlipSample
from fmaudit.schema import Audit, read_audit

FORMATS = ("html", "md")


def write_report(
    run_dir: Path,
    formats: Sequence[str] = FORMATS,
    reveal: bool = False,
    evidence: Sequence[EvidenceSample | FlipSample] = (),
) -> list[Path]:
    """Render ``audit.json`` into ``report/`` and return the files written.

    Revealed reports have their own name, so that they never replace the redacted
    ones. Raises UsageError for an unknown format, ExecutionError when a file
    cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"unknown report format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    audit = read_audit(run_dir)
    stem = "report-revealed" if reveal else "report"
    paths = []
    for name in dict.fromkeys(formats):
        path = run_dir / "report" / f"{stem}.{name}"
        write_atomically(path, _render(name, audit, evidence, reveal).encode("utf-8"))
        paths.append(path)
    return paths


def _render(name: str, audit: Audit, evidence: Sequence[EvidenceSample | FlipSample], reveal: bool) -> str:
    if name == "html":
        from fmaudit.report.html import render_html

        return render_html(audit, evidence, reveal)
    from fmaudit.report.markdown import render_markdown

    return render_markdown(audit, evidence, reveal)
