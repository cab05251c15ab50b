"""The time that ``fmaudit plan`` says against the time the same ``fmaudit run`` takes, on a real model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from fmaudit.demo.smollm import find_smollm
from fmaudit.errors import UsageError

# One thread each: what else runs on the machine then disturbs both commands alike.
_ALONE = os.environ | {"OMP_NUM_THREADS": "1"}
_WIDTH, _NARROW, _LAYERS, _RANK = 576, 192, 30, 4

COMMANDS = {
    "scoring, whole data set": ("-p", "bias.crows_pairs", "--datasets", "minimal_pairs"),
    "scoring, cut": ("-p", "bias.occupations", "-L", "20"),
    "generation, cut": ("-p", "toxicity.prompted", "--datasets", "mild_prompts", "-L", "20"),
    "with an adapter": (
        "--adapted",
        "tuned={base}::adapter={lora}",
        "-p",
        "bias.crows_pairs,downstream.capability",
        "--datasets",
        "minimal_pairs,neutral_texts",
    ),
}


@pytest.fixture(scope="module")
def smollm():
    try:
        return find_smollm()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """An adapter of small random weights; time does not depend on what they are."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("lora")
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(_LAYERS):
        for name, outputs in (("q_proj", _WIDTH), ("v_proj", _NARROW)):
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{place}.lora_A.weight"] = 0.05 * torch.randn(_RANK, _WIDTH, generator=generator)
            tensors[f"{place}.lora_B.weight"] = 0.05 * torch.randn(outputs, _RANK, generator=generator)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": _RANK,
        "lora_alpha": 2 * _RANK,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def fmaudit(*arguments):
    """What a command says on stdout, and the seconds it took."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fmaudit", *map(str, arguments)], capture_output=True, env=_ALONE, check=True
    )
    return done.stdout, time.perf_counter() - begun


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_estimate_is_within_a_factor_two(name, smollm, lora, tmp_path):
    chosen = [part.format(base=smollm, lora=lora) for part in COMMANDS[name]]
    said, _ = fmaudit("plan", smollm, *chosen, "--timing-seconds", 10, "--json")
    costs = json.loads(said)["costs"]
    _, measured = fmaudit("run", smollm, *chosen, "-o", tmp_path / "run")
    assert 0.5 <= costs["seconds"] / measured <= 2, (costs["seconds"], measured)


@pytest.mark.slow
def test_two_cuts_give_the_speed_of_the_whole_model(smollm, monkeypatch):
    """What a model too large to be made whole is timed by."""
    from fmaudit.planning import timing
    from fmaudit.running.options import RunOptions
    from tests.planning.test_planning_costs import costs_of

    options = RunOptions(probes=("bias.crows_pairs",), datasets=("minimal_pairs",), device="cpu")
    (whole,) = costs_of((str(smollm), [], []), options, timing_seconds=20.0).measurements
    monkeypatch.setattr(timing, "MOST_BYTES", 120 << 20)
    (cut,) = costs_of((str(smollm), [], []), options, timing_seconds=20.0).measurements
    assert 0.6 <= cut.seconds / whole.seconds <= 1.6
