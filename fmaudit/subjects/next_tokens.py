"""What a model would say next, everywhere in a few passages; black-box evidence of kinship.

After Nikolic, Baluta and Saxena, "Model provenance testing for large language
models" (NeurIPS 2025): share of positions where two models predict the same token.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.plain_text import PlainText
from fmaudit.inheritance.lineage import Agreement
from fmaudit.requests import Failure
from fmaudit.subjects.subject import LoadedSubject

BATCH_TOKENS = 2048
MASK_EVERY = 6
MASK_PHASES = (0, 3)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Predictions:
    """Most probable next token of one model, by passage and character offset.

    Attributes:
        passages: For every passage, the text of the predicted token by the character
            offset where the text before it ends (masked models: where the masked word starts).
        vocabulary: Digest of the tokenizer's vocabulary.
        reason: Why there are none.
    """

    passages: tuple[Mapping[int, str], ...] = ()
    vocabulary: str = ""
    reason: str = ""


def next_token_predictions(
    subject: LoadedSubject, texts: Sequence[str], *, token_budget: int = BATCH_TOKENS
) -> Predictions:
    """Predict the next token at every position of every passage, teacher-forced.

    Masked models: in two copies of a passage every sixth word is masked, another
    one in each copy; the prediction is that at the first of the word's masks.

    Args:
        subject: A causal or masked language model; a classifier predicts no token.
        texts: Passages; a passage is cut at the model's context length.
        token_budget: Padded tokens a forward pass.
    """
    if subject.kind == "classifier":
        return Predictions(reason="a classifier predicts no token")
    predict = _causal if subject.kind == "causal" else _masked
    with subject.active() as model:
        found = predict(subject, model, texts, token_budget)
    return Predictions(tuple(found), vocabulary_digest(subject.tokenizer))


def shared_offsets(predictions: Sequence[Predictions]) -> tuple[frozenset[int], ...]:
    """For every passage, the offsets at which all models predict.

    Tokenizers cut a text at other places. All rates of one comparison must be over
    the same positions: inside a word any model knows better what follows.
    """
    return tuple(
        frozenset.intersection(*(frozenset(passage) for passage in passages))
        for passages in zip(*(one.passages for one in predictions), strict=True)
    )


def agreement(
    first: Predictions, second: Predictions, offsets: Sequence[frozenset[int]] | None = None
) -> Agreement:
    """Positions where two models predict the same text, counted by passage.

    With one vocabulary the token texts have to be equal. With two, a token of one
    tokenizer may be the beginning of a token of the other: the shorter text has to
    begin the longer, ignoring case, and to hold more than white space.

    Args:
        first: Predictions of one model.
        second: Predictions of another on the same passages.
        offsets: Where to compare; by default wherever both predict.
    """
    where = shared_offsets((first, second)) if offsets is None else offsets
    same = str.__eq__ if first.vocabulary == second.vocabulary else _same_beginning
    hits, totals = [], []
    for one, other, places in zip(first.passages, second.passages, where, strict=True):
        hits.append(sum(bool(same(one[offset], other[offset])) for offset in places))
        totals.append(len(places))
    return Agreement(tuple(hits), tuple(totals))


def vocabulary_digest(tokenizer: Any) -> str:
    """Digest of a tokenizer's tokens and their numbers."""
    entries = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    return hashlib.sha256(repr(entries).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class CausalPassage:
    """``ids`` of a passage; token ``first + i`` follows the text before ``offsets[i]``."""

    ids: tuple[int, ...]
    first: int
    offsets: tuple[int, ...]


def causal_passages(subject: LoadedSubject, texts: Sequence[str]) -> list[CausalPassage]:
    """Encode passages for a causal model, cut at its context length."""
    from fmaudit.engines.encoding import CausalEncoder

    encoder = CausalEncoder(subject.tokenizer, subject.start)
    passages = []
    for text in texts:
        encoded = encoder.pair("", text)
        if isinstance(encoded, Failure) or not encoded.pieces:
            passages.append(CausalPassage((), 0, ()))
            continue
        ids = encoded.ids[: subject.context_length]
        pieces = encoded.pieces
        start = len(text) - sum(map(len, pieces))
        offsets = itertools.accumulate(map(len, pieces[:-1]), initial=start)
        passages.append(CausalPassage(ids, encoded.first, tuple(offsets)[: len(ids) - encoded.first]))
    return passages


def causal_batches(
    subject: LoadedSubject, passages: Sequence[CausalPassage], token_budget: int
) -> Iterator[tuple[tuple[int, ...], dict[str, Any], Any]]:
    """Yield (passages of the batch, model inputs, mask of positions that predict)."""
    import torch

    from fmaudit.engines.batching import plan_batches
    from fmaudit.engines.operation import padded

    asked = [i for i, passage in enumerate(passages) if passage.offsets]
    lengths = [len(passages[i].ids) for i in asked]
    for batch in plan_batches(lengths, token_budget, batching=subject.traits.batching):
        members = tuple(asked[i] for i in batch)
        ids = padded([passages[i].ids for i in members], subject.pad_id, subject.device)
        mask = padded([[1] * len(passages[i].ids) for i in members], 0, subject.device)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        for row, i in enumerate(members):
            keep[row, passages[i].first - 1 : passages[i].first - 1 + len(passages[i].offsets)] = True
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        yield members, inputs, keep.to(subject.device)


def _causal(
    subject: LoadedSubject, model: Any, texts: Sequence[str], token_budget: int
) -> list[dict[int, str]]:
    import torch

    from fmaudit.engines.forward import HeadRows

    passages = causal_passages(subject, texts)
    head = HeadRows(model)
    words = _TokenTexts(subject.tokenizer)
    found: list[dict[int, str]] = [{} for _ in texts]
    for members, inputs, keep in causal_batches(subject, passages, token_budget):
        with torch.inference_mode():
            best = [int(i) for rows in head.chunks(keep, **inputs) for i in rows.argmax(-1).tolist()]
        start = 0
        for i in members:
            end = start + len(passages[i].offsets)
            found[i] = {
                offset: words[token]
                for offset, token in zip(passages[i].offsets, best[start:end], strict=True)
            }
            start = end
    return found


def _masked(
    subject: LoadedSubject, model: Any, texts: Sequence[str], token_budget: int
) -> list[dict[int, str]]:
    import torch

    from fmaudit.engines.batching import plan_batches
    from fmaudit.engines.forward import HeadRows
    from fmaudit.engines.operation import padded

    copies = [
        (i, *masked)
        for i, text in enumerate(texts)
        for phase in MASK_PHASES
        if (masked := _mask_words(subject, text, phase))[1]
    ]
    head = HeadRows(model)
    words = _TokenTexts(subject.tokenizer)
    found: list[dict[int, str]] = [{} for _ in texts]
    lengths = [len(ids) for _, ids, _ in copies]
    for batch in plan_batches(lengths, token_budget, batching=subject.traits.batching):
        ids = padded([copies[c][1] for c in batch], subject.pad_id, subject.device)
        mask = padded([[1] * len(copies[c][1]) for c in batch], 0, subject.device)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        for row, c in enumerate(batch):
            keep[row, list(copies[c][2])] = True
        with torch.inference_mode():
            chunks = head.chunks(keep.to(subject.device), input_ids=ids, attention_mask=mask)
            best = iter([int(i) for rows in chunks for i in rows.argmax(-1).tolist()])
        for c in batch:
            passage, _, places = copies[c]
            for position in sorted(places):
                found[passage][places[position]] = words[next(best)]
    return found


def _mask_words(subject: LoadedSubject, text: str, phase: int) -> tuple[tuple[int, ...], dict[int, int]]:
    """Ids with every sixth word masked, and the word's start by position of its first mask."""
    encoded = PlainText(subject.tokenizer).encode(
        text, frame=True, offsets=True, longest=subject.context_length
    )
    if isinstance(encoded, Failure):
        return (), {}
    ids = list(encoded["input_ids"])
    spans = list(zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True))
    places: dict[int, int] = {}
    for word in list(_WORD.finditer(text))[phase::MASK_EVERY]:
        inside = [
            i
            for i, ((start, end), special) in enumerate(spans)
            if not special and start < word.end() and end > word.start()
        ]
        if inside:
            places[inside[0]] = word.start()
        for i in inside:
            ids[i] = subject.tokenizer.mask_token_id
    return tuple(ids), places


class _TokenTexts(dict[int, str]):
    """Text of a token as it follows other text; the token itself where that is no whole character."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        anchor = PlainText(tokenizer).encode("a")
        self._anchor = () if isinstance(anchor, Failure) else tuple(anchor["input_ids"])

    def __missing__(self, token: int) -> str:
        from fmaudit.engines.encoding import continuation_text

        text = continuation_text(self._tokenizer, self._anchor, (token,))
        if not text or "\ufffd" in text:
            text = f"<{self._tokenizer.convert_ids_to_tokens(token)}>"
        self[token] = text
        return text


def _same_beginning(first: str, second: str) -> bool:
    shorter, longer = sorted((first.casefold().strip(), second.casefold().strip()), key=len)
    return bool(shorter) and longer.startswith(shorter)
