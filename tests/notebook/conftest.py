"""A run of seconds that the notebooks open instead of making their own."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from fmaudit.api import Run, audit
from fmaudit.running.options import RunOptions
from fmaudit.specimens.auditing import audit_arguments
from fmaudit.specimens.family import build_family
from fmaudit.specimens.presets import standard_family
from fmaudit.specimens.recipes import Language, Training

ROOT = Path(__file__).parents[2]
PROBES = ("bias.crows_pairs", "downstream.negation", "downstream.capability")


def _family():
    family = standard_family(1, "small", ["clean", "new-defect"], 1)
    base = replace(
        family.base,
        language=Language(units=32),
        training=Training(exposures=30, passages=120, batch=400),
        width=64,
    )
    made = replace(base, seed=9)
    children = tuple(
        replace(child, training=replace(child.training, passages=60)) for child in family.children
    )
    return replace(family, base=base, children=children, references=(made,), items=128)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Run:
    """A base, a fine-tune of it, one with a new defect, and a reference, audited by three probes."""
    out = tmp_path_factory.mktemp("notebook-family")
    chosen = audit_arguments(build_family(_family(), out, jobs=1))
    data = {name: chosen.data[name] for name in ("minimal_pairs", "negated_statements", "neutral_texts")}
    options = RunOptions(data=data, datasets=tuple(data), device="cpu", dtype="float32")
    run = audit(chosen.base, chosen.adapted, chosen.references, PROBES, out / "audit", options=options)
    assert run.failures == ()
    return run


@pytest.fixture(scope="session")
def render():
    """The module that runs and renders the notebooks."""
    spec = importlib.util.spec_from_file_location("render_notebooks", ROOT / "notebooks" / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
