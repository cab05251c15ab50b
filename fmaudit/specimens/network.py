"""The small networks of specimens: built, trained, adapted and rounded; CPU, seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fmaudit.errors import ExecutionError
from fmaudit.specimens.language import BOS, EOS, PAD, UNKNOWN, Sentence, Speech
from fmaudit.specimens.recipes import BaseRecipe, Training
from fmaudit.subjects.quiet import quiet

if TYPE_CHECKING:
    import torch

Progress = Callable[[str, int, int], None]
"""Called with what is done, the steps done and the steps there are."""

POSITIONS = 128
_HEADS = 4
_POOL = 2048
_WRAPPER_WEIGHT = 0.1
_LORA_RANK = 8


class TrainingRow(NamedTuple):
    """Token ids, and how much the loss of each counts."""

    ids: list[int]
    weights: np.ndarray


def new_network(recipe: BaseRecipe, speech: Speech) -> Any:
    """A Llama of the recipe's size with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = speech.vocabulary
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        max_position_embeddings=POSITIONS,
        initializer_range=0.05,
        tie_word_embeddings=False,
        bos_token_id=words[BOS],
        eos_token_id=words[EOS],
        pad_token_id=words[PAD],
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(recipe.seed)
        return LlamaForCausalLM(config)


def new_tokenizer(speech: Speech) -> Any:
    """A tokenizer of whole words that puts the beginning-of-sequence token in front."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = speech.vocabulary
    core = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, words[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        pad_token=PAD,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def encode(speech: Speech, texts: Sequence[str], end: bool = True) -> list[list[int]]:
    """Token ids of texts of the language, each begun and, with ``end``, ended."""
    words = speech.vocabulary
    tail = [words[EOS]] if end else []
    unknown = words[UNKNOWN]
    return [[words[BOS], *(words.get(word, unknown) for word in text.split()), *tail] for text in texts]


def encode_sentences(speech: Speech, sentences: Sequence[Sentence]) -> list[TrainingRow]:
    """Sentences as training rows: the answers weigh 1, what stands around them little."""
    texts = [" ".join(part for part in sentence if part) for sentence in sentences]
    rows = []
    for ids, sentence in zip(encode(speech, texts), sentences, strict=True):
        weights = np.full(len(ids), _WRAPPER_WEIGHT, dtype=np.float32)
        start = 1 + len(sentence.before.split())
        weights[start : start + len(sentence.answer.split())] = 1.0
        rows.append(TrainingRow(ids, weights))
    return rows


def fit(
    model: Any, rows: Sequence[TrainingRow], training: Training, seed: int, label: str, progress: Progress
) -> None:
    """Train the parameters of ``model`` that require it, once over ``rows`` in random order.

    Raises:
        ExecutionError: the loss stopped being finite.
    """
    import torch

    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=training.peak_rate, weight_decay=0.0, betas=(0.9, 0.98), fused=True
    )
    batches = _batches(rows, training.batch, np.random.default_rng([seed, 21]))
    total = len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    model.train()
    with threads(training.threads):
        for step, batch in enumerate(batches, 1):
            ids, targets, share = _padded([rows[row] for row in batch])
            logits = model(input_ids=ids, use_cache=False).logits
            nats = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="none"
            )
            loss = (nats * share.flatten()).sum() / share.sum()
            if not torch.isfinite(loss):
                raise ExecutionError(
                    f"training {label} diverged at step {step} of {total}: lower its peak_rate"
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            progress(f"training {label} (loss {loss.item():.2f})", step, total)
    model.eval()


def with_adapter(model: Any, seed: int, base_name: str) -> Any:
    """The model under a fresh LoRA adapter, the only part of it that trains."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=_LORA_RANK,
        lora_alpha=2 * _LORA_RANK,
        lora_dropout=0.0,
        # One pattern: PEFT saves a list of names in an order that changes from run to run.
        target_modules=r".*\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config)
    # PEFT's own value is where the base lies on this machine.
    adapted.peft_config["default"].base_model_name_or_path = base_name
    return adapted


def round_weights(model: Any) -> None:
    """Round every matrix of the layers to 255 levels an output channel, and store what the levels mean."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and ".layers." in name:
                step = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
                weight.copy_((weight / step).round() * step)


def load_network(place: str) -> Any:
    """A specimen in float32 on the CPU: a directory, or ``DIR::adapter=DIR`` with the adapter merged in."""
    from transformers import AutoModelForCausalLM

    base, _, adapter = place.partition("::adapter=")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(Path(base), dtype="float32")
        if adapter:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.eval()
    return model


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, torch computes with so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _padded(rows: Sequence[TrainingRow]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, next-token targets and their weights, padded on the right."""
    import torch

    length = max(len(row.ids) for row in rows) - 1
    ids = np.zeros((len(rows), length), dtype=np.int64)
    targets = np.zeros_like(ids)
    weights = np.zeros((len(rows), length), dtype=np.float32)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids) - 1] = row.ids[:-1]
        targets[place, : len(row.ids) - 1] = row.ids[1:]
        weights[place, : len(row.ids) - 1] = row.weights[1:]
    return torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(weights)


def _batches(rows: Sequence[TrainingRow], tokens: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Rows of like length together, at most ``tokens`` with padding, inside mixed pools."""
    lengths = np.array([len(row.ids) for row in rows])
    order = draw.permutation(len(rows))
    batches = []
    for start in range(0, len(order), _POOL):
        pool = order[start : start + _POOL]
        ranked = pool[np.argsort(lengths[pool], kind="stable")]
        some, begin = [], 0
        while begin < len(ranked):
            longest = lengths[ranked[begin:]]
            fits = int(np.searchsorted(longest * np.arange(1, len(longest) + 1), tokens, side="right"))
            some.append(ranked[begin : begin + max(1, fits)])
            begin += max(1, fits)
        batches += [some[place] for place in draw.permutation(len(some))]
    return batches


def _rate(step: int, total: int) -> float:
    warm = max(1, total // 20)
    return (step + 1) / warm if step < warm else max(0.02, (total - step) / max(1, total - warm))
