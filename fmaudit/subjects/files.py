"""Which files a subject consists of, found and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmaudit.errors import SubjectError
from fmaudit.subjects.hub import snapshot
from fmaudit.subjects.safety import (
    check_index,
    check_safetensors,
    read_json,
    refuse_pickles,
    refuse_remote_code,
)
from fmaudit.subjects.spec import SubjectSpec

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "normalizer.json",
    "tekken.json",
)
_TOKENIZER_SUFFICES = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True)
class SubjectFiles:
    """The files of one subject.

    ``config`` and ``adapter_config`` are the parsed JSON files; a GGUF file has no
    ``config``. ``tokenizer_root`` is the adapter's directory where that holds a
    tokenizer of its own. ``revision`` is the commit of a hub model.
    """

    spec: SubjectSpec
    root: Path
    weights: tuple[Path, ...]
    tokenizer_root: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    adapter_root: Path | None = None
    adapter_weights: Path | None = None
    adapter_config: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are one GGUF file, which also holds the tokenizer."""
        return self.spec.source == "gguf"

    @property
    def is_pickled(self) -> bool:
        """Whether the base weights are pickles."""
        return not self.is_gguf and any(path.suffix != ".safetensors" for path in self.weights)

    @property
    def tokenizer_is_gguf(self) -> bool:
        """Whether the tokenizer is read from the GGUF file."""
        return self.is_gguf and self.tokenizer_root == self.root


def locate(spec: SubjectSpec, *, allow_pickle: bool = False, allow_remote_code: bool = False) -> SubjectFiles:
    """Find and check every file of a subject; loads no tensor and runs no code.

    Raises:
        SubjectError: the model is unknown, incomplete, half-written or unsafe; the line names the file.
    """
    notes: list[str] = []
    revision = None
    if spec.source == "gguf":
        root, weights, config = _locate_gguf(Path(spec.location).expanduser())
    else:
        if spec.source == "hub":
            root, revision = snapshot(spec.location, spec.revision, allow_pickle, allow_remote_code)
            notes.append(f"hub revision {revision}")
        else:
            root = Path(spec.location).expanduser().resolve()
        config = _model_config(root)
        weights = _weights(root, allow_pickle)
        notes += refuse_pickles(weights, allow_pickle)
        notes += refuse_remote_code(root, (config, _tokenizer_config(root)), allow_remote_code)
    adapter_root = _adapter_root(spec, allow_pickle)
    adapter_weights: Path | None = None
    adapter_config: dict[str, Any] = {}
    tokenizer_root = root
    if adapter_root is not None:
        adapter_weights, adapter_config = _locate_adapter(adapter_root)
        notes += refuse_pickles((adapter_weights,), allow_pickle)
        if _has_tokenizer(adapter_root):
            tokenizer_root = adapter_root
            notes += refuse_remote_code(adapter_root, (_tokenizer_config(adapter_root),), allow_remote_code)
    if not (spec.source == "gguf" and tokenizer_root == root):
        _check_tokenizer(tokenizer_root)
    return SubjectFiles(
        spec=spec,
        root=root,
        weights=weights,
        tokenizer_root=tokenizer_root,
        config=config,
        adapter_root=adapter_root,
        adapter_weights=adapter_weights,
        adapter_config=adapter_config,
        revision=revision,
        notes=tuple(notes),
    )


def _locate_gguf(path: Path) -> tuple[Path, tuple[Path, ...], dict[str, Any]]:
    if not path.is_file():
        raise SubjectError(f"no model at {str(path)!r}: there is no such file; check the path")
    with path.open("rb") as stream:
        if stream.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
            raise SubjectError(f"{path} is not a GGUF file, whatever its name says; copy it again")
    path = path.resolve()
    return path.parent, (path,), {}


def _model_config(root: Path) -> dict[str, Any]:
    config = root / "config.json"
    adapter = root / "adapter_config.json"
    if config.is_file() and adapter.is_file():
        raise SubjectError(
            f"{root} holds a model and an adapter, so that it is unclear which is meant; "
            "move the adapter to a directory of its own and name it BASE::adapter=DIR"
        )
    if adapter.is_file():
        raise SubjectError(
            f"{root} is an adapter, not a model; name it with its base as BASE::adapter={root}"
        )
    if not config.is_file():
        gguf = sorted(root.glob("*.gguf"))
        if gguf:
            raise SubjectError(f"{root} has no config.json; to audit the GGUF file in it, name {gguf[0]}")
        raise SubjectError(f"{config} is missing; the directory is no complete model")
    return read_json(config)


def _weights(root: Path, allow_pickle: bool) -> tuple[Path, ...]:
    single = root / "model.safetensors"
    if single.is_file():
        check_safetensors(single)
        return (single,)
    index = root / "model.safetensors.index.json"
    if index.is_file():
        return check_index(index)
    pickle_index = root / "pytorch_model.bin.index.json"
    pickle = root / "pytorch_model.bin"
    if allow_pickle and pickle_index.is_file() and not pickle.is_file():
        return check_index(pickle_index)
    pickles = [pickle, *sorted(root.glob("pytorch_model*.bin")), *sorted(root.glob("*.p[tk]*"))]
    found = tuple(path for path in pickles if path.is_file())
    if not found:
        raise SubjectError(f"{single} is missing; the directory holds no weights")
    if allow_pickle and found[0] != pickle:
        raise SubjectError(f"{found[0]} cannot be read as a model; save it as model.safetensors")
    return found[:1]


def _adapter_root(spec: SubjectSpec, allow_pickle: bool) -> Path | None:
    if spec.adapter is None:
        return None
    path = Path(spec.adapter).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists() or spec.adapter.startswith((".", "/", "~")) or spec.adapter.count("/") != 1:
        raise SubjectError(f"no adapter at {spec.adapter!r}: there is no such directory; check the path")
    return snapshot(spec.adapter, None, allow_pickle, False)[0]


def _locate_adapter(root: Path) -> tuple[Path, dict[str, Any]]:
    config = root / "adapter_config.json"
    if not config.is_file():
        raise SubjectError(f"{config} is missing; {root.name!r} is no PEFT adapter")
    weights = root / "adapter_model.safetensors"
    if weights.is_file():
        check_safetensors(weights)
    elif (root / "adapter_model.bin").is_file():
        weights = root / "adapter_model.bin"
    else:
        raise SubjectError(f"{weights} is missing; the adapter {root.name!r} has no weights")
    return weights, read_json(config)


def _has_tokenizer(root: Path) -> bool:
    if any((root / name).is_file() for name in (*_TOKENIZER_SUFFICES, "vocab.txt")):
        return True
    return (root / "vocab.json").is_file() and (root / "merges.txt").is_file()


def _check_tokenizer(root: Path) -> None:
    if not _has_tokenizer(root):
        raise SubjectError(
            f"{root / 'tokenizer.json'} is missing; copy the tokenizer of the model into its directory"
        )
    if (root / "tokenizer.json").is_file():
        read_json(root / "tokenizer.json")


def _tokenizer_config(root: Path) -> dict[str, Any]:
    path = root / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}
