"""Texts taken out of a public pack, each represented by a keyed hash.

A plain hash of a name or a telephone number can be guessed; a keyed one cannot without the key. The hash also
covers the place of the text, so that equal texts do not look equal. Whoever holds the key and the restricted
pack can prove later that it holds what was taken out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmaudit.errors import ExecutionError, UsageError

ALGORITHM = "hmac-sha256"
_KEY = re.compile(r"[0-9a-f]{64}\n?")
_MARKER = re.compile(rf"\[redacted {ALGORITHM}:[0-9a-f]{{64}}\]")
_KEPT = {
    "labels": frozenset({"kind", "labels", "probability"}),
    "failure": frozenset({"kind", "reason"}),
    "generation": frozenset({"kind", "n_tokens", "finish", "margin", "scores"}),
}
_ENDINGS = ("eos", "stop", "length")
Place = Mapping[str, str | int]


@dataclass(frozen=True)
class HashKey:
    """The secret of a redaction: 32 bytes that never enter a pack."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells two keys apart without giving either away."""
        return hmac.new(self.secret, b"fmaudit redaction key", hashlib.sha256).hexdigest()[:16]

    def of_text(self, place: Place, removed: Any) -> str:
        """Hex keyed hash of plain data that stood at ``place``."""
        data = json.dumps([dict(place), removed], sort_keys=True, separators=(",", ":"))
        return hmac.new(self.secret, data.encode("ascii"), hashlib.sha256).hexdigest()

    def of_file(self, name: str, path: Path) -> str:
        """Hex keyed hash of a whole file: of its name, a zero byte and its bytes."""
        found = hmac.new(self.secret, name.encode() + b"\0", hashlib.sha256)
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
        return found.hexdigest()


def open_hash_key(path: Path, notice: Callable[[str], None]) -> HashKey:
    """Read a hash key: 64 hex digits.

    Raises UsageError where the file cannot be read or holds no key; ``notice`` is told if others may read it.
    """
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(
            f"cannot read --hash-key {path.name}: {error.strerror or error}; check the path"
        ) from None
    if not _KEY.fullmatch(text):
        raise UsageError(f"--hash-key {path.name} is not 64 hex digits: name a file that fmaudit pack made")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notice(f"others may read {path.name}: chmod 600 it")
    return HashKey(bytes.fromhex(text.strip()))


def make_hash_key(path: Path) -> HashKey:
    """Draw a key and write it for its owner alone. Raises ExecutionError where that is not possible."""
    secret = secrets.token_bytes(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(place, "w", encoding="ascii") as stream:
            stream.write(secret.hex() + "\n")
    except OSError as error:
        raise ExecutionError(f"cannot write --hash-key {path.name}: {error.strerror or error}") from error
    return HashKey(secret)


def marker(digest: str) -> str:
    """What stands where a text was."""
    return f"[redacted {ALGORITHM}:{digest}]"


def is_marker(text: object) -> bool:
    """Whether this stands for a text that was taken out."""
    return isinstance(text, str) and _MARKER.fullmatch(text) is not None


def redacted_responses(text: str, place: Place, key: HashKey) -> tuple[str, int]:
    """The ``responses`` of a row without texts, and how many were taken out.

    Of a generation, its length, how it ended, its margin and its instruments' scores stay. Of token scores
    nothing stays: whoever has the model could tell each token from its log-probability. Label
    probabilities and reasons of failures stay.
    """
    try:
        answers = json.loads(text)
    except ValueError:
        answers = None
    if not isinstance(answers, list):
        return _dumped([_failure(key.of_text(place, text))]), 1
    found = [_redacted(answer, {**place, "answer": number}, key) for number, answer in enumerate(answers)]
    return _dumped([answer for answer, _ in found]), sum(taken for _, taken in found)


def holds_text(responses: str) -> bool:
    """Whether the ``responses`` of a row still hold a text that a public pack may not."""
    try:
        answers = json.loads(responses)
    except ValueError:
        return True
    return not isinstance(answers, list) or any(map(_has_text, answers))


def _redacted(answer: Any, place: Place, key: HashKey) -> tuple[Any, int]:
    if isinstance(answer, dict) and answer.get("kind") == "generation":
        # Always: a model may write what looks like a marker.
        kept = {name: value for name, value in answer.items() if _is_kept("generation", name, value)}
        removed = {name: value for name, value in answer.items() if name not in kept}
        emptied: dict[str, Any] = {
            name: {} if name == "scores" else None for name in removed if name in _KEPT["generation"]
        }
        return kept | emptied | {"text": marker(key.of_text(place, removed))}, 1
    if _has_text(answer):
        return _failure(key.of_text(place, answer)), 1
    return answer, 0


def _failure(digest: str) -> dict[str, str]:
    # Readers know a failure as an answer that is not there, and take its reason for what it is.
    return {"kind": "failure", "reason": marker(digest)}


def _has_text(answer: Any) -> bool:
    if answer is None:
        return False
    kind = answer.get("kind") if isinstance(answer, dict) else None
    if not isinstance(kind, str) or kind not in _KEPT:
        return True
    if kind == "generation" and not is_marker(answer.get("text")):
        return True
    rest = {name: value for name, value in answer.items() if (kind, name) != ("generation", "text")}
    return not all(_is_kept(kind, name, value) for name, value in rest.items())


def _is_kept(kind: str, name: str, value: Any) -> bool:
    """Whether this part of an answer says nothing of a text, by its name and by what it holds."""
    if name not in _KEPT[kind]:
        return False
    if name == "finish":
        return value is None or value in _ENDINGS
    if name == "scores":
        return isinstance(value, dict) and all(
            isinstance(score, dict) and score.keys() <= {"value", "reason"} and _is_number(score.get("value"))
            for score in value.values()
        )
    return _is_number(value) if name in ("n_tokens", "margin") else True


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float) or value in ("inf", "-inf", "nan")


def _dumped(answers: Any) -> str:
    return json.dumps(answers, ensure_ascii=False, separators=(",", ":"))
