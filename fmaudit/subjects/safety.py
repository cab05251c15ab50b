"""What is refused before a byte of it is interpreted: pickles, foreign code, half-written files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fmaudit.errors import SubjectError

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_CODE_PREFIXES = ("modeling_", "configuration_", "tokenization_")
_LENGTH_BYTES = 8
_MAX_HEADER = 100_000_000


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        SubjectError: the file is not UTF-8, not JSON (half-written) or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path} cannot be read as JSON ({error}); copy the model again") from None
    if not isinstance(value, dict):
        raise SubjectError(f"{path} holds no JSON object; copy the model again")
    return value


def refuse_pickles(paths: Iterable[Path], allowed: bool) -> list[str]:
    """Refuse weights that can run code when loaded, or note that they were allowed."""
    pickles = [path for path in paths if path.suffix.lower() in PICKLE_SUFFIXES]
    if not pickles:
        return []
    if not allowed:
        raise SubjectError(
            f"{pickles[0]} is a pickle, which can run code when it is loaded; convert it to safetensors, "
            "or pass --allow-pickle if you trust where it comes from"
        )
    names = ", ".join(path.name for path in pickles)
    return [f"pickled weights were allowed and read with weights_only=True: {names}"]


def code_files(root: Path) -> list[Path]:
    """Modelling code that a model directory brings along."""
    return sorted(path for path in root.glob("*.py") if path.name.startswith(_CODE_PREFIXES))


def refuse_remote_code(root: Path, configs: Iterable[Mapping[str, Any]], allowed: bool) -> list[str]:
    """Refuse a model that brings its own code, or note that it was allowed."""
    brought = [path.name for path in code_files(root)]
    if any(config.get("auto_map") for config in configs):
        brought = brought or ["auto_map in its configuration"]
    if not brought:
        return []
    if not allowed:
        raise SubjectError(
            f"model {root.name!r} brings its own code ({', '.join(brought)}), which would run here; "
            "pass --allow-remote-code if you have read it"
        )
    return [f"the model's own code was allowed to run: {', '.join(brought)}"]


def check_safetensors(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape by tensor name, read from the header alone.

    Raises:
        SubjectError: the file is truncated, longer than its header says, or not safetensors.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(_LENGTH_BYTES)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < _LENGTH_BYTES or length > _MAX_HEADER or _LENGTH_BYTES + length > size:
            raise SubjectError(
                f"{path} is half-written or not safetensors ({size} bytes); copy the model again"
            )
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in tensors.items()}
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):
        raise SubjectError(
            f"{path} has no readable safetensors header; it is half-written or damaged; copy the model again"
        ) from None
    expected = _LENGTH_BYTES + length + end
    if size != expected:
        raise SubjectError(
            f"{path} is half-written: its header promises {expected} bytes, it has {size}; copy it again"
        )
    return shapes


def check_index(index: Path) -> tuple[Path, ...]:
    """The shards an index names, each present and holding the tensors promised of it.

    Raises:
        SubjectError: naming the missing shard, or the shard that lacks a tensor.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise SubjectError(f"{index} has no weight_map; copy the model again")
    shards = tuple(index.parent / name for name in sorted(set(weight_map.values())))
    for shard in shards:
        if shard.parent != index.parent:
            raise SubjectError(f"{index} names the shard {shard.name!r} outside its own directory")
        if not shard.is_file():
            raise SubjectError(f"{shard} is missing, though {index.name} names it; copy the model again")
    if shards[0].suffix == ".safetensors":
        held = {shard.name: check_safetensors(shard) for shard in shards}
        for tensor, name in weight_map.items():
            if tensor not in held[name]:
                raise SubjectError(
                    f"{index.parent / name} lacks the tensor {tensor!r} that {index.name} names"
                )
    return shards
