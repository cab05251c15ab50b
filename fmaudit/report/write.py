"""Reports into the run directory, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest_bytes
from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.report.gate_marks import read_gates
from fmaudit.schema import Audit, read_audit

FORMATS = ("html", "md", "pdf")
DEFAULT_FORMATS = ("html", "md")


def _silent(_: str) -> None:
    return None


def write_report(
    run_dir: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    reveal: bool = False,
    evidence: Sequence[object] = (),
    notice: Callable[[str], None] = _silent,
) -> list[Path]:
    """Render ``audit.json`` into ``report/`` and return the files written.

    Revealed reports have their own name, so that they never replace the redacted
    ones. ``notice`` is told what the reader of a file has to know about it.

    Raises UsageError for an unknown format, and for the PDF when what renders it is
    not installed: the other formats are written first. Raises ExecutionError when a
    file cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"unknown report format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    audit = read_audit(run_dir)
    source = (run_dir / "audit.json").read_bytes()
    stem = "report-revealed" if reveal else "report"
    gates = read_gates(run_dir)
    paths = []
    for name in sorted(dict.fromkeys(formats), key=lambda name: name == "pdf"):
        path = run_dir / "report" / f"{stem}.{name}"
        if name == "pdf":
            from fmaudit.report.pdf import render_pdf

            found = render_pdf(audit, evidence, reveal, source, gates)
            for line in found.notices:
                notice(line)
            data = found.data
        else:
            data = _render(name, audit, evidence, reveal, gates, digest_bytes(source)).encode("utf-8")
        write_atomically(path, data)
        paths.append(path)
    return paths


def _render(
    name: str,
    audit: Audit,
    evidence: Sequence[object],
    reveal: bool,
    gates: Sequence[Mapping[str, Any]],
    digest: str,
) -> str:
    if name == "html":
        from fmaudit.report.html import render_html

        return render_html(audit, evidence, reveal, gates, digest)
    from fmaudit.report.markdown import render_markdown

    return render_markdown(audit, evidence, reveal, gates, digest)
