"""Verifying a pack offline: its files, its statements, its signatures, and that its documents agree.

Nothing of a pack is executed, and no name in it is followed out of its folder. Statements are computed anew
from the files and compared, so that a statement can neither say more than the files nor leave one out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmaudit.errors import ExecutionError, ExitCode, FmauditError, UsageError
from fmaudit.evidence.directory import first_difference
from fmaudit.pack import bagit
from fmaudit.pack.attestations import (
    BARE,
    KEYLESS,
    Attestation,
    KeylessVerifier,
    PackStatement,
    forms_of,
    pack_statement,
    read_attestations,
    signature_faults,
)
from fmaudit.pack.bagit import ATTESTATIONS, INFO_FILE, PAYLOAD, Label, content_digest
from fmaudit.pack.clock import clock_fault
from fmaudit.pack.faults import Fault, PackFault
from fmaudit.pack.json_text import read_object
from fmaudit.pack.keys import VerifyingKey
from fmaudit.pack.labels import PUBLIC, RESTRICTED, signature_label
from fmaudit.pack.model_digest import model_digest
from fmaudit.pack.public_files import redaction_summary
from fmaudit.pack.statements import PACK, Contents, statements
from fmaudit.pack.subject_files import check_files as check_subject
from fmaudit.pack.verify_contents import (
    document_faults,
    gates_of,
    public_faults,
    redactions_of,
    row_faults,
    run_of,
)
from fmaudit.pack.verify_files import Inventory, check_files, read_limited

MAX_INFO = 1 << 16


@dataclass(frozen=True)
class Trust:
    """What the reader of a pack holds: key, identity, models. ``now``: this machine's clock if None."""

    key: VerifyingKey | None = None
    keyless: KeylessVerifier | None = None
    models: Mapping[str, Path] = field(default_factory=dict)
    now: datetime | None = None


@dataclass(frozen=True)
class Verification:
    """What a verifier found.

    Attributes:
        kind: ``public`` or ``restricted``; empty where the pack cannot be read that far.
        faults: Reasons not to trust it; empty where there are none.
        clock: One line where this machine's clock contradicts the pack.
        signature: ``verified``, ``not checked`` or ``unsigned``; ``failed`` where the pack fails.
        key_id: Of the key that its envelopes name.
        content: Hex digest of the files that the statements are about.
        files: How many were checked.
        gates: Policy id and verdict of each gate record.
        digests: Hex SHA-256 of the payload without attestations, by name.
    """

    kind: str = ""
    faults: tuple[Fault, ...] = ()
    clock: str = ""
    signature: str = "failed"
    key_id: str = ""
    content: str = ""
    files: int = 0
    gates: tuple[tuple[str, str], ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """0 all verified; 1 not; 3 the content agrees and no signature was checked; 4 the clock is wrong."""
        if self.faults:
            return ExitCode.GATE_FAILED
        if self.clock:
            return ExitCode.EXECUTION
        return ExitCode.PASS if self.signature == "verified" else ExitCode.INCONCLUSIVE


def verify_pack(folder: Path, trust: Trust = Trust()) -> Verification:
    """Verify a pack. Reads no network and runs nothing of it.

    Raises:
        UsageError: there is no such pack, or no such subject in it.
        ExecutionError: a file of it cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no pack {folder.name}: name the folder that fmaudit pack wrote")
    if not any((folder / name).exists() for name in (*bagit.TAG_FILES, PAYLOAD)):
        raise UsageError(
            f"{folder.name} is no evidence pack: it has no {bagit.DECLARATION_FILE} and no {PAYLOAD}"
        )
    try:
        inventory = check_files(folder, _stated(folder))
        if inventory.faults:
            return Verification(faults=_ordered(inventory.faults))
        return _verify(folder, inventory, trust)
    except PackFault as fault:
        return Verification(faults=(fault.fault,))
    except OSError as error:
        raise ExecutionError(
            f"cannot read {folder.name}: {error.strerror or error}; copy it again"
        ) from error


def _verify(folder: Path, inventory: Inventory, trust: Trust) -> Verification:
    attestations = read_attestations(folder, inventory.digests)
    forms = forms_of(attestations)
    own = next(one for one in attestations if one.name == PACK and one.form == forms[0])
    said = pack_statement(own)
    covered = {
        name: digest
        for name, digest in inventory.digests.items()
        if bagit.is_content(name) or name in (bagit.DECLARATION_FILE, INFO_FILE)
    }
    named = list(_named_files(said, covered, own.file))
    faults = [*signature_faults(attestations, trust.key, trust.keyless), *named]
    if faults:  # What the given key did not sign is not read any further.
        return Verification(kind=said.kind, faults=_ordered(faults))
    state = run_of(folder, covered)
    gates = gates_of(folder, covered)
    redactions = _redactions(folder, covered, said)
    summary = None if redactions is None else redaction_summary(redactions)
    contents = Contents(said.kind, covered, state, gates, said.models, summary)
    faults += _statement_faults(attestations, forms, contents)
    faults += document_faults(folder, covered, state, gates)
    faults += row_faults(folder, covered, state, redactions)
    faults += [] if redactions is None else public_faults(covered, redactions)
    key_ids = {one.envelope.key_id for one in attestations if one.envelope is not None}
    faults += _signer_faults(key_ids, forms, trust)
    label = bagit.read_info(read_limited(folder, INFO_FILE, MAX_INFO))
    faults += _label_faults(folder, label, said.kind, state, key_ids, forms)
    faults += _model_faults(state, said, trust.models)
    return Verification(
        kind=said.kind,
        faults=_ordered(faults),
        clock=clock_fault(state, label, trust.now or datetime.now(UTC)),
        signature="failed" if faults else _signature(forms, trust),
        key_id=next(iter(sorted(key_ids)), ""),
        content=content_digest(covered),
        files=len(inventory.digests),
        gates=tuple((gate.policy.id, gate.verdict) for gate in gates),
        digests={name: digest for name, digest in covered.items() if bagit.is_content(name)},
    )


def _stated(folder: Path) -> Mapping[str, str]:
    """What the pack's statement says of its files, as far as it can be read; a witness, not yet trusted."""
    try:
        place = folder / ATTESTATIONS
        if place.is_symlink() or place.parent.is_symlink():
            return {}
        names = [f"{ATTESTATIONS}{path.name}" for path in place.iterdir() if path.name.startswith(f"{PACK}.")]
        if any((folder / name).is_symlink() or not (folder / name).is_file() for name in names):
            return {}
        return pack_statement(read_attestations(folder, names)[0]).digests
    except (PackFault, OSError, IndexError):
        return {}


def _named_files(said: PackStatement, covered: Mapping[str, str], file: str) -> Iterator[Fault]:
    if said.kind not in (PUBLIC, RESTRICTED):
        yield Fault(file, f"is of a pack that is neither {PUBLIC} nor {RESTRICTED}")
    for name in sorted({*said.digests, *covered}):
        if name not in covered:
            yield Fault(name, f"is missing: {file} names it")
        elif name not in said.digests:
            yield Fault(name, f"was added: {file} does not name it")
        elif said.digests[name] != covered[name]:
            yield Fault(name, f"was changed: it is not the file that {file} names")


def _redactions(folder: Path, covered: Mapping[str, str], said: PackStatement) -> dict[str, Any] | None:
    return redactions_of(folder, covered) if said.kind == PUBLIC else None


def _statement_faults(
    attestations: Sequence[Attestation], forms: Sequence[str], contents: Contents
) -> Iterator[Fault]:
    try:
        expected = statements(contents)
    except (ValueError, KeyError, TypeError):
        yield Fault(f"{PAYLOAD}run.json", "or a gate record holds values that no statement can be made of")
        return
    found = {(one.name, one.form): one for one in attestations}
    for name, form in sorted({*found, *((name, form) for name in expected for form in forms)}):
        one = found.get((name, form))
        if one is None:
            yield Fault(f"{ATTESTATIONS}{name}{form}", "is missing: the pack's files call for it")
        elif name not in expected or form not in forms:
            yield Fault(one.file, "does not belong to this pack")
        elif one.payload != expected[name]:
            yield Fault(one.file, f"does not say what the pack's files say{_where(one, expected[name])}")


def _where(one: Attestation, expected: bytes) -> str:
    try:
        place = first_difference(read_object(one.payload, one.file), read_object(expected, one.file))
    except (PackFault, RecursionError):
        return ""
    return f": they differ in {place[:120]}" if place != "plan" else ""


def _signer_faults(key_ids: set[str], forms: Sequence[str], trust: Trust) -> Iterator[Fault]:
    if len(key_ids) > 1:
        yield Fault(ATTESTATIONS, "holds signatures of several keys")
    if BARE in forms:
        return  # Said of each statement already.
    if trust.key is not None and not key_ids:
        yield Fault(ATTESTATIONS, "holds no signature with a key, only Sigstore's: give the identity instead")
    if trust.keyless is not None and all(form != KEYLESS for form in forms):
        yield Fault(ATTESTATIONS, "holds no Sigstore bundle, only signatures with a key: give --key instead")


def _label_faults(
    folder: Path,
    label: Mapping[str, str],
    kind: str,
    state: Mapping[str, Any],
    key_ids: set[str],
    forms: Sequence[str],
) -> Iterator[Fault]:
    signature = signature_label(next(iter(sorted(key_ids)), None), any(form == KEYLESS for form in forms))
    agent = f"fmaudit {state.get('tool', {}).get('version', '0')}"
    expected = bagit.info_text(Label(kind, signature, agent, label.get("Bagging-Date", "")))
    if read_limited(folder, INFO_FILE, MAX_INFO) != expected:
        yield Fault(INFO_FILE, "does not say of the pack what its statements and signatures say")


def _model_faults(
    state: Mapping[str, Any], said: PackStatement, given: Mapping[str, Path]
) -> Iterator[Fault]:
    subjects = {str(entry["id"]): entry for entry in state["subjects"]}
    for name, place in given.items():
        if name not in subjects:
            raise UsageError(f"--model {name}: no such subject; this pack has {', '.join(sorted(subjects))}")
        if not place.exists():
            raise UsageError(f"--model {name}: there is no folder or file {place.name}; check the path")
        if name in said.models:
            if model_digest(place) != said.models[name]:
                yield Fault(
                    f"model {name}", f"{place.name} is not the model this pack is about: other root digest"
                )
            continue
        try:
            check_subject(name, subjects[name].get("parts") or {}, place)
        except FmauditError as error:
            yield Fault(f"model {name}", str(error).removeprefix(f"--model {name}: "))


def _signature(forms: Sequence[str], trust: Trust) -> str:
    if BARE in forms:
        return "unsigned"
    return "verified" if trust.key or trust.keyless else "not checked"


def _ordered(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(dict.fromkeys(faults))
