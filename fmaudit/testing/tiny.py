"""Tiny random models, built on the spot in milliseconds: what tests of engines and loaders audit.

Each builder writes a complete local model directory (config, safetensors, fast
tokenizer) and returns its path. Weights depend on the seed alone. The weights
are spread wider than a fresh model's, so that no distribution is near uniform.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

CORPUS = (
    "The garden behind the old school was quiet in the morning.",
    "A nurse and an engineer walked to the station with their children.",
    "She reads the newspaper while he makes tea for the guests.",
    "Numbers such as 0 1 2 3 4 5 6 7 8 9 are written on the blue door.",
    "Why would they sell a house that has been in the family for years?",
    "People who work at night often sleep during the day, said the doctor.",
)
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
_SPREAD = 0.2


def tiny_causal(
    path: Path | str,
    seed: int = 0,
    *,
    architecture: Literal["llama", "gpt2"] = "llama",
    vocab_size: int = 384,
    context_length: int = 128,
    width: int = 32,
    **config: Any,
) -> Path:
    """Write a two-layer causal language model with a byte-level BPE tokenizer.

    ``bos`` is ``<s>``, ``eos`` is ``</s>``, ``pad`` is ``<pad>``; the tokenizer adds none of them by itself.
    ``config`` overrides fields of the model's configuration.
    """
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level_tokenizer(vocab_size)
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "initializer_range": _SPREAD,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if architecture == "llama":
        llama = {
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": context_length,
        }
        return _save(path, seed, LlamaForCausalLM, LlamaConfig(**shared | llama | config), tokenizer)
    gpt2 = {"n_embd": width, "n_layer": 2, "n_head": 4, "n_positions": context_length}
    return _save(path, seed, GPT2LMHeadModel, GPT2Config(**shared | gpt2 | config), tokenizer)


def tiny_masked(path: Path | str, seed: int = 0, *, context_length: int = 128, **config: Any) -> Path:
    """Write a two-layer BERT with a masked-language-modelling head and a WordPiece tokenizer."""
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = wordpiece_tokenizer()
    fields = _bert_fields(len(tokenizer), context_length) | {"pad_token_id": tokenizer.pad_token_id}
    return _save(path, seed, BertForMaskedLM, BertConfig(**fields | config), tokenizer)


def tiny_classifier(
    path: Path | str,
    labels: Sequence[str] = ("no", "yes"),
    seed: int = 0,
    *,
    context_length: int = 128,
    **config: Any,
) -> Path:
    """Write a two-layer BERT sequence classifier over ``labels``."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = wordpiece_tokenizer()
    fields = _bert_fields(len(tokenizer), context_length) | {
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return _save(path, seed, BertForSequenceClassification, BertConfig(**fields | config), tokenizer)


def tiny_lora(
    base_path: Path | str,
    path: Path | str,
    seed: int = 0,
    *,
    zero: bool = False,
    rank: int = 4,
    target_modules: Sequence[str] | str = "all-linear",
) -> Path:
    """Write a random LoRA adapter of the model at ``base_path``; with ``zero`` it changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model

    model, task_type = _load_plain(Path(base_path))
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fan_in_fan_out = model.config.model_type == "gpt2"
        config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=targets,
            task_type=task_type,
            fan_in_fan_out=fan_in_fan_out,
        )
        adapted = get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name and not zero:
                torch.nn.init.normal_(parameter, std=_SPREAD)
        adapted.save_pretrained(str(path))
    return Path(path)


def byte_level_tokenizer(vocab_size: int = 384) -> Any:
    """A byte-level BPE tokenizer learnt from the module's corpus: any text round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )


def wordpiece_tokenizer() -> Any:
    """A lower-casing WordPiece tokenizer with BERT's special tokens and segment layout.

    Its vocabulary is every word of the module's corpus and every ASCII character.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = sorted({word for line in CORPUS for word in re.findall(r"[a-z]{2,}", line.lower())})
    endings = ["##" + character for character in characters] + ["##ed", "##er", "##ing", "##ly", "##th"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: index for index, token in enumerate(special + characters + endings + words)}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(prefix="##")
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def unigram_tokenizer(*, unknown: bool = True) -> Any:
    """A Unigram tokenizer with SentencePiece's blanks, learnt from the module's corpus.

    Its control tokens are pieces of its vocabulary, as SentencePiece has them. Without
    ``unknown`` it raises on a character that the corpus does not have.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"][: 4 if unknown else 3],
        unk_token="<unk>" if unknown else None,
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        **{"unk_token": "<unk>"} if unknown else {},
    )


def save_tiny(path: Path | str, model_class: Any, config: Any, tokenizer: Any, seed: int = 0) -> Path:
    """Write a random model of any class and configuration with a tokenizer that knows its length."""
    return _save(path, seed, model_class, config, tokenizer)


def _bert_fields(vocab_size: int, context_length: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": context_length,
        "initializer_range": _SPREAD,
    }


def _save(path: Path | str, seed: int, model_class: Any, config: Any, tokenizer: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config).eval()
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if length and length > 0:
        tokenizer.model_max_length = length
    if "mask_token" not in tokenizer.special_tokens_map:
        tokenizer.chat_template = CHAT_TEMPLATE
    model.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))
    return Path(path)


def _load_plain(path: Path) -> tuple[Any, str]:
    import transformers

    config = transformers.AutoConfig.from_pretrained(str(path), local_files_only=True)
    architecture = config.architectures[0]
    if architecture.endswith("ForSequenceClassification"):
        kind, task_type = transformers.AutoModelForSequenceClassification, "SEQ_CLS"
    elif architecture.endswith("ForMaskedLM"):
        kind, task_type = transformers.AutoModelForMaskedLM, "FEATURE_EXTRACTION"
    else:
        kind, task_type = transformers.AutoModelForCausalLM, "CAUSAL_LM"
    return kind.from_pretrained(str(path), local_files_only=True), task_type
