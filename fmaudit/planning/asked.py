"""How a model will have to be asked: found out from its architecture with random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fmaudit.engines.asking import ask_traits
from fmaudit.engines.operation import LoadedModel
from fmaudit.engines.positions import position_rows
from fmaudit.engines.traits import GenerationWay, ModelTraits
from fmaudit.planning.outline import Outline, shallow
from fmaudit.subjects import LoadOptions
from fmaudit.subjects.subject import context_length

MOST_PARAMETERS = 1 << 27
"""Of the cut model that is made; of a larger one it is taken that padding changes nothing."""
_LAYERS = 2


def asked_traits(found: Outline, tokenizer: Any, options: LoadOptions) -> tuple[ModelTraits, int]:
    """The traits of an architecture and the tokens it holds.

    Padding, later tokens and caches are handled by code, not by weights: a cut of two
    layers with random weights answers as the whole model would.
    """
    layers = min(_LAYERS, found.layers)
    size = found.parameters - (found.layers - layers) * found.layer_parameters
    length = context_length(found.config, tokenizer)
    if size > MOST_PARAMETERS:
        way = GenerationWay() if found.kind == "causal" else None
        return ModelTraits(generating=way), length
    model = shallow(replace(found, dtype="float32"), layers, "cpu", options)
    length = context_length(found.config, tokenizer, position_rows(model, "cpu"))
    return ask_traits(LoadedModel(model, tokenizer, "cpu", length), found.kind), length
