from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Loaded:
    model: Any
    tokenizer: Any
    kind: str

    def engine(self, budget=4096, seed=0, context_length=128, device="cpu"):
        from fmaudit.engines.base import EngineSettings
        from fmaudit.engines.transformers_engine import TransformersEngine

        settings = EngineSettings(token_budget=budget, seed=seed)
        return TransformersEngine(self.model, self.tokenizer, self.kind, device, settings, context_length)

    def ask(self, *requests, **options):
        return ask(self.engine(**options), *requests)


def ask(engine, *requests):
    from fmaudit.engines.base import Ask

    asks = [Ask(f"item{i}", 0, request) for i, request in enumerate(requests)]
    answers = dict(engine.run(asks))
    assert sorted(answers) == list(range(len(requests)))
    return [answers[i] for i in range(len(requests))]


def _load(path, kind):
    import transformers

    auto = {
        "causal": transformers.AutoModelForCausalLM,
        "masked": transformers.AutoModelForMaskedLM,
        "classifier": transformers.AutoModelForSequenceClassification,
    }[kind]
    model = auto.from_pretrained(path).eval()
    return Loaded(model, transformers.AutoTokenizer.from_pretrained(path), kind)


@pytest.fixture(scope="session", params=["llama", "gpt2"])
def causal(request, tmp_path_factory):
    from fmaudit.testing.tiny import tiny_causal

    return _load(tiny_causal(tmp_path_factory.mktemp(request.param), architecture=request.param), "causal")


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_causal

    return _load(tiny_causal(tmp_path_factory.mktemp("causal")), "causal")


@pytest.fixture(scope="session")
def masked(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_masked

    return _load(tiny_masked(tmp_path_factory.mktemp("masked")), "masked")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_classifier

    return _load(
        tiny_classifier(tmp_path_factory.mktemp("classifier"), labels=("no", "maybe", "yes")), "classifier"
    )


@pytest.fixture(scope="session")
def eight_words():
    """A causal model over eight words with no special token: every text is eight choices a step."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate("abcdefgh")}, unk_token="a"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = LlamaConfig(
            vocab_size=8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            initializer_range=0.4,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            max_position_embeddings=32,
        )
        model = LlamaForCausalLM(config).eval()
    return Loaded(model, PreTrainedTokenizerFast(tokenizer_object=core), "causal")


@pytest.fixture
def out_of_memory_above(monkeypatch):
    """Make a model raise as CUDA or the CPU allocator does when a batch has more rows than fit."""
    import functools

    import torch

    def limit(model, rows, error=None):
        forward = model.forward

        @functools.wraps(forward)
        def guarded(*args, **inputs):
            if inputs["input_ids"].shape[0] > rows:
                raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return forward(*args, **inputs)

        monkeypatch.setattr(model, "forward", guarded)

    return limit


@pytest.fixture(scope="session")
def cuda():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; torch.cuda.is_available() is False")
    return torch.device("cuda")
