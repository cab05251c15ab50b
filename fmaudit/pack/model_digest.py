"""The root digest of OpenSSF model signing: one SHA-256 for all files of a model.

SHA-256 over the concatenated raw SHA-256 digests of the files, in the order of their paths as sequences of
components. Git's own files do not count, nor does the signature, which lies beside the files it signs. Links
are refused. Source: the payload of ``model-signing`` 1.1 (serialization ``files``, hash ``sha256``), whose
statements name a model by this digest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from fmaudit.canonical import DIGEST_PREFIX, digest_file
from fmaudit.errors import UsageError

IGNORED = frozenset({".git", ".gitattributes", ".github", ".gitignore", "model.sig"})
SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def model_digest(model: Path) -> str:
    """Hex root digest of a model's folder, or of one file.

    Raises UsageError for a link, a special file, and a folder without files.
    """
    found = {PurePosixPath(): model} if model.is_file() else _files(model)
    if not found:
        raise UsageError(f"model {model.name}: there are no files in this folder; check the path")
    root = hashlib.sha256()
    for name in sorted(found, key=lambda name: name.parts):
        root.update(bytes.fromhex(digest_file(found[name]).removeprefix(DIGEST_PREFIX)))
    return root.hexdigest()


def _files(model: Path) -> dict[PurePosixPath, Path]:
    if not model.is_dir():
        raise UsageError(f"model {model.name}: there is no such folder or file; check the path")
    found: dict[PurePosixPath, Path] = {}
    for path in sorted(model.rglob("*")):
        name = PurePosixPath(path.relative_to(model).as_posix())
        if name.parts[0] in IGNORED:
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UsageError(
                f"model {model.name}: {name} is a link or a special file, which the digest does not cover; "
                "copy the model with its files (cp -rL)"
            )
        if path.is_file():
            found[name] = path
    return found
