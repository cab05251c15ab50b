"""``fmaudit verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import JSON_OPTION
from fmaudit.cli.pack import model_places
from fmaudit.cli.way_out import end_with
from fmaudit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from fmaudit.pack.faults import Fault
    from fmaudit.pack.verify import Trust, Verification

_FILE = click.Path(path_type=Path)
_SHOWN = 20


@click.command("verify", no_args_is_help=True)
@click.argument("pack", type=_FILE)
@click.option("--key", type=_FILE, metavar="PUBLIC.pem", help="The signer's public key, got by another way.")
@click.option(
    "--sigstore-identity", metavar="WHO", help="E-mail address or workflow that signed through Sigstore."
)
@click.option("--sigstore-issuer", metavar="URL", help="The OpenID provider that vouches for it.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="SUBJECT=DIR",
    help="Check that these files are the model the pack is about. Repeatable.",
)
@click.option(
    "--against", type=_FILE, metavar="RESTRICTED", help="Prove that this pack holds what was taken out."
)
@click.option("--hash-key", type=_FILE, help="The key of the keyed hashes, for --against.")
@JSON_OPTION
def command(
    pack: Path,
    key: Path | None,
    sigstore_identity: str | None,
    sigstore_issuer: str | None,
    models: tuple[str, ...],
    against: Path | None,
    hash_key: Path | None,
    as_json: bool,
) -> None:
    """Verify PACK offline: files, statements, signatures, and that its documents agree.

    0 everything agrees and the signature is that of --key or the given identity; 1 something was
    changed, is missing, was added or does not agree: each is named; 2 the request is wrong; 3 everything
    agrees and no signature was checked, because the pack is unsigned or no key was given; 4 a file
    cannot be read, or this machine's clock is before a time that the pack records.

    The verdicts of its policies are printed and do not change the exit code.
    """
    from fmaudit.pack.verify import verify_pack

    if (against is None) != (hash_key is None):
        raise UsageError("--against and --hash-key belong together: give both")
    trust = _trust(key, sigstore_identity, sigstore_issuer, models)
    found = verify_pack(pack, trust)
    proof: tuple[Fault, ...] = ()
    if against is not None and hash_key is not None and not found.faults:
        proof = _proof(pack, found, against, hash_key, trust)
    code = ExitCode.GATE_FAILED if proof else found.exit_code
    if as_json:
        click.echo(json.dumps(_plain(found, proof, against is not None, code), indent=1, sort_keys=True))
    else:
        _print(pack, found, proof, against)
    end_with(code)


def _trust(key: Path | None, identity: str | None, issuer: str | None, models: tuple[str, ...]) -> Trust:
    from fmaudit.pack.keys import load_public_key
    from fmaudit.pack.verify import Trust

    if (identity is None) != (issuer is None):
        raise UsageError("--sigstore-identity and --sigstore-issuer belong together: give both")
    keyless = None
    if identity is not None and issuer is not None:
        from fmaudit.pack.sigstore_signing import keyless_verifier

        keyless = keyless_verifier(identity, issuer)
    return Trust(None if key is None else load_public_key(key), keyless, model_places(models))


def _proof(pack: Path, found: Verification, against: Path, hash_key: Path, trust: Trust) -> tuple[Fault, ...]:
    from dataclasses import replace

    from fmaudit.pack.proof import VerifiedPack, proof_faults
    from fmaudit.pack.redaction import open_hash_key
    from fmaudit.pack.verify import verify_pack

    key = open_hash_key(hash_key, _warn)
    other = verify_pack(against, replace(trust, models={}))
    if other.faults:
        return other.faults
    return proof_faults(VerifiedPack(pack, found), VerifiedPack(against, other), key)


def _print(pack: Path, found: Verification, proof: tuple[Fault, ...], against: Path | None) -> None:
    faults = found.faults or proof
    for fault in faults[:_SHOWN]:
        _warn(str(fault))
    if len(faults) > _SHOWN:
        _warn(f"and {len(faults) - _SHOWN} more")
    if found.faults:
        _warn(f"{pack.name} does not verify")
        return
    if found.clock:
        _warn(found.clock)
        return
    from fmaudit.report.escape import terminal

    for policy, verdict in found.gates:
        click.echo(terminal(f"policy {policy}: {verdict}"))
    click.echo(terminal(f"{pack.name}: {found.kind} pack, {found.files} files agree; {_signature(found)}"))
    if proof and against is not None:
        _warn(f"{against.name} is not the pack whose texts were taken out")
    elif against is not None:
        click.echo(terminal(f"{against.name}: holds every text that was taken out"))


def _signature(found: Verification) -> str:
    signed = f"signed with key {found.key_id}" if found.key_id else "signed through Sigstore"
    return {
        "verified": f"{signed}, signature verified",
        "not checked": f"{signed}, signature not checked: give "
        + ("--key" if found.key_id else "--sigstore-identity and --sigstore-issuer"),
        "unsigned": "unsigned: nobody answers for it",
    }[found.signature]


def _plain(found: Verification, proof: tuple[Fault, ...], proved: bool, code: ExitCode) -> dict[str, object]:
    return {
        "schema": "fmaudit/verification/1",
        "exit_code": int(code),
        "kind": found.kind,
        "signature": found.signature,
        "key": found.key_id or None,
        "content": f"sha256:{found.content}" if found.content else None,
        "clock": found.clock or None,
        "gates": [{"policy": policy, "verdict": verdict} for policy, verdict in found.gates],
        "faults": [{"file": fault.file, "text": fault.text} for fault in (*found.faults, *proof)],
        "proof": (not proof and not found.faults) if proved else None,
    }


def _warn(line: str) -> None:
    from fmaudit.report.escape import terminal

    click.echo(f"fmaudit: {terminal(line)}", err=True)
