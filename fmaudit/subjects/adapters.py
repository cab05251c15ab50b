"""PEFT adapters on a shared model: which may share it, putting them on, switching them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmaudit.errors import SubjectError
from fmaudit.subjects.files import SubjectFiles
from fmaudit.subjects.quiet import first_line, quiet
from fmaudit.subjects.vocabulary import resized_rows, rewrites_base

_PROMPT_LEARNING = frozenset({"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT"})
# With the embeddings saved, PEFT writes a wrapped module's tensors under the names of its wrapper as well.
_SAVED_TWICE = re.compile(r"\.(modules_to_save|original_module|token_adapter)\.")
_KEEPS_BASE_WEIGHTS = (True, False, None, "gaussian", "orthogonal")


def refuse_prompt_learning(files: SubjectFiles) -> None:
    """Refuse adapters that add virtual tokens: their positions are no tokens of the question."""
    kind = str(files.adapter_config.get("peft_type", "")).upper()
    if kind in _PROMPT_LEARNING:
        raise SubjectError(
            f"adapter {_name(files)!r} is of type {kind}, which adds virtual tokens to every text; "
            "only adapters of the weights can be audited"
        )


def sharing_key(files: SubjectFiles) -> str | None:
    """Adapters with equal keys can share one base model with each other and with the base itself.

    ``None`` where switching the adapter off does not give the base back: it trained
    biases, replicates layers, or rewrites the base weights when it is put on, as one
    does that brings the embedding of a vocabulary of another size.
    """
    config = files.adapter_config
    kind = str(config.get("peft_type", "")).upper()
    restores = (
        kind in {"LORA", "LOHA", "LOKR", "IA3"}
        and config.get("bias") in (None, "none")
        and not config.get("layer_replication")
        and not config.get("target_parameters")
        and not config.get("trainable_token_indices")
        and config.get("init_lora_weights", True) in _KEEPS_BASE_WEIGHTS
        and resized_rows(files) is None
        and not rewrites_base(files)
    )
    return kind if restores else None


def attach(model: Any, adapters: Mapping[str, SubjectFiles], device: str) -> Any:
    """Put every adapter on ``model`` and return the PEFT model around it; none is switched on.

    Raises:
        SubjectError: an adapter does not fit the model; the line names the adapter and the tensor.
    """
    from peft import PeftConfig, get_peft_model

    wrapped: Any = None
    for key, files in adapters.items():
        try:
            with quiet():
                config = PeftConfig.from_pretrained(str(files.adapter_root))
                config.inference_mode = True
                if wrapped is None:
                    wrapped = get_peft_model(model, config, adapter_name=key)
                else:
                    wrapped.add_adapter(key, config)
                result = wrapped.load_adapter(str(files.adapter_root), key, torch_device=device)
        except Exception as error:  # PEFT raises many types for one cause: the adapter is not for this model
            raise _misfit(files, _mismatch(error)) from None
        foreign = [name for name in result.unexpected_keys if not _SAVED_TWICE.search(name)]
        if foreign:
            raise _misfit(files, f"the model has no place for its tensor {foreign[0]!r}")
        if result.missing_keys:
            raise _misfit(files, f"it lacks the tensor {result.missing_keys[0]!r}")
    wrapped.eval()
    wrapped.requires_grad_(False)
    switch(wrapped, None)
    return wrapped


def switch(wrapped: Any, key: str | None) -> None:
    """Switch on one adapter, or with ``None`` switch all off."""
    with quiet():
        if key is None:
            wrapped.base_model.disable_adapter_layers()
            return
        wrapped.base_model.enable_adapter_layers()
        wrapped.set_adapter(key, inference_mode=True)


def _name(files: SubjectFiles) -> str:
    return files.adapter_root.name if files.adapter_root else files.spec.name


def _misfit(files: SubjectFiles, why: str) -> SubjectError:
    return SubjectError(
        f"adapter {_name(files)!r} does not belong to the base {files.root.name!r}: {why}; "
        "name the model that it was trained on"
    )


def _mismatch(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "size mismatch" in line), first_line(error))
