"""Packing: a finished run becomes a BagIt folder with its statements, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.directory import MANIFEST_FILE as RUN_MANIFEST
from fmaudit.pack import bagit
from fmaudit.pack.attestations import BARE, KEYED, KEYLESS
from fmaudit.pack.bagit import ATTESTATIONS, PAYLOAD, Label
from fmaudit.pack.derived import derived_files
from fmaudit.pack.dsse import seal
from fmaudit.pack.json_text import read_object
from fmaudit.pack.keys import SigningKey
from fmaudit.pack.labels import PUBLIC, RESTRICTED, signature_label
from fmaudit.pack.public_files import REDACTIONS_FILE, Redactor, redaction_summary, split
from fmaudit.pack.redaction import HashKey, make_hash_key, open_hash_key
from fmaudit.pack.run_files import RunFiles, read_run_files
from fmaudit.pack.statements import Contents, statements
from fmaudit.pack.subject_files import bound_models

Notice = Callable[[str], None]
KeylessSigner = Callable[[Sequence[bytes]], list[str]]
"""Takes the bytes of statements and gives a Sigstore bundle of each as JSON text."""


@dataclass(frozen=True)
class PackOptions:
    """How a run is packed.

    Attributes:
        restricted: Keep generated texts.
        key: Signs the statements.
        keyless: Signs them through Sigstore.
        models: Folder or file of a subject's weights, by subject id.
        hash_key: File of the key of a public pack's hashes, made if there is none; None: beside the pack.
        date: Day of packing, ``2026-01-31``; empty leaves it out.
    """

    restricted: bool = False
    key: SigningKey | None = None
    keyless: KeylessSigner | None = None
    models: Mapping[str, Path] = field(default_factory=dict)
    hash_key: Path | None = None
    date: str = ""


@dataclass(frozen=True)
class Pack:
    """A pack on disk. ``content``: hex digest its statements name; ``texts``: how many were taken out."""

    path: Path
    kind: str
    content: str
    files: int
    statements: tuple[str, ...]
    signature: str
    texts: int = 0
    hash_key: Path | None = None


def build_pack(run: Path, output: Path, options: PackOptions, notice: Notice) -> Pack:
    """Pack a finished run into a new folder.

    The same run, options and keys give the same bytes, except that Sigstore's bundles hold a time.

    Args:
        run: A run directory.
        output: A folder that is not there yet, or is empty.
        options: What goes in and who signs.
        notice: Told what whoever publishes the pack has to know.

    Raises:
        UsageError: the run is unfinished or does not match its manifest, the folder is not empty, a key or
            a model does not fit.
        ExecutionError: something cannot be read or written; the folder is as it was.
    """
    given, output = (
        output,
        output.absolute(),
    )  # A relative place may have no name of its own, as "." has none.
    _check_place(run, output)
    source = read_run_files(run)
    subjects = {str(entry["id"]): entry for entry in source.state["subjects"]}
    models = bound_models(subjects, options.models)
    key, key_path = (None, None) if options.restricted else _hash_key(run, output, options.hash_key, notice)
    if not source.gates:
        notice("the run has no gate record: the pack holds no verdict of a policy")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as staging:
            folder = Path(staging) / "pack"
            folder.mkdir()
            made = _Writer(folder).pack(source, options, models, key)
            _check(folder, options, notice)
            folder.replace(output)
    except OSError as error:
        raise ExecutionError(
            f"cannot write {output.name}: {error.strerror or error}; choose another with -o"
        ) from error
    return Pack(given, *made, hash_key=key_path)


class _Writer:
    """Writes the files of one pack and keeps their digests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}

    def pack(
        self, source: RunFiles, options: PackOptions, models: Mapping[str, str], key: HashKey | None
    ) -> tuple[str, str, int, tuple[str, ...], str, int]:
        kind = RESTRICTED if key is None else PUBLIC
        redaction = None
        if key is None:
            self._write_run(source)
        else:
            redaction = self._write_public(source, key)
        self._write_derived(source.state)
        signature = signature_label(options.key.key_id if options.key else None, options.keyless is not None)
        label = Label(
            kind, signature, f"fmaudit {source.state.get('tool', {}).get('version', '0')}", options.date
        )
        self._write(bagit.DECLARATION_FILE, bagit.DECLARATION)
        self._write(bagit.INFO_FILE, bagit.info_text(label))
        contents = Contents(kind, dict(self._digests), source.state, source.gates, models, redaction)
        found = statements(contents)
        for name, data in _attested(found, options).items():
            self._write(ATTESTATIONS + name, data)
        self._write_manifests()
        texts = int(redaction["texts"]) if redaction else 0
        files = sum(name.startswith(PAYLOAD) for name in self._digests)
        return kind, bagit.content_digest(contents.digests), files, tuple(found), signature, texts

    def _write_run(self, source: RunFiles) -> None:
        for name, known in source.digests.items():
            self._copy(source.path / name, PAYLOAD + name, known)
        self._copy(source.path / RUN_MANIFEST, PAYLOAD + RUN_MANIFEST)

    def _write_public(self, source: RunFiles, key: HashKey) -> dict[str, Any]:
        files = split([*source.digests, RUN_MANIFEST])
        redactor = Redactor(source.path, source.state["measurements"], key)
        for name in files.shown:
            self._copy(source.path / name, PAYLOAD + name, source.digests[name])
        texts: dict[str, int] = {}
        for name in files.redacted:
            part = redactor.part(name)
            self._write(PAYLOAD + name, part.data)
            texts[name] = part.texts
        record = redactor.record(texts, files.left_out)
        self._write(PAYLOAD + REDACTIONS_FILE, record)
        return redaction_summary(read_object(record, REDACTIONS_FILE))

    def _write_derived(self, state: Mapping[str, Any]) -> None:
        for name, data in derived_files(state).items():
            self._write(PAYLOAD + name, data)

    def _write_manifests(self) -> None:
        payload = {name: digest for name, digest in self._digests.items() if name.startswith(PAYLOAD)}
        self._write(bagit.MANIFEST_FILE, bagit.manifest_text(payload))
        tags = {name: digest for name, digest in self._digests.items() if name not in payload}
        self._write(bagit.TAG_MANIFEST_FILE, bagit.manifest_text(tags))

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._digests[name] = hashlib.sha256(data).hexdigest()

    def _copy(self, source: Path, name: str, known: str = "") -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        with path.open("rb") as stream:
            self._digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
        if known not in ("", self._digests[name]):
            raise UsageError(f"{source.name} changed while it was packed: repeat fmaudit pack")


def _attested(found: Mapping[str, bytes], options: PackOptions) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    if options.key:
        made |= {name + KEYED: seal(statement, options.key) for name, statement in found.items()}
    if options.keyless:
        bundles = options.keyless(list(found.values()))
        made |= {name + KEYLESS: text.encode() for name, text in zip(found, bundles, strict=True)}
    return made or {name + BARE: statement for name, statement in found.items()}


def _check_place(run: Path, output: Path) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise UsageError(f"{output.name} is not a folder: choose another with -o")
    if output.is_dir() and any(output.iterdir()):
        raise UsageError(f"folder {output.name} is not empty: choose another with -o")
    above = next(folder for folder in output.parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{above.name} is a file and no folder: choose another place with -o")
    if output.resolve().is_relative_to(run.resolve()):
        raise UsageError("the pack would lie inside the run: choose another folder with -o")


def _hash_key(run: Path, output: Path, given: Path | None, notice: Notice) -> tuple[HashKey, Path]:
    path = given or output.with_name(f"{output.name}.hash-key")
    if any(path.resolve().is_relative_to(folder.resolve()) for folder in (run, output)):
        raise UsageError("--hash-key lies inside the run or the pack: name a file elsewhere")
    if path.exists():
        return open_hash_key(path, notice), path
    key = make_hash_key(path)
    notice(f"the key of the keyed hashes is in {path.name}: keep it, and never publish it")
    return key, path


def _check(folder: Path, options: PackOptions, notice: Notice) -> None:
    # What does not verify is never published, whatever the reason.
    from fmaudit.pack.verify import verify_pack

    found = verify_pack(folder)
    if found.faults:
        raise ExecutionError(f"{found.faults[0]}; nothing was packed")
    if options.key and found.key_id != options.key.key_id:
        raise ExecutionError("the pack names another key than the one that signed it; nothing was packed")
    if found.clock:
        notice(found.clock)
