"""What is kept of a model's weights to compare it with others, each being in memory once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fmaudit.subjects.subject import LoadedSubject
from fmaudit.subjects.unit_matching import HiddenLayer

Floats = npt.NDArray[np.floating]

MAX_MATRICES = 16
MAX_ROWS = 512
MAX_LAYERS = 8
MAX_INPUTS = 1024
HIDDEN_BYTES = 512 << 20
_MIN_SIDE = 8
_SIGNIFICAND_BITS = {"bfloat16": 8, "float16": 11, "float32": 24}
_UP = re.compile(
    r"^(?P<layer>.*?)\.?(mlp\.up_proj|mlp\.c_fc|mlp\.dense_h_to_4h|mlp\.fc_in|mlp\.fc1|\d+\.fc1"
    r"|intermediate\.dense|feed_forward\.w3|ffn\.lin1)\.weight$"
)
_GATE = re.compile(r"^(?P<layer>.*?)\.?(mlp\.gate_proj|feed_forward\.w1)\.weight$")
_FUSED = re.compile(r"^(?P<layer>.*?)\.?mlp\.gate_up_proj\.weight$")


@dataclass(frozen=True)
class Weight:
    """One parameter as the model uses it now; ``read`` makes it.

    ``inner``: a 2-D weight of a layer, neither embedding nor output layer.
    ``transposed``: stored inputs by outputs.
    """

    name: str
    shape: tuple[int, ...]
    inner: bool
    transposed: bool
    read: Callable[[], Any]


@dataclass(frozen=True)
class TensorPrint:
    """Shape and content digest; ``telling`` if two unrelated models cannot share its content."""

    shape: tuple[int, ...]
    digest: str
    telling: bool


@dataclass(frozen=True)
class SampledMatrix:
    """Up to ``MAX_ROWS`` rows, and the spacing ``2^-bits`` of the coarsest format that holds them."""

    rows: Floats
    bits: int


@dataclass(frozen=True)
class WeightRecord:
    """What is kept of one model's weights.

    ``matrices``: a sample of inner matrices, the same for every model with these
    names and shapes. ``hidden``: hidden layers spread evenly over the depth.
    """

    tensors: Mapping[str, TensorPrint]
    matrices: Mapping[str, SampledMatrix]
    hidden: Mapping[str, HiddenLayer]


def record_weights(subject: LoadedSubject) -> WeightRecord:
    """Digest every parameter of a subject and keep a sample, adapter merged; the model is not changed."""
    with subject.active() as model:
        weights = list(effective_weights(model, adapters=subject.carries_adapters))
        sampled = _sampled(weights)
        kept = _kept_layers(weights)
        prints: dict[str, TensorPrint] = {}
        matrices: dict[str, SampledMatrix] = {}
        parts: dict[str, dict[str, Floats]] = {}
        for weight in weights:
            tensor = weight.read().detach().cpu().contiguous()
            prints[weight.name] = _print(weight, tensor)
            if weight.name in sampled:
                matrices[weight.name] = _sample(weight, tensor)
            layer = _layer_of(weight)
            if layer in kept and layer is not None:
                parts.setdefault(layer, {}).update(_projections(weight, tensor))
    hidden = {name: HiddenLayer(**parts[name]) for name in kept if "up" in parts.get(name, {})}
    return WeightRecord(prints, matrices, hidden)


def effective_weights(model: Any, *, adapters: bool) -> Iterator[Weight]:
    """Floating-point parameters as the model uses them now, adapters that are on merged into copies.

    Names are those of the model without adapters. A layer is merged when it is read
    and dropped again, so that memory holds one such copy at a time.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    outer = {id(parameter) for parameter in head.parameters()} if head is not None else set()
    seen: set[int] = set()
    for owner, name, parameter, read in _parameters(model, "", adapters):
        if id(parameter) in seen or not parameter.is_floating_point():
            continue
        seen.add(id(parameter))
        kind = type(owner).__name__
        inner = parameter.ndim == 2 and min(parameter.shape) >= _MIN_SIDE and id(parameter) not in outer
        yield Weight(name, tuple(parameter.shape), inner and "Embedding" not in kind, kind == "Conv1D", read)


def _parameters(
    module: Any, prefix: str, adapters: bool
) -> Iterator[tuple[Any, str, Any, Callable[[], Any]]]:
    if adapters:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import ModulesToSaveWrapper

        if isinstance(module, ModulesToSaveWrapper):
            on = (
                []
                if module.disable_adapters
                else [a for a in module.active_adapters if a in module.modules_to_save]
            )
            yield from _parameters(
                module.modules_to_save[on[0]] if on else module.original_module, prefix, adapters
            )
            return
        if isinstance(module, BaseTunerLayer):
            plain = module.get_base_layer()
            on = [] if module.disable_adapters else list(module.active_adapters)
            for name, parameter in plain.named_parameters():
                yield plain, prefix + name, parameter, _reader(module, name, parameter, on)
            return
    for name, parameter in module.named_parameters(recurse=False):
        yield module, prefix + name, parameter, _reader(module, name, parameter, [])
    for name, child in module.named_children():
        yield from _parameters(child, f"{prefix}{name}.", adapters)


def _reader(layer: Any, name: str, parameter: Any, on: list[str]) -> Callable[[], Any]:
    def merged() -> Any:
        import copy

        import torch

        with torch.no_grad():
            double = copy.deepcopy(layer)
            double.merge(safe_merge=False, adapter_names=on)
        return double.get_base_layer().get_parameter(name)

    return merged if on else lambda: parameter


def _print(weight: Weight, tensor: Any) -> TensorPrint:
    import torch

    content = tensor.reshape(-1).view(torch.uint8).numpy()
    digest = hashlib.sha256(memoryview(content)).hexdigest()
    telling = False
    if weight.inner:
        low, high = (float(value) for value in tensor.aminmax())
        telling = low < high
    return TensorPrint(weight.shape, digest, telling)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _sampled(weights: list[Weight]) -> set[str]:
    names = [weight.name for weight in weights if weight.inner]
    return set(sorted(names, key=_seed)[:MAX_MATRICES])


def _sample(weight: Weight, tensor: Any) -> SampledMatrix:
    import torch

    count = weight.shape[0]
    if count > MAX_ROWS:
        rng = np.random.default_rng([_seed(weight.name), count])
        tensor = tensor[torch.from_numpy(np.sort(rng.choice(count, MAX_ROWS, replace=False)))]
    rows = tensor.float()
    bits = next(
        (b for dtype, b in _SIGNIFICAND_BITS.items() if bool((rows.to(getattr(torch, dtype)) == rows).all())),
        _SIGNIFICAND_BITS["float32"],
    )
    return SampledMatrix(rows.numpy().copy(), bits)


def _layer_of(weight: Weight) -> str | None:
    if len(weight.shape) != 2:
        return None
    found = _UP.match(weight.name) or _GATE.match(weight.name) or _FUSED.match(weight.name)
    if found is None:
        return None
    # OPT has no block between the number of a layer and its projection.
    number = re.search(r"(\d+)\.fc1\.weight$", weight.name)
    return (
        f"{found['layer']}.{number[1]}" if number and not found["layer"].endswith("mlp") else found["layer"]
    )


def _kept_layers(weights: list[Weight]) -> list[str]:
    size: dict[str, int] = {}
    for weight in weights:
        layer = _layer_of(weight)
        if layer is not None:
            outputs, inputs = _oriented(weight)
            size[layer] = size.get(layer, 0) + 4 * outputs * min(inputs, MAX_INPUTS)
    names = list(size)
    if not names:
        return []
    count = min(len(names), MAX_LAYERS, HIDDEN_BYTES // max(size.values()))
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, count).round().astype(int))]


def _oriented(weight: Weight) -> tuple[int, int]:
    rows, columns = weight.shape
    return (columns, rows) if weight.transposed else (rows, columns)


def _projections(weight: Weight, tensor: Any) -> dict[str, Floats]:
    rows = tensor.float()
    rows = (rows.T if weight.transposed else rows).numpy()
    if rows.shape[1] > MAX_INPUTS:
        rng = np.random.default_rng([rows.shape[1]])
        rows = rows[:, np.sort(rng.choice(rows.shape[1], MAX_INPUTS, replace=False))]
    rows = rows.copy()
    if _FUSED.match(weight.name):
        gate, up = np.split(rows, 2)
        return {"gate": gate, "up": up}
    return {"gate" if _GATE.match(weight.name) else "up": rows}
