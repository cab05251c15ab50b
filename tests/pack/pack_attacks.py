"""What somebody without the key can do to a pack: change it and write its checksums anew."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

TAGS = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")


def files_of(pack: Path) -> list[str]:
    return sorted(path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file())


def rebag(pack: Path) -> Path:
    """Write the manifests of a changed pack anew."""
    payload = sorted((name for name in files_of(pack) if name.startswith("data/")), key=str.encode)
    _write(pack, "manifest-sha256.txt", payload)
    _write(pack, "tagmanifest-sha256.txt", list(TAGS))
    return pack


def change(pack: Path, name: str, old: bytes, new: bytes) -> Path:
    """Change a file's bytes and write the manifests anew."""
    data = (pack / name).read_bytes()
    assert old in data, name
    (pack / name).write_bytes(data.replace(old, new))
    return rebag(pack)


def restate(pack: Path, name: str) -> None:
    """Let the bare statement of an unsigned pack name the file as it is now."""
    own = pack / "data/attestations/pack.intoto.json"
    statement = json.loads(own.read_bytes())
    for entry in statement["subject"]:
        if entry["name"] == name:
            entry["digest"]["sha256"] = hashlib.sha256((pack / name).read_bytes()).hexdigest()
    own.write_bytes(json.dumps(statement).encode())
    rebag(pack)


def statement_of(pack: Path, name: str) -> dict:
    """The statement in an envelope."""
    return json.loads(
        base64.b64decode(json.loads((pack / "data/attestations" / name).read_bytes())["payload"])
    )


def the_file(pack: Path, pattern: str) -> str:
    (found,) = pack.glob(pattern)
    return found.relative_to(pack).as_posix()


def _write(pack: Path, manifest: str, names: list[str]) -> None:
    lines = (f"{hashlib.sha256((pack / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (pack / manifest).write_text("".join(lines), encoding="utf-8")
