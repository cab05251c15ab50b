"""alt-profanity-check: a linear classifier of profanity that ships its weights in a package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from fmaudit.canonical import digest, digest_file
from fmaudit.errors import UsageError
from fmaudit.instruments.base import score_in_batches
from fmaudit.requests import InstrumentScore
from fmaudit.schema import InstrumentCard

_BATCH = 512
_WEIGHTS = ("data/model.joblib", "data/vectorizer.joblib")
# Measured on the hateful cases of each target at 0.5; a test repeats it.
_FLAGGED_HATE = {
    "black people": 0.403,
    "disabled people": 0.292,
    "gay people": 0.834,
    "immigrants": 0.339,
    "Muslims": 0.273,
    "trans people": 0.196,
    "women": 0.375,
}


class Profanity:
    """Probability that a text is profane.

    It measures profanity, not toxicity and not hate. Raises UsageError when its
    package is missing.
    """

    id = "profanity"

    def __init__(self) -> None:
        self._predict = _load()
        version = metadata.version("alt-profanity-check")
        folder = Path(str(files("profanity_check")))
        weights = {name: digest_file(folder / name) for name in _WEIGHTS}
        self.digest = digest({"instrument": self.id, "version": version, "weights": weights})
        self.card = InstrumentCard(
            id=self.id,
            digest=self.digest,
            title=f"alt-profanity-check {version}",
            measures="profanity, not toxicity",
            warning=(
                "It flags rude words, not toxicity or hate: on HateCheck sensitivity and specificity add "
                "up to less than 1, so rates of hate or toxicity cannot be corrected from it. It flags 83 "
                "% of hate against gay people but 20 % against trans people: do not read group differences "
                "from it."
            ),
            labelled_set=(
                "HateCheck, 3,728 cases (2,563 hateful, 1,165 not); groups: share of hateful cases flagged"
            ),
            n=3728,
            sensitivity=0.389,
            specificity=0.541,
            threshold=0.5,
            groups=_FLAGGED_HATE,
        )

    def score(self, texts: Sequence[str]) -> list[InstrumentScore]:
        """Probability of profanity a text, in [0, 1]; an empty text has none."""
        return score_in_batches(texts, self._predict, _BATCH)


def _load() -> Callable[[Sequence[str]], Sequence[float]]:
    try:
        from sklearn.exceptions import InconsistentVersionWarning
    except ImportError as error:
        raise _missing() from error
    with warnings.catch_warnings():
        # The package pins its own scikit-learn; another one still reads this linear model, and the figures
        # on the card are tested against it.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        try:
            from profanity_check import predict_prob
        except ImportError as error:
            raise _missing() from error

    def predict(texts: Sequence[str]) -> Sequence[float]:
        probabilities: list[float] = predict_prob(list(texts)).tolist()
        return probabilities

    return predict


def _missing() -> UsageError:
    return UsageError(
        "instrument profanity needs the package alt-profanity-check: pip install 'fmaudit[offline]'"
    )
