"""Options of ``fmaudit gate`` for CI systems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path)
_FILES = {
    "--junit": "JUnit XML, a test case for each rule.",
    "--sarif": "SARIF 2.1.0 for code scanning.",
    "--code-quality": "GitLab code quality report.",
    "--metrics": "GitLab metrics report.",
    "--openmetrics": "OpenMetrics text for a Prometheus-like store.",
    "--summary": "Markdown summary, as GitHub shows it.",
}


def output_options(function: Any) -> Any:
    """``--junit --sarif --code-quality --metrics --openmetrics --summary --github --exit-zero``."""
    options = [click.option(name, type=_FILE, metavar="FILE", help=about) for name, about in _FILES.items()]
    options.append(
        click.option(
            "--github",
            is_flag=True,
            help="Annotate on stderr, and append the summary to $GITHUB_STEP_SUMMARY where that is set.",
        )
    )
    options.append(
        click.option(
            "--exit-zero",
            is_flag=True,
            help="End with 0 whatever the verdict, so that a job can upload the outputs; errors still fail.",
        )
    )
    for option in reversed(options):
        function = option(function)
    return function


def write_requested(
    record: Mapping[str, Any],
    policy_path: str | Path,
    *,
    junit: Path | None = None,
    sarif: Path | None = None,
    code_quality: Path | None = None,
    metrics: Path | None = None,
    openmetrics: Path | None = None,
    summary: Path | None = None,
    github: bool = False,
    exit_zero: bool = False,
) -> list[Path]:
    """Write what the options ask for; stdout stays untouched, as ``--json`` has it for itself.

    ``policy_path`` is what ``--policy`` named, a file or a shipped policy. ``exit_zero`` is
    the command's own affair: the outputs say the verdict all the same. Returns the files
    written. Raises UsageError for outputs that collide, ExecutionError where one cannot be
    written.
    """
    from fmaudit.gate.outputs.github import annotation_lines
    from fmaudit.gate.outputs.write import Outputs, append_summary, repository_path, write_outputs

    policy = Path(policy_path)
    # A shipped policy is no file of the repository; its name is all there is to show.
    place = repository_path(policy, _repository()) if policy.is_file() else str(record["policy"]["file"])
    wanted = Outputs(junit, sarif, code_quality, metrics, openmetrics, summary)
    written = write_outputs(record, wanted, place)
    if github:
        for line in annotation_lines(record, place):
            click.echo(line, err=True)
        if os.environ.get("GITHUB_STEP_SUMMARY") and summary is None:
            append_summary(record, Path(os.environ["GITHUB_STEP_SUMMARY"]))
    return written


def _repository() -> Path:
    """Where the CI system checked the repository out; elsewhere the current folder."""
    named = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    return Path(named) if named else Path.cwd()
