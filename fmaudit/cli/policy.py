"""``fmaudit policy``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.terminals import write_data

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="POLICY...")


@click.group("policy", no_args_is_help=True)
def command() -> None:
    """Write, explain and check release policies.

    \b
    fmaudit policy init release -o policy.yaml
    fmaudit policy explain policy.yaml
    fmaudit policy check policy.yaml
    """  # noqa: D301 (click reads the escape, a raw string would show it)


@command.command("init")
@click.argument("name", type=click.Choice(["release", "strict", "exploratory"]), default="release")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("policy.yaml"),
    show_default=True,
    help="The file to write; never overwritten.",
)
def init(name: str, output: Path) -> None:
    """Write a starter policy, and beside it the JSON Schema that gives editors their hints.

    release: nothing memorized, nothing worse than the base. strict: also inheritance
    verdicts, and what is missing fails. exploratory: watches, for runs that grow.
    """
    from fmaudit.errors import UsageError
    from fmaudit.evidence.atomic import write_atomically
    from fmaudit.gate.policy import starter
    from fmaudit.gate.published import file_name, schema_text

    if output.exists():
        raise UsageError(f"{output} exists: name another file with -o")
    write_atomically(output, starter(name).read_bytes())
    schema = output.parent / file_name("policy")
    write_atomically(schema, schema_text("policy").encode())
    click.echo(output)
    click.echo(schema)


@command.command("explain")
@click.argument("policy", type=click.Path(path_type=Path))
def explain(policy: Path) -> None:
    """Say in words what POLICY, a file or a shipped one, would block."""
    from fmaudit.gate.checks import check_policy
    from fmaudit.gate.explain import explained
    from fmaudit.gate.policy import load_policy
    from fmaudit.plugins import metric_directions, metric_ideals
    from fmaudit.report.escape import terminal

    found = load_policy(policy)
    check_policy(found, metric_directions())
    for line in explained(found, metric_ideals()).splitlines():
        text = line.lstrip(" ")
        click.echo(" " * (len(line) - len(text)) + terminal(text))


@command.command("check")
@FILES
def check(files: tuple[Path, ...]) -> None:
    """Check POLICY files: fields, metrics, controls, signs. The first problem is one line, exit code 2."""
    from fmaudit.gate.checks import check_policy
    from fmaudit.gate.policy import load_policy
    from fmaudit.plugins import metric_directions

    directions = metric_directions()
    for path in files:
        found = load_policy(path)
        check_policy(found, directions)
        click.echo(f"{path}: {found.policy.id}, {len(found.policy.rules)} rules, {found.digest}")


@command.command("schema")
@click.option("--waivers", is_flag=True, help="That of waiver files instead.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this file instead.")
def schema(waivers: bool, output: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of policy files."""
    from fmaudit.evidence.atomic import write_atomically
    from fmaudit.gate.published import schema_text

    text = schema_text("waivers" if waivers else "policy")
    if output is None:
        write_data(text)
        return
    write_atomically(output, text.encode())
    click.echo(output)
