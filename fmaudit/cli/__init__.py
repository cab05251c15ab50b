"""The command line: thin, lazy, one module a command."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from keyword import iskeyword

import click

from fmaudit.errors import UsageError

_PROGRAM = "fmaudit"
_COMPLETE_VARIABLE = "_FMAUDIT_COMPLETE"
_COMMANDS = {
    "run": "Audit a model and the models adapted from it.",
    "demo": "Run the embedded audit, offline: a small real model and an adapter with planted memorization.",
    "plan": "Say what a run would cost and what it could decide, before any model is loaded.",
    "gate": "Hold a run against a policy; the exit code is the verdict.",
    "policy": "Write, explain and check release policies.",
    "baseline": "Keep the run of a release for the gate of the next one.",
    "pack": "Pack the evidence of a run, signed, for others to verify.",
    "verify": "Verify an evidence pack, offline.",
    "report": "Render the reports of a run again.",
    "show": "Print a run's results in the terminal.",
    "compare": "Print what adapted models got from their base, or what changed between two releases.",
    "export": "Export results for other tools: ML-BOM, Every Eval Ever, Croissant, lm-evaluation-harness.",
    "rows": "Export the rows of evidence of one probe.",
    "specimen": "Build small models with planted defects of known dose.",
    "calibrate": "Measure how small a planted defect each probe finds, and its false alarms.",
    "card": "Write the Hugging Face model card of an audited model, or patch an existing card.",
    "site": "Build a static gallery of audits, ready for any host.",
    "schema": "Print the JSON Schema of audit.json.",
    "import": "Import sample logs of lm-evaluation-harness or Inspect as a run.",
    "ls": "List installed probes, data sets or instruments.",
}


class _LazyGroup(click.Group):
    """Commands are imported when they are used, so that help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"fmaudit.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `fmaudit demo`; then `fmaudit run MODEL --adapted MODEL`. Exit codes: 0 pass, 1 gate "
    "failed (or verify: the pack was changed), 2 usage, 3 inconclusive, 4 execution error, 5 nothing "
    "evaluated.",
)
@click.version_option(package_name="fmaudit", message="fmaudit %(version)s")
def cli() -> None:
    """Audit a foundation model and everything adapted from it.

    Probes ask base and adapted models the same questions; every answer is a row of
    evidence, and every number in the report comes from those rows with its interval.
    """


def main() -> None:
    """Run the command line; whatever happens is one line on stderr and an exit code of the README's table."""
    from fmaudit.cli.terminals import prepare_output
    from fmaudit.cli.way_out import exit_code_of

    prepare_output()
    sys.exit(exit_code_of(_carry_out))


def _carry_out() -> None:
    # Not ``cli.main``: it takes a closed pipe for exit code 1, and EOFError of any library for Ctrl-C.
    instruction = os.environ.get(_COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        if shell_complete(cli, {}, _PROGRAM, _COMPLETE_VARIABLE, instruction):
            raise UsageError(f"{_COMPLETE_VARIABLE}: no shell completion {instruction!r}")
        return
    with cli.make_context(_PROGRAM, sys.argv[1:]) as context:
        cli.invoke(context)
