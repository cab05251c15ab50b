"""A model's architecture without its weights: enough to count, to plan batches and to time layers.

Weights are never read. The full architecture is made on torch's ``meta`` device,
which holds no data; timing uses the same architecture cut to a few layers, with
random weights, whose speed is that of any weights.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from fmaudit.errors import SubjectError
from fmaudit.subjects import LoadedSubject, LoadOptions
from fmaudit.subjects.load import AUTO_CLASSES, Kind
from fmaudit.subjects.quiet import first_line, quiet


@dataclass(frozen=True)
class Outline:
    """An architecture.

    Attributes:
        config: The model's configuration.
        kind: What it can be asked.
        dtype: Name of the compute dtype.
        parameters: Parameters of the whole model.
        layer_parameters: Parameters of one layer.
        layers: Number of layers.
        model: The whole model on the meta device.
    """

    config: Any
    kind: Kind
    dtype: str
    parameters: int
    layer_parameters: int
    layers: int
    model: Any

    @property
    def text(self) -> Any:
        """The configuration of the language model."""
        return self.config.get_text_config()


def outline(subject: LoadedSubject, options: LoadOptions) -> Outline:
    """Read a subject's configuration and lay its architecture out.

    Raises:
        SubjectError: the configuration cannot be read, or its architecture is unknown here.
    """
    files = subject.files
    arguments: dict[str, Any] = {"local_files_only": True, "trust_remote_code": options.allow_remote_code}
    if files.is_gguf:
        arguments["gguf_file"] = files.weights[0].name
    try:
        import transformers

        with quiet():
            config = transformers.AutoConfig.from_pretrained(str(files.root), **arguments)
        # A quantized checkpoint is timed as its plain architecture.
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = _made(config, subject.kind, subject.dtype, options, "meta")
        layers = int(config.get_text_config().num_hidden_layers)
        whole = _parameters(model)
        rest = (
            _parameters(_made(cut(config, layers - 1), subject.kind, subject.dtype, options, "meta"))
            if layers > 1
            else 0
        )
    except Exception as error:  # the library raises many types for an unreadable configuration
        raise SubjectError(
            f"the architecture of {subject.name!r} cannot be laid out "
            f"({type(error).__name__}: {first_line(error)}); check its config.json"
        ) from None
    return Outline(config, subject.kind, subject.dtype, whole, whole - rest, layers, model)


def shallow(found: Outline, layers: int, device: str, options: LoadOptions) -> Any:
    """The architecture with so many layers and random weights, ready to be asked."""
    model = _made(cut(found.config, layers), found.kind, found.dtype, options, device)
    model.eval()
    model.requires_grad_(False)
    return model


def cut(config: Any, layers: int) -> Any:
    """A copy of a configuration with so many layers."""
    shorter = copy.deepcopy(config)
    text = shorter.get_text_config()
    kinds = getattr(text, "layer_types", None)
    text.num_hidden_layers = layers
    if kinds:
        text.layer_types = list(kinds)[:layers]
    return shorter


def _parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _made(config: Any, kind: Kind, dtype: str, options: LoadOptions, device: str) -> Any:
    import torch
    import transformers

    auto = getattr(transformers, AUTO_CLASSES[kind])
    with quiet(), torch.device(device):
        return auto.from_config(
            config, dtype=getattr(torch, dtype), trust_remote_code=options.allow_remote_code
        )
