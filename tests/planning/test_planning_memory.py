"""Memory from an architecture and the largest batch."""

from __future__ import annotations

from types import SimpleNamespace

from fmaudit.planning.memory import activations, memory_free, memory_needed
from fmaudit.planning.outline import Outline
from fmaudit.planning.workload import Batch

TEXT = SimpleNamespace(
    hidden_size=64, intermediate_size=256, num_attention_heads=8, num_key_value_heads=2, head_dim=8
)


def found(parameters=10**9, dtype="float32", layers=4):
    config = SimpleNamespace(get_text_config=lambda: TEXT)
    return Outline(config, "causal", dtype, parameters, 10**6, layers, None)


def batch(rows, length=100, generated=0):
    return Batch("generate" if generated else "score", rows, length, generated, ())


def test_weights_are_counted_in_their_dtype():
    wide, narrow = (memory_needed(found(dtype=name), [], device="cpu") for name in ("float32", "bfloat16"))
    assert wide - narrow == 2 * 10**9


def test_a_generation_holds_the_cache_of_every_layer():
    # keys and values, rows x length, key-value heads x head size, 4 bytes; one layer twice
    assert activations(found(), batch(3, generated=20)) - activations(found(), batch(3)) == (
        2 * 300 * 5 * 2 * 8 * 4
    )


def test_the_largest_batch_decides():
    few = memory_needed(found(), [batch(2)], device="cpu")
    many = memory_needed(found(), [batch(2), batch(50)], device="cpu")
    assert many - few == activations(found(), batch(50)) - activations(found(), batch(2))


def test_unpacked_weights_are_there_twice_while_they_are_loaded():
    assert memory_needed(found(), [], device="cpu", unpacked=True) > 8 * 10**9
    assert memory_needed(found(), [], device="cpu") < 6 * 10**9


def test_a_device_of_its_own_holds_no_libraries_and_no_stored_file():
    cpu = memory_needed(found(), [], device="cpu", stored=10**9)
    assert cpu - memory_needed(found(), [], device="cuda:0", stored=10**9) >= 10**8
    assert cpu - memory_needed(found(), [], device="cpu") == 10**9


def test_free_memory_is_a_number_or_unknown():
    free = memory_free("cpu")
    assert free is None or free > 0
