"""Loading models strictly, one shared model at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmaudit.errors import SubjectError, UsageError
from fmaudit.subjects.files import SubjectFiles
from fmaudit.subjects.quiet import first_line, quiet

Kind = Literal["causal", "masked", "classifier"]
DTYPES: Mapping[str, str] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
}
_HEADS: tuple[tuple[str, Kind], ...] = (
    ("ForCausalLM", "causal"),
    ("LMHeadModel", "causal"),
    ("ForMaskedLM", "masked"),
    ("ForSequenceClassification", "classifier"),
)
AUTO_CLASSES: Mapping[Kind, str] = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "classifier": "AutoModelForSequenceClassification",
}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded.

    ``device``: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:N``.
    ``dtype``: ``auto`` (bfloat16 on CUDA, float32 elsewhere) or one of ``DTYPES``.
    """

    device: str = "auto"
    dtype: str = "auto"
    allow_pickle: bool = False
    allow_remote_code: bool = False

    def resolve_device(self) -> str:
        """The device's name.

        Raises:
            UsageError: there is no such device here.
        """
        import torch

        available = torch.cuda.is_available()
        if self.device == "auto":
            return "cuda" if available else "cpu"
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise UsageError(f"device {self.device!r} is unknown; give auto, cpu or cuda") from None
        if device.type == "cuda" and (not available or (device.index or 0) >= torch.cuda.device_count()):
            raise UsageError(f"device {self.device!r} is not available here; give auto or cpu")
        return self.device

    def resolve_dtype(self) -> str:
        """The canonical name of the compute dtype.

        Raises:
            UsageError: no such dtype.
        """
        if self.dtype == "auto":
            return "bfloat16" if self.resolve_device().startswith("cuda") else "float32"
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype {self.dtype!r} is unknown; give auto, {', '.join(DTYPES)}")
        return DTYPES[self.dtype]


def model_kind(files: SubjectFiles) -> Kind:
    """What the model can be asked, from the architecture in its configuration.

    Raises:
        SubjectError: neither a causal nor a masked language model nor a sequence classifier.
    """
    if files.is_gguf:
        return "causal"
    architectures = [str(name) for name in files.config.get("architectures") or ()]
    for architecture in architectures:
        for ending, kind in _HEADS:
            if architecture.endswith(ending):
                return kind
    found = ", ".join(architectures) or "no architecture in config.json"
    raise SubjectError(
        f"model {files.spec.name!r} is neither a causal nor a masked language model nor a sequence "
        f"classifier (found: {found}); name a model with one of these heads"
    )


def load_model(files: SubjectFiles, options: LoadOptions) -> tuple[Any, list[str]]:
    """Load base weights strictly, in evaluation mode without gradients, and say what is worth noting.

    Raises:
        SubjectError: weights missing, of the wrong shape or unreadable: random weights are never audited.
    """
    import torch
    import transformers

    auto_class = getattr(transformers, AUTO_CLASSES[model_kind(files)])
    arguments: dict[str, Any] = {
        "dtype": getattr(torch, options.resolve_dtype()),
        "local_files_only": True,
        "trust_remote_code": options.allow_remote_code,
        "output_loading_info": True,
    }
    if files.is_gguf:
        arguments["gguf_file"] = files.weights[0].name
    else:
        arguments["use_safetensors"] = not files.is_pickled
    try:
        with quiet():
            model, info = auto_class.from_pretrained(str(files.root), **arguments)
            model = model.to(options.resolve_device())
    except Exception as error:  # the library raises many types for an unreadable model
        if "ignore_mismatched_sizes" in str(error):
            raise SubjectError(_other_shapes(files)) from None
        raise SubjectError(
            f"model {files.spec.name!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); "
            "copy it again, or check that this version of transformers knows it"
        ) from None
    _refuse_incomplete(files, info)
    notes = _notes(files, info, model)
    model.eval()
    model.requires_grad_(False)
    return model, notes


def _other_shapes(files: SubjectFiles) -> str:
    names = files.config.get("id2label")
    labels = (
        f" (its id2label names {len(names)} labels, the last by the index {len(names) - 1})" if names else ""
    )
    return (
        f"model {files.spec.name!r}: its weights do not have the shapes that its config.json asks for"
        f"{labels}; check that config.json belongs to these weights"
    )


def load_tokenizer(files: SubjectFiles, options: LoadOptions) -> Any:
    """Load the subject's fast tokenizer.

    Raises:
        SubjectError: it cannot be read, or reports no character offsets.
    """
    import transformers

    arguments: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": options.allow_remote_code,
    }
    if files.tokenizer_is_gguf:
        arguments["gguf_file"] = files.weights[0].name
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(files.tokenizer_root), **arguments)
    except Exception as error:  # the library raises many types for an unreadable tokenizer
        raise SubjectError(
            f"the tokenizer of {files.spec.name!r} cannot be loaded "
            f"({type(error).__name__}: {first_line(error)}); copy it again"
        ) from None
    if not tokenizer.is_fast:
        raise SubjectError(
            f"the tokenizer of {files.spec.name!r} reports no character offsets; save it as a fast tokenizer"
        )
    return tokenizer


def _refuse_incomplete(files: SubjectFiles, info: Mapping[str, Any]) -> None:
    lacking = sorted(str(key) for key in (info.get("missing_keys") or ()))
    mismatched = sorted(str(key) for key in (info.get("mismatched_keys") or ()))
    if lacking or mismatched:
        first = (lacking + mismatched)[0]
        raise SubjectError(
            f"model {files.spec.name!r} lacks {len(lacking) + len(mismatched)} of its weights "
            f"(first: {first}), which would be random; copy the checkpoint again, "
            "or check that config.json belongs to it"
        )
    if info.get("error_msgs"):
        raise SubjectError(f"model {files.spec.name!r} cannot be loaded: {info['error_msgs'][0]}")


def _notes(files: SubjectFiles, info: Mapping[str, Any], model: Any) -> list[str]:
    notes = []
    unused = sorted(str(key) for key in (info.get("unexpected_keys") or ()))
    if unused:
        notes.append(
            f"{len(unused)} tensors of the checkpoint are not used by the model (first: {unused[0]})"
        )
    if files.is_gguf:
        # The weights are plain tensors now; the leftover quantizer would make PEFT treat them as packed.
        model.hf_quantizer = None
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        notes.append("quantized GGUF weights were expanded to the compute dtype")
    return notes
