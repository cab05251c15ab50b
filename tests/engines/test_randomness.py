import numpy as np
from scipy import stats

from fmaudit.engines.randomness import SampleStream, uniform


def test_numbers_are_fixed_for_ever():
    assert uniform(0, "item", 0, 0, 0) == EXPECTED[0]
    assert uniform(7, "wörter", 3, 2, 19) == EXPECTED[1]


def test_numbers_are_uniform_in_the_half_open_unit_interval():
    numbers = np.array(
        [uniform(1, f"i{i}", 0, s, t) for i in range(40) for s in range(10) for t in range(10)]
    )
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_every_part_of_the_address_matters():
    start = (0, "a", 0, 0, 0)
    others = [(1, "a", 0, 0, 0), (0, "b", 0, 0, 0), (0, "a", 1, 0, 0), (0, "a", 0, 1, 0), (0, "a", 0, 0, 1)]
    assert len({uniform(*address) for address in [start, *others]}) == 6


def test_another_stream_has_other_numbers():
    shared, own, again = (SampleStream(0, "item", 0, 0, stream) for stream in ("", "sha256:1", "sha256:1"))
    assert shared.uniform(0) == EXPECTED[0]
    assert own.uniform(0) == again.uniform(0) == EXPECTED[2]
    longer, split = SampleStream(0, "item", 0, 0, "xy"), SampleStream(0, "itemx", 0, 0, "y")
    assert longer.uniform(0) != split.uniform(0)


def test_steps_can_be_asked_in_any_order():
    stream = SampleStream(3, "x", 1, 2)
    backwards = [stream.uniform(step) for step in reversed(range(5))]
    assert backwards[::-1] == [uniform(3, "x", 1, 2, step) for step in range(5)]


EXPECTED = (0.16279297986260433, 0.03638929966145088, 0.0061047100351816486)
