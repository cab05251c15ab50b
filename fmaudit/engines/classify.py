"""Classify: label probabilities of a sequence classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.base import Ask
from fmaudit.engines.operation import NOT_FINITE, Job, LoadedModel, padded
from fmaudit.engines.plain_text import PlainText
from fmaudit.requests import Classify, Failure, LabelScores, Response


@dataclass(frozen=True, slots=True)
class ClassifyRow:
    """One encoded text or pair; ``segments`` is empty where the model does not tell segments apart."""

    ids: tuple[int, ...]
    segments: tuple[int, ...]


class Classification:
    """Answers :class:`~fmaudit.requests.Classify`.

    Softmax over the labels; a sigmoid each where the model says that labels are
    independent (``multi_label_classification``) or has one output.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        config: Any = loaded.model.config
        self._loaded = loaded
        self._padding: int | None = config.pad_token_id
        self._labels = tuple(str(config.id2label[i]) for i in range(len(config.id2label)))
        self._regression = config.problem_type == "regression"
        self._independent = config.problem_type == "multi_label_classification" or len(self._labels) == 1
        self._segments = loaded.takes("token_type_ids")
        self._plain = PlainText(loaded.tokenizer)
        ends = getattr(config, "eos_token_id", None)
        self._ends = frozenset(ends if isinstance(ends, list | tuple) else [ends])

    def prepare(self, ask: Ask) -> Job[ClassifyRow] | Failure:
        """Tokenize text and pair with the special tokens of the model."""
        request = ask.request
        assert isinstance(request, Classify)
        if self._regression:
            return Failure("model is a regressor: its output is not a label probability")
        encoded = self._plain.encode(request.text, request.pair, frame=True)
        if isinstance(encoded, Failure):
            return encoded
        ids = tuple(encoded["input_ids"])
        if not ids:
            return Failure("text has no tokens")
        segments = tuple(encoded.get("token_type_ids", ())) if self._segments else ()
        # Models that read their last end of sequence want equal numbers of them in every row.
        group = (bool(segments), sum(token in self._ends for token in ids))
        return self._loaded.too_long(len(ids)) or Job(len(ids), (ClassifyRow(ids, segments),), group)

    def compute(self, rows: Sequence[ClassifyRow]) -> list[tuple[float, ...] | Failure]:
        """Label probabilities of each row."""
        return self._probabilities(self.logits(rows))

    def logits(self, rows: Sequence[ClassifyRow]) -> Any:
        """The model's ``[rows, labels]`` output."""
        device = self._loaded.device
        inputs = {
            "input_ids": padded([row.ids for row in rows], self._padding or 0, device),
            "attention_mask": padded([[1] * len(row.ids) for row in rows], 0, device),
        }
        if rows[0].segments:
            inputs["token_type_ids"] = padded([row.segments for row in rows], 0, device)
        return self._loaded.model(**inputs).logits

    def _probabilities(self, output: Any) -> list[tuple[float, ...] | Failure]:
        logits = output.float()
        p = logits.sigmoid() if self._independent else logits.softmax(-1)
        return [
            tuple(row) if good else Failure(NOT_FINITE)
            for row, good in zip(p.cpu().tolist(), logits.isfinite().all(-1).cpu().tolist(), strict=True)
        ]

    def finish(self, job: Job[ClassifyRow], answers: Sequence[tuple[float, ...]]) -> Response:
        """Probabilities with their labels, in the model's order."""
        return LabelScores(self._labels, answers[0])
