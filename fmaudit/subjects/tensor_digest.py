"""Digest of weights by their tensors: the same whatever files they are spread over, and in what order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmaudit.canonical import DIGEST_PREFIX, digest, digest_file

_CHUNK = 1 << 22
_LENGTH_BYTES = 8
_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
Entry = tuple[str, str, tuple[int, ...], str]


def tensors_digest(paths: Sequence[Path]) -> str:
    """Digest of all tensors in ``paths``: names, dtypes, shapes and bytes.

    Files of safetensors are read as they lie, a few megabytes at a time, and their
    metadata takes no part. Pickles are opened with ``weights_only``; one that holds
    more than tensors, like a file of another format, counts by its own bytes.
    """
    entries = sorted(entry for path in paths for entry in _entries(path))
    return digest([[name, kind, list(shape), content] for name, kind, shape, content in entries])


def _entries(path: Path) -> list[Entry]:
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix != ".gguf":
        found = _pickled(path)
        if found is not None:
            return found
    return [("", path.suffix, (), digest_file(path))]


def _safetensors(path: Path) -> list[Entry]:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        found: list[Entry] = []
        for name, entry in sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])):
            start, end = entry["data_offsets"]
            stream.seek(_LENGTH_BYTES + length + start)
            sha, left = hashlib.sha256(), end - start
            while left and (chunk := stream.read(min(left, _CHUNK))):
                sha.update(chunk)
                left -= len(chunk)
            found.append((name, entry["dtype"], tuple(entry["shape"]), DIGEST_PREFIX + sha.hexdigest()))
    return found


def _pickled(path: Path) -> list[Entry] | None:
    import torch

    try:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):
            # Files of before torch 1.6 cannot be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True)
        return [
            (str(name), _NAMES.get(str(tensor.dtype)[len("torch.") :], str(tensor.dtype)), *_content(tensor))
            for name, tensor in state.items()
        ]
    except Exception:  # whatever is wrong with it, loading says so; its identity is then its bytes
        return None


def _content(tensor: Any) -> tuple[tuple[int, ...], str]:
    import torch

    flat = tensor.detach().contiguous().reshape(-1)
    raw = memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else b""
    return tuple(tensor.shape), DIGEST_PREFIX + hashlib.sha256(raw).hexdigest()
