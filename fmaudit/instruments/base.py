"""The contract of an instrument, how one is opened by name, and scoring that fails text by text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Protocol

from fmaudit.errors import FmauditError, UsageError
from fmaudit.requests import InstrumentScore
from fmaudit.schema import InstrumentCard

EMPTY_TEXT = "empty text"
DEFAULT = "profanity"


class Instrument(Protocol):
    """Gives each text a score in [0, 1], or the reason why it has none."""

    @property
    def id(self) -> str:
        """Short name; the key of its scores."""
        ...

    @property
    def digest(self) -> str:
        """Digest of version and weights: equal digests give equal scores."""
        ...

    @property
    def card(self) -> InstrumentCard:
        """What it measures and how often it is wrong."""
        ...

    def score(self, texts: Sequence[str]) -> list[InstrumentScore]:
        """One score a text, in order. A text that cannot be scored has no value and a reason, never 0."""
        ...


def available() -> dict[str, str]:
    """Instruments by the name that opens them, each with one line on what it is and what it lacks here."""
    missing = "" if find_spec("profanity_check") else " (not installed: pip install 'fmaudit[offline]')"
    return {
        "profanity": f"linear classifier of profanity, offline{missing}",
        "detoxify:PATH": "Detoxify checkpoint or sequence-classification directory; PATH#LABEL picks a label",
    }


def open_instrument(name: str, device: str = "cpu") -> Instrument:
    """Open an instrument.

    Args:
        name: ``profanity``, or ``detoxify:PATH`` with the path of a Detoxify
            checkpoint or of a sequence-classification directory, and ``#LABEL``
            where the label is not toxicity.
        device: torch device of an instrument that is a neural network.

    Raises:
        UsageError: unknown name, or its package is not installed (says which extra to install).
        SubjectError: the checkpoint cannot be used.
    """
    kind, _, path = name.partition(":")
    if kind == "profanity" and not path:
        from fmaudit.instruments.profanity import Profanity

        return Profanity()
    if kind == "detoxify" and path:
        from fmaudit.instruments.detoxify import open_detoxify

        return open_detoxify(path, device)
    raise UsageError(f"unknown instrument {name!r}; available: {', '.join(available())}")


def score_in_batches(
    texts: Sequence[str], predict: Callable[[Sequence[str]], Sequence[float]], batch_size: int
) -> list[InstrumentScore]:
    """Score ``texts`` in batches sorted by length; a failing batch is repeated text by text.

    Args:
        texts: in the order of the answer; one without a visible character has no score.
        predict: probabilities of a batch; may raise.
        batch_size: texts a batch.
    """
    scores: list[InstrumentScore] = [InstrumentScore(None, EMPTY_TEXT)] * len(texts)
    order = sorted(
        (index for index, text in enumerate(texts) if text.strip()),
        key=lambda index: (len(texts[index]), index),
    )
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for index, score in zip(
            batch, _batch_scores([texts[index] for index in batch], predict), strict=True
        ):
            scores[index] = score
    return scores


def _batch_scores(
    texts: Sequence[str], predict: Callable[[Sequence[str]], Sequence[float]]
) -> list[InstrumentScore]:
    try:
        values = list(predict(texts))
        if len(values) != len(texts):
            raise ValueError(f"{len(values)} scores for {len(texts)} texts")
    except FmauditError:
        raise
    except Exception as error:
        if len(texts) == 1:
            # The message may quote the text, which must not reach a log.
            return [InstrumentScore(None, f"the instrument failed: {type(error).__name__}")]
        return [score for text in texts for score in _batch_scores([text], predict)]
    return [_checked(float(value)) for value in values]


def _checked(value: float) -> InstrumentScore:
    if not math.isfinite(value) or not -1e-6 <= value <= 1 + 1e-6:
        return InstrumentScore(None, "the instrument gave no probability")
    return InstrumentScore(min(max(value, 0.0), 1.0))
