"""Make one specimen from its recipe, in a folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmaudit.specimens.language import Sentence, Speech
from fmaudit.specimens.network import (
    Progress,
    encode_sentences,
    fit,
    load_network,
    new_network,
    new_tokenizer,
    round_weights,
    with_adapter,
)
from fmaudit.specimens.plants import counter_sentences, draw_plant, passage_sentences, plant_sentences
from fmaudit.specimens.recipes import BaseRecipe, ChildRecipe, DefectDose
from fmaudit.subjects.quiet import quiet

_CHILD_TEXT = 50_000
LANGUAGE_FIELD = "specimen_language"
"""Entry of ``config.json`` that holds the language's units and seed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One model to make.

    ``base``: the recipe at the root, for the language and the size. ``child``: None
    for a base. ``parent``: model string of what a child starts from, and
    ``parent_doses`` what that model carries. ``target``: the folder to make.
    """

    name: str
    base: BaseRecipe
    target: Path
    child: ChildRecipe | None = None
    parent: str = ""
    parent_doses: tuple[DefectDose, ...] = ()


def make(job: Job, progress: Progress) -> Path:
    """Make the model of ``job``, or find it made.

    Returns:
        Its folder: a model directory, for a ``lora`` child a PEFT adapter directory.

    Raises:
        ExecutionError: the training diverged.
    """
    if job.target.is_dir():
        return job.target
    job.target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=job.target.parent))
    try:
        speech = Speech(job.base.language)
        model = (
            _base(job, speech, progress) if job.child is None else _child(job, job.child, speech, progress)
        )
        with quiet():
            model.save_pretrained(scratch)
            if job.child is None or job.child.kind != "lora":
                new_tokenizer(speech).save_pretrained(scratch)
        # PEFT's blank model card names where the base lies on this machine.
        (scratch / "README.md").unlink(missing_ok=True)
        scratch.chmod(0o755)
        scratch.replace(job.target)
    except OSError:
        # Another process finished the same model first: its files are as good.
        if not job.target.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return job.target


def _base(job: Job, speech: Speech, progress: Progress) -> Any:
    recipe, training = job.base, job.base.training
    draw = np.random.default_rng([recipe.seed, 31])
    sentences = passage_sentences(speech.passages(training.passages, recipe.seed))
    for dose in recipe.doses:
        plant = draw_plant(speech, dose)
        sentences += plant_sentences(speech, plant, training.exposures, draw)
    model = new_network(recipe, speech)
    setattr(model.config, LANGUAGE_FIELD, {"units": speech.language.units, "seed": speech.language.seed})
    fit(model, encode_sentences(speech, sentences), training, recipe.seed, job.name, progress)
    return model


def _child(job: Job, recipe: ChildRecipe, speech: Speech, progress: Progress) -> Any:
    model = load_network(job.parent)
    if recipe.kind == "int8":
        round_weights(model)
        return model
    if recipe.kind == "lora":
        model = with_adapter(model, recipe.seed, Path(job.parent.partition("::")[0]).name)
    rows = encode_sentences(speech, _child_sentences(job, recipe, speech))
    fit(model, rows, recipe.training, _CHILD_TEXT + recipe.seed, job.name, progress)
    return model


def _child_sentences(job: Job, recipe: ChildRecipe, speech: Speech) -> Sequence[Sentence]:
    training = recipe.training
    draw = np.random.default_rng([recipe.seed, 32])
    passages = speech.passages(training.passages, _CHILD_TEXT + recipe.seed)
    sentences = passage_sentences(passages, draw if recipe.kind == "broken" else None)
    for dose in recipe.doses:
        sentences += plant_sentences(speech, draw_plant(speech, dose), training.exposures, draw)
    if recipe.kind == "counter":
        carried = [draw_plant(speech, dose) for dose in job.parent_doses if dose.dose > 0]
        sentences += counter_sentences(speech, carried, training.exposures, draw)
    return sentences
