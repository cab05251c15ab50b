"""``fmaudit pack``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT
from fmaudit.errors import UsageError

if TYPE_CHECKING:
    from fmaudit.pack.build import Pack

_FILE = click.Path(path_type=Path)


@click.command("pack", no_args_is_help=True)
@RUN_ARGUMENT
@click.option("-o", "--output", required=True, type=_FILE, help="Folder of the pack, new or empty.")
@click.option("--restricted", is_flag=True, help="Keep generated texts: for those who may read them.")
@click.option("--key", type=_FILE, metavar="PRIVATE.pem", help="Sign with this Ed25519 or P-256 key.")
@click.option(
    "--sigstore", is_flag=True, help="Sign through Sigstore, with the identity of this job; needs network."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="SUBJECT=DIR",
    help="Bind a subject by the OpenSSF model-signing digest of its files. Repeatable.",
)
@click.option("--hash-key", type=_FILE, help="File of the key of the keyed hashes. Default: OUTPUT.hash-key.")
@JSON_OPTION
def command(
    run: Path,
    output: Path,
    restricted: bool,
    key: Path | None,
    sigstore: bool,
    models: tuple[str, ...],
    hash_key: Path | None,
    as_json: bool,
) -> None:
    """Pack RUN as signed evidence: a BagIt folder that fmaudit verify, or sha256sum and openssl, can check.

    The pack is public: texts that models generated are taken out and represented by keyed hashes,
    whose key is written to a file beside the pack. --restricted keeps everything. Without
    --key or --sigstore the pack is unsigned, and says so. The passphrase of an encrypted key is read
    from FMAUDIT_KEY_PASSPHRASE. The day of packing is only recorded where SOURCE_DATE_EPOCH is set.
    """
    from fmaudit.pack.build import PackOptions, build_pack
    from fmaudit.pack.keys import PASSPHRASE_VARIABLE, load_private_key
    from fmaudit.pack.labels import packing_day

    if restricted and hash_key is not None:
        raise UsageError("--hash-key belongs to a public pack: a restricted one takes nothing out")
    signing = None if key is None else load_private_key(key, os.environ.get(PASSPHRASE_VARIABLE, ""), _warn)
    date = packing_day(os.environ)
    keyless = None
    if sigstore:
        from fmaudit.pack.sigstore_signing import keyless_signer

        keyless = keyless_signer()
    options = PackOptions(restricted, signing, keyless, model_places(models), hash_key, date)
    made = build_pack(run, output, options, _warn)
    if not (signing or sigstore):
        _warn("the pack is unsigned: whoever changes it can also change its checksums; sign it with --key")
    if as_json:
        click.echo(json.dumps(_plain(made), indent=1, sort_keys=True))
    else:
        click.echo(made.path)


def model_places(pairs: tuple[str, ...]) -> dict[str, Path]:
    """``SUBJECT=DIR`` options as a mapping. Raises UsageError for another form, or a subject named twice."""
    found: dict[str, Path] = {}
    for pair in pairs:
        name, sign, place = pair.partition("=")
        if not (sign and name and place):
            raise UsageError(f"--model wants SUBJECT=DIR, got {pair!r}")
        if name in found:
            raise UsageError(f"--model {name} is given twice: name each subject once")
        found[name] = Path(place)
    return found


def _plain(made: Pack) -> dict[str, object]:
    return {
        "schema": "fmaudit/packed/1",
        "kind": made.kind,
        "content": f"sha256:{made.content}",
        "files": made.files,
        "statements": list(made.statements),
        "signature": made.signature,
        "texts_taken_out": made.texts,
        "hash_key": made.hash_key.name if made.hash_key else None,
    }


def _warn(line: str) -> None:
    from fmaudit.report.escape import terminal

    click.echo(f"fmaudit: {terminal(line)}", err=True)
