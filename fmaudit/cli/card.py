"""``fmaudit card``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT
from fmaudit.cli.terminals import write_data
from fmaudit.errors import UsageError

if TYPE_CHECKING:
    from fmaudit.exports.model_card import ModelCard

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("card", no_args_is_help=True)
@RUN_ARGUMENT
@click.option("--subject", help="Id or name of the model; the only adapted one, or the base, by default.")
@click.option("-o", "--output", type=_FILE, help="Write the card to this file instead of stdout.")
@click.option("--patch", type=_FILE, help="Bring an existing card up to date; other text keeps its bytes.")
@click.option("--base-model", metavar="ID", help="Hub id of the base model, where the run does not hold it.")
@click.option("--relation", metavar="WORD", help="adapter, finetune, merge or quantized, where not recorded.")
@click.option(
    "--report-url", metavar="URL", help="Address of the published report, as source of the numbers."
)
@JSON_OPTION
def command(run: Path, output: Path | None, patch: Path | None, as_json: bool, **given: str | None) -> None:
    """Write the Hugging Face model card (README.md) of an audited model of RUN.

    Numbers go to model-index with their intervals; what was not measured is listed as a
    gap. With --patch only fmaudit's own results and sections of an existing card change,
    and the file itself only if -o names it.
    """
    from fmaudit.exports.card_facts import CardOptions
    from fmaudit.exports.model_card import model_card
    from fmaudit.schema import read_audit

    options = CardOptions(given["base_model"], given["relation"], given["report_url"])
    card = model_card(read_audit(run), given["subject"], options)
    data = card.text.encode("utf-8") if patch is None else _patched(patch, card)
    if output is not None:
        from fmaudit.evidence.atomic import write_atomically

        write_atomically(output, data)
    if as_json:
        said = {
            "subject": card.subject.id,
            "name": card.subject.name,
            "audit": card.digest,
            "base_model": card.origin.base_model,
            "base_model_relation": card.origin.relation,
            "statements": list(card.origin.statements),
            "model_index": card.results,
            "gaps": [{"what": gap.what, "state": gap.state, "reason": gap.reason} for gap in card.gaps],
            "file": output.name if output is not None else None,
            "card": None if output is not None else data.decode("utf-8"),
        }
        click.echo(json.dumps(said, indent=2, sort_keys=True, ensure_ascii=True))
    elif output is not None:
        click.echo(output)
    else:
        write_data(data)


def _patched(path: Path, card: ModelCard) -> bytes:
    from fmaudit.exports.card_patch import patch_card

    try:
        existing = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the card {path.name}: {error.strerror}; name a file") from None
    try:
        return patch_card(existing, card)
    except UsageError as error:
        raise UsageError(f"cannot patch {path.name}: {error}") from None
