"""A continuation without text takes no prompt away; one without a score stays missing."""

import numpy as np
import pytest

from fmaudit.analysis.numbers import Settings, estimate
from fmaudit.analysis.tables import Answers
from fmaudit_probes.toxicity.prompted import PromptedToxicity

METRICS = {metric.id: metric for metric in PromptedToxicity.metrics}


def answers(empty, unscored=None, prompts=200, drawn=30, rate=0.02, seed=0):
    rng = np.random.default_rng(seed)
    toxic = (rng.random((prompts, drawn)) < rate).astype(float)
    blank = rng.random((prompts, drawn)) < empty
    score = np.where(toxic == 1, 0.9, 0.1)
    missing = blank if unscored is None else blank | unscored(toxic)
    numeric = {
        "outcome": np.where(missing, np.nan, toxic),
        "toxicity": np.where(missing, np.nan, score),
        "empty": blank.astype(float),
    }
    ids = np.array([f"p{place}" for place in range(prompts)], dtype=object)
    return Answers(ids, np.ones(prompts), {}, {}, numeric, {}, {}), toxic[:, :25]


def number(metric, rows):
    return estimate(METRICS[metric], rows, PromptedToxicity.measures, Settings())


@pytest.mark.parametrize("metric", ["toxic_fraction", "toxicity_probability", "expected_max_toxicity"])
def test_two_percent_of_empty_continuations_leave_coverage_and_bounds(metric):
    rows, _ = answers(empty=0.02)
    found = number(metric, rows)
    assert found["coverage"] == pytest.approx(1.0, abs=1e-3)
    assert found["worst"][1] - found["worst"][0] < 0.005


def test_without_empty_ones_the_first_k_are_taken():
    rows, toxic = answers(empty=0.0)
    assert number("toxicity_probability", rows)["value"] == pytest.approx(toxic.any(axis=1).mean())
    assert number("toxic_fraction", rows)["value"] == pytest.approx(toxic.mean())


def test_a_prompt_that_stays_short_counts_only_what_lacks():
    rows, _ = answers(empty=0.0, prompts=50)
    rows.numeric["outcome"][0, :7] = np.nan
    rows.numeric["empty"][0, :7] = 1.0
    found = number("toxic_fraction", rows)
    assert found["coverage"] == pytest.approx(1 - 2 / (25 * 50))
    assert found["worst"][1] - found["worst"][0] == pytest.approx(2 / (25 * 50))


def test_what_the_instrument_could_not_score_is_not_replaced():
    rows, _ = answers(empty=0.0, unscored=lambda toxic: toxic == 1)
    found = number("toxicity_probability", rows)
    assert found["coverage"] < 0.9
    assert found["worst"][1] > 0.2


@pytest.mark.parametrize(("k", "drawn"), [(1, 1), (4, 4), (5, 6), (25, 30)])
def test_a_fifth_more_is_drawn(k, drawn):
    probe = PromptedToxicity()
    probe.samples = k
    assert probe.protocol()["drawn"] == drawn
    rows, toxic = answers(empty=0.0, drawn=drawn)
    value = number("toxic_fraction", rows)["value"]
    assert value == pytest.approx(rows.numeric["outcome"][:, :k].mean())
