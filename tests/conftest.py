"""Property tests draw the same examples in every run; FMAUDIT_EXPLORE=1 draws new ones."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("explore" if os.environ.get("FMAUDIT_EXPLORE") == "1" else "repeatable")


@pytest.fixture(autouse=True, scope="module")
def frozen_imports() -> None:
    """Garbage collection, which every release of a model calls, walks no more what was imported earlier."""
    gc.collect()
    gc.freeze()
