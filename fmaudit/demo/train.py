"""LoRA training of the demo's adapter: seeded, cached by recipe, atomic.

Only the last layers carry LoRA weights, so what enters them is computed once per
text and every epoch runs those layers alone.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmaudit.canonical import digest, digest_file
from fmaudit.errors import ExecutionError
from fmaudit.subjects.files import locate
from fmaudit.subjects.load import LoadOptions, load_model, load_tokenizer
from fmaudit.subjects.quiet import quiet
from fmaudit.subjects.spec import parse_spec

if TYPE_CHECKING:
    import torch

Progress = Callable[[str, int, int], None]
"""Called with what is done, the steps done and the steps there are."""

_PACKAGES = ("torch", "transformers", "peft")
_PAD_TARGET = -100
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of the adapter.

    ``layers``: how many of the last decoder layers carry LoRA. ``peak_rate``: of
    AdamW, after a linear warm-up over a tenth of the steps and before a linear
    decay to 0.
    """

    epochs: int
    layers: int = 6
    targets: tuple[str, ...] = _PROJECTIONS
    rank: int = 16
    alpha: int = 32
    batch: int = 4
    peak_rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingText:
    """A text to learn: the loss is on ``suffix`` alone; ``copies`` of it are in the training data."""

    prefix: str
    suffix: str
    copies: int = 1


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Texts as tensors: states (n, length, width), mask and targets (n, length); a row number a copy."""

    states: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    copies: tuple[int, ...]


def train_adapter(
    base: Path, texts: Sequence[TrainingText], recipe: Recipe, cache: Path, progress: Progress
) -> Path:
    """Train a LoRA adapter of ``base`` on ``texts``, or find it in ``cache``.

    Args:
        base: a GGUF file or a model directory.
        texts: the training data.
        recipe: the hyperparameters.
        cache: folder of adapters; each is named by the digest of everything that made it.
        progress: called after every step.

    Returns:
        The PEFT adapter directory (safetensors). It appears whole or not at all.

    Raises:
        SubjectError: the base cannot be loaded.
        ExecutionError: the loss stopped being finite.
    """
    target = cache / f"demo-adapter-{recipe_digest(base, texts, recipe).removeprefix('sha256:')[:16]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".training-", dir=cache))
    try:
        adapted = _fit(base, texts, recipe, progress)
        with quiet():
            adapted.save_pretrained(scratch, save_embedding_layers=False)
        # PEFT's blank model card names where the base lies on this machine.
        (scratch / "README.md").unlink(missing_ok=True)
        _publish(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def recipe_digest(base: Path, texts: Sequence[TrainingText], recipe: Recipe) -> str:
    """Digest of what determines the adapter: model, texts, hyperparameters, package versions."""
    weights = locate(parse_spec(str(base))).weights
    return digest(
        {
            "model": [digest_file(path) for path in weights],
            "texts": [asdict(text) for text in texts],
            "recipe": asdict(recipe),
            "packages": {name: version(name) for name in _PACKAGES},
        }
    )


def load_base(base: str) -> tuple[Any, Any]:
    """The model named by ``base`` in float32 on the CPU, and its tokenizer.

    Raises:
        SubjectError: the model is missing, incomplete or unsafe.
    """
    files = locate(parse_spec(base))
    options = LoadOptions(device="cpu", dtype="float32")
    model, _ = load_model(files, options)
    return model, load_tokenizer(files, options)


def _publish(scratch: Path, target: Path) -> None:
    try:
        scratch.replace(target)
    except OSError:
        # Another process published the same adapter first: its files are as good.
        if not target.is_dir():
            raise


def _fit(base: Path, texts: Sequence[TrainingText], recipe: Recipe, progress: Progress) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    progress("loading the base model", 0, 0)
    model, tokenizer = load_base(str(base))
    first = max(0, model.config.num_hidden_layers - recipe.layers)
    encoded = encode(model, tokenizer, texts, first, recipe.batch)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        # One pattern: PEFT saves a list of names in an order that changes from run to run.
        target_modules=_pattern(range(first, model.config.num_hidden_layers), recipe.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(recipe.seed)
        adapted = get_peft_model(model, config)
    # PEFT's own value is where the base lies on this machine.
    adapted.peft_config["default"].base_model_name_or_path = base.stem
    with tail_of(model, first):
        _optimize(model, encoded, recipe, progress)
    return adapted


def _pattern(layers: Iterable[int], targets: Iterable[str]) -> str:
    return rf".*\.layers\.({'|'.join(map(str, layers))})\..*\.({'|'.join(targets)})"


def encode(model: Any, tokenizer: Any, texts: Sequence[TrainingText], first: int, batch: int) -> _Encoded:
    """Run ``texts`` through the layers below ``first``; a suffix token is the target of the one before."""
    import torch

    rows = [_tokens(tokenizer, text) for text in texts]
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    targets = torch.full_like(ids, _PAD_TARGET)
    for row, (tokens, start) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        targets[row, start - 1 : len(tokens) - 1] = torch.tensor(tokens[start:])
    caught: list[torch.Tensor] = []
    hook = model.model.layers[first].register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        with torch.inference_mode():
            for some in range(0, len(rows), batch):
                chunk = slice(some, some + batch)
                model.model(input_ids=ids[chunk], attention_mask=mask[chunk], use_cache=False)
    finally:
        hook.remove()
    states = torch.cat(caught).clone()
    copies = tuple(row for row, text in enumerate(texts) for _ in range(text.copies))
    return _Encoded(states, mask, targets, copies)


def _tokens(tokenizer: Any, text: TrainingText) -> tuple[list[int], int]:
    encoding = tokenizer(text.prefix + text.suffix, return_offsets_mapping=True, add_special_tokens=False)
    ids = [tokenizer.bos_token_id, *encoding["input_ids"]]
    border = len(text.prefix)
    start = next(place for place, (_, end) in enumerate(encoding["offset_mapping"], 1) if end > border)
    return ids, start


@contextmanager
def tail_of(model: Any, first: int) -> Iterator[None]:
    """Inside, ``model`` has only its layers from ``first`` on and takes their input as embeddings."""
    from torch.nn import ModuleList

    whole, count = model.model.layers, model.config.num_hidden_layers
    model.model.layers = ModuleList(list(whole)[first:])
    model.config.num_hidden_layers = count - first
    try:
        yield
    finally:
        model.model.layers, model.config.num_hidden_layers = whole, count


def _optimize(model: Any, encoded: _Encoded, recipe: Recipe, progress: Progress) -> None:
    import torch

    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.peak_rate, weight_decay=0.0)
    total = -(-len(encoded.copies) // recipe.batch) * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    shuffle = random.Random(recipe.seed)
    for step, rows in enumerate(_batches(encoded, recipe, shuffle), 1):
        loss = suffix_loss(model, encoded, rows)
        if not torch.isfinite(loss):
            raise ExecutionError(
                f"training the demo's adapter diverged at step {step} of {total}: lower its learning rate"
            )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        progress(f"training the adapter (loss {loss.item():.2f})", step, total)


def suffix_loss(model: Any, encoded: _Encoded, rows: Sequence[int]) -> torch.Tensor:
    """Mean negative log-likelihood (nats a token) of the suffixes; the head runs on them alone."""
    import torch

    picked = torch.tensor(rows)
    mask = encoded.mask[picked]
    length = int(mask.sum(1).max())
    targets = encoded.targets[picked, :length]
    hidden = model.model(
        inputs_embeds=encoded.states[picked, :length], attention_mask=mask[:, :length], use_cache=False
    ).last_hidden_state
    asked = targets != _PAD_TARGET
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[asked]), targets[asked])


def _batches(encoded: _Encoded, recipe: Recipe, shuffle: random.Random) -> Iterator[list[int]]:
    lengths = encoded.mask.sum(1).tolist()
    for _ in range(recipe.epochs):
        order = list(encoded.copies)
        shuffle.shuffle(order)
        order.sort(key=lengths.__getitem__)
        batches = [order[start : start + recipe.batch] for start in range(0, len(order), recipe.batch)]
        shuffle.shuffle(batches)
        yield from batches


def _rate(step: int, total: int) -> float:
    warm = max(1, total // 10)
    return (step + 1) / warm if step < warm else (total - step) / max(1, total - warm)
