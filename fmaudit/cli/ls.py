"""``fmaudit ls``."""

from __future__ import annotations

import json
from typing import Any

import click

from fmaudit.cli.options import JSON_OPTION


@click.command("ls", no_args_is_help=True)
@click.argument("what", type=click.Choice(["probes", "datasets", "instruments", "controls"]))
@JSON_OPTION
def command(what: str, as_json: bool) -> None:
    """List installed probes, data sets or instruments, or the controls that evidence is relevant to."""
    listing = {"probes": _probes, "datasets": _datasets, "instruments": _instruments, "controls": _controls}
    entries = listing[what]()
    if as_json:
        click.echo(json.dumps(entries, indent=1))
        return
    width = max((len(entry["id"]) for entry in entries), default=0)
    for entry in entries:
        click.echo(f"{entry['id']:<{width}}  {entry['about']}")


def _probes() -> list[dict[str, Any]]:
    from fmaudit.plugins import list_probes, load_probe

    entries = []
    for entry in list_probes(check=True):
        broken = entry.broken_reason
        about = (
            f"broken: {broken}"
            if broken
            else f"{load_probe(entry.id).title} [{entry.distribution} {entry.version}]"
        )
        entries.append({"id": entry.id, "about": about, "distribution": entry.distribution, "broken": broken})
    return entries


def _datasets() -> list[dict[str, Any]]:
    from fmaudit.cards import load_card, shipped_card_ids

    entries = []
    for name in shipped_card_ids():
        card = load_card(name)
        at_hand = card.source.kind in ("embedded", "computed")
        about = f"{card.title} [{'embedded' if at_hand else f'--data {name}=PATH'}; {card.licence}]"
        entries.append({"id": name, "about": about, "embedded": at_hand, "licence": card.licence})
    return entries


def _instruments() -> list[dict[str, Any]]:
    from fmaudit.instruments import available

    return [{"id": name, "about": about} for name, about in available().items()]


def _controls() -> list[dict[str, Any]]:
    from fmaudit.controls import load_catalogue

    return [
        {
            "id": control.key,
            "about": f"{control.title}: {control.own_words} [{control.edition}]",
            "title": control.title,
            "own_words": control.own_words,
            "edition": control.edition,
            "binds": control.binds,
            "in_force_from": control.in_force_from.isoformat() if control.in_force_from else None,
            "source": control.source,
            "date_checked": control.checked.date_checked.isoformat()
            if control.checked.date_checked
            else None,
            "checked_how": control.checked.how,
        }
        for control in load_catalogue().controls.values()
    ]
