"""Adapters trained on a vocabulary of another size than their base's: what they saved, and making room."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmaudit.errors import SubjectError
from fmaudit.subjects.files import SubjectFiles
from fmaudit.subjects.safety import check_safetensors

_PREFIX = "base_model.model."
_WRAPPED = re.compile(r"\.(modules_to_save|original_module|token_adapter\.base_layer)(?=\.)")
_EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|embed_in|embed_out|word_embeddings|tok_embeddings|wte|lm_head)\.weight$"
)


def resized_rows(files: SubjectFiles) -> int | None:
    """Rows of the embedding that an adapter brings along, where the base's has another number; else None.

    Read from the headers alone. Only tensors saved whole count: PEFT saves the
    embeddings of a model whose vocabulary was resized in training.
    """
    base = _base_shapes(files)
    for name, shape in _whole_tensors(files).items():
        if not _EMBEDDING.search(name) or len(shape) != 2:
            continue
        rows = base[name][0] if base.get(name) else files.config.get("vocab_size")
        if rows is not None and shape[0] != rows:
            return int(shape[0])
    return None


def rewrites_base(files: SubjectFiles) -> bool:
    """Whether putting the adapter on writes over weights of the base, which switching it off leaves there."""
    saved, base = set(files.adapter_config.get("modules_to_save") or ()), _base_shapes(files)
    return any(
        name in base and not any(f".{module}." in f".{name}" for module in saved)
        for name in _whole_tensors(files)
    )


def make_room(model: Any, rows: int) -> None:
    """Give the embeddings of a model ``rows`` rows; new ones are zero until the adapter fills them."""
    import torch

    before = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight[before:] = 0
    model.requires_grad_(False)


def check_vocabulary(model: Any, tokenizer: Any, kind: str, files: SubjectFiles) -> None:
    """Check that every token has a row in the embedding.

    Raises:
        SubjectError: the tokenizer is of another model, an adapter added tokens and did not save
            their embedding, or a masked model's tokenizer lacks the mask token.
    """
    name = files.spec.name
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows and files.adapter_root is not None and files.tokenizer_root == files.adapter_root:
        raise SubjectError(
            f"adapter {files.adapter_root.name!r} was trained with added tokens (ids up to {highest}), and "
            f"neither it nor its base, whose embedding has {rows} rows, holds their embedding; merge it "
            "where it was trained (merge_and_unload) and name the merged model, or save it there with "
            "save_embedding_layers=True"
        )
    if highest >= rows:
        raise SubjectError(
            f"the tokenizer of {name!r} has token ids up to {highest}, but its embedding has {rows} rows; "
            "name the model with the tokenizer it was trained with"
        )
    if kind == "masked" and tokenizer.mask_token_id is None:
        raise SubjectError(
            f"the tokenizer of the masked model {name!r} has no mask token; copy the model's own tokenizer"
        )


def _whole_tensors(files: SubjectFiles) -> dict[str, tuple[int, ...]]:
    """Tensors of an adapter by the name of the base's tensor that they stand for, low-rank ones left out."""
    path = files.adapter_weights
    if path is None or path.suffix != ".safetensors":
        return {}
    return {
        _WRAPPED.sub("", name.removeprefix(_PREFIX)): shape
        for name, shape in check_safetensors(path).items()
        if name.startswith(_PREFIX)
        and name.endswith((".weight", ".bias"))
        and not re.search(r"\.(lora|hada|lokr|ia3)_", name)
    }


def _base_shapes(files: SubjectFiles) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files.weights:
        if path.suffix == ".safetensors":
            shapes.update(check_safetensors(path))
    return shapes
