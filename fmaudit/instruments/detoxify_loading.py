"""Strict loading of classifier weights: no pickled code, no missing key, an explicit label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest, digest_file
from fmaudit.errors import SubjectError, UsageError
from fmaudit.subjects.labels import label_fault
from fmaudit.subjects.safety import read_json

# Jigsaw's first challenge named these labels otherwise than its second.
STANDARD_NAMES = {"toxic": "toxicity", "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
)


@dataclass(frozen=True)
class Loaded:
    """A classifier ready to score: ``column`` is the logit of ``label``; ``longest`` its tokens at most."""

    name: str
    model: Any
    tokenizer: Any
    label: str
    column: int
    sigmoid: bool
    longest: int
    digest: str


def load_checkpoint(path: Path, label: str, device: str) -> Loaded:
    """Load a Detoxify checkpoint: a dict of ``config`` and ``state_dict``.

    Its ``model_type`` must name a local directory with the model's configuration
    and tokenizer, absolute or beside the checkpoint.

    Raises:
        SubjectError: pickled code, another layout, no such directory, or keys that do not match.
        UsageError: unknown label.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    content = _read_checkpoint(path)
    try:
        classes = list(content["config"]["dataset"]["args"]["classes"])
        architecture = content["config"]["arch"]["args"]
        folder = _beside(path, str(architecture["model_type"]))
        outputs = int(architecture["num_classes"])
        state: Mapping[str, torch.Tensor] = content["state_dict"]
    except (KeyError, TypeError, ValueError):
        raise SubjectError(
            f"instrument detoxify: {path.name} is no Detoxify checkpoint: it needs config (classes, "
            "model_type, num_classes) and state_dict"
        ) from None
    config = AutoConfig.from_pretrained(folder, local_files_only=True, num_labels=outputs)
    model = AutoModelForSequenceClassification.from_config(config)
    weights = {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise SubjectError(
            f"instrument detoxify: {path.name} does not fit {folder.name}: {_first_mismatch(error)}"
        ) from None
    column, standard = _column(classes, label, path.name)
    files = {"checkpoint": digest_file(path), **_digests(folder, ("config.json", *_TOKENIZER_FILES))}
    return _ready(path.name, model.to(device).eval(), folder, standard, column, True, files)


def load_directory(path: Path, label: str, device: str) -> Loaded:
    """Load a sequence-classification directory with safetensors weights.

    Several labels of one text (``multi_label_classification``), and a single one,
    are read by the sigmoid; exclusive ones by the softmax.

    Raises:
        SubjectError: no safetensors, or weights that do not fit the configuration.
        UsageError: unknown label.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    weights = sorted(file.name for file in path.glob("*.safetensors"))
    if not weights or not (path / "config.json").is_file():
        raise SubjectError(
            f"instrument detoxify: {path.name} needs config.json and safetensors weights; pickled weights "
            "are refused"
        )
    if fault := label_fault(read_json(path / "config.json")):
        raise SubjectError(f"instrument detoxify: {path.name}: {fault}")
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise SubjectError(
            f"instrument detoxify: {path.name} cannot be loaded: {str(error).splitlines()[0]}"
        ) from None
    wrong = [
        str(key)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        for key in sorted(report.get(kind) or (), key=str)
        if not str(key).endswith("position_ids")
    ]
    if wrong:
        raise SubjectError(
            f"instrument detoxify: weights of {path.name} do not match its configuration, first at {wrong[0]}"
        )
    classes = [str(config.id2label[index]) for index in range(config.num_labels)]
    column, standard = _column(classes, label, path.name)
    sigmoid = config.problem_type == "multi_label_classification" or config.num_labels == 1
    files = _digests(path, ("config.json", *weights, *_TOKENIZER_FILES))
    return _ready(path.name, model.to(device).eval(), path, standard, column, sigmoid, files)


def _read_checkpoint(path: Path) -> Any:
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise SubjectError(
            f"instrument detoxify: {path.name} holds pickled code or is damaged; only plain tensors and "
            "dictionaries are read"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        raise SubjectError(
            f"instrument detoxify: {path.name} cannot be read: {str(error).splitlines()[0]}"
        ) from None


def _beside(checkpoint: Path, model_type: str) -> Path:
    for folder in (checkpoint.parent / model_type, Path(model_type)):
        if (folder / "config.json").is_file():
            return folder
    raise SubjectError(
        f"instrument detoxify: {checkpoint.name} names the model {model_type!r}; put a directory of that "
        "name with its config.json and tokenizer beside the checkpoint"
    )


def _column(classes: Sequence[str], label: str, name: str) -> tuple[int, str]:
    standard = [STANDARD_NAMES.get(item.lower(), item.lower()) for item in classes]
    wanted = STANDARD_NAMES.get(label.lower(), label.lower())
    if wanted not in standard:
        raise UsageError(
            f"instrument detoxify: {name} has no label {label!r}; it has: {', '.join(standard)}; choose one "
            "with PATH#LABEL"
        )
    return standard.index(wanted), wanted


def _ready(
    name: str, model: Any, folder: Path, label: str, column: int, sigmoid: bool, files: Mapping[str, str]
) -> Loaded:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SubjectError(
            f"instrument detoxify: {folder.name} has no tokenizer: {str(error).splitlines()[0]}"
        ) from None
    if not tokenizer.is_fast:
        raise SubjectError(
            f"instrument detoxify: {folder.name} has no tokenizer.json: save its fast tokenizer there"
        )
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    if column >= model.config.num_labels:
        raise SubjectError(
            f"instrument detoxify: {name} has {model.config.num_labels} outputs and names label {column + 1}"
        )
    # RoBERTa numbers its positions from the padding index on, so two of them are not usable.
    longest = positions - 2 if "roberta" in model.config.model_type else positions
    return Loaded(name, model, tokenizer, label, column, sigmoid, longest, digest(dict(files)))


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: digest_file(folder / name) for name in names if (folder / name).is_file()}


def _first_mismatch(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return json.dumps(lines[0])[1:-1][:200] if lines else "its keys do not match"
