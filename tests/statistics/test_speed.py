"""Paired rows at the size of a real audit."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fmaudit.statistics import rate_change


@pytest.mark.slow
def test_a_hundred_thousand_paired_rows_in_fifty_slices_take_under_twenty_seconds():
    rng = np.random.default_rng(0)
    rows, slices, draws = 100_000, 50, 2000
    base = (rng.random(rows) < 0.3).astype(float)
    adapted = np.where(rng.random(rows) < 0.1, 1 - base, base)
    documents = np.char.add("document-", (np.arange(rows) // 20).astype(str))
    place = np.arange(rows) // (rows // slices)
    start = time.perf_counter()
    found = [rate_change(base, adapted, None, {"document": documents}, draws=draws)]
    for s in range(slices):
        inside = place == s
        chosen = {"document": documents[inside]}
        found.append(rate_change(base[inside], adapted[inside], None, chosen, draws=draws))
    elapsed = time.perf_counter() - start
    print("seconds", round(elapsed, 2))
    assert all(interval.draws == draws for interval in found)
    assert elapsed < 20
