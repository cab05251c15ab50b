"""Finds a model's traits by asking it: no class name says how padding or a later token changes its answers.

A few forward passes of at most 16 tokens. One text is answered alone, beside a longer
one, and beside another of its own length; a causal model's later tokens are changed; and
a prompt is continued by the cache and, for comparison, as a whole text. Equal answers are
equal up to rounding: a share of the spread of the logits, by dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fmaudit.engines.classify import Classification, ClassifyRow
from fmaudit.engines.encoding import CausalEncoder
from fmaudit.engines.forward import HeadRows
from fmaudit.engines.operation import LoadedModel, padded
from fmaudit.engines.plain_text import PlainText, control_tokens, readable_text
from fmaudit.engines.positions import embedding_rows
from fmaudit.engines.stepping import begin
from fmaudit.engines.traits import Batching, GenerationWay, ModelKind, ModelTraits
from fmaudit.memory import is_out_of_memory
from fmaudit.requests import Failure

Ids: TypeAlias = tuple[int, ...]

TEXTS = (
    "The river was quiet that morning, and the boats stayed near the shore.",
    "My neighbour asked me to write down the address: 42 Mill Lane.",
    "a b c a c b",
)
LONG, SHORT, GROWN = 16, 6, 2
PRECISE, ROUGH, HALF = 1e-4, 0.1, 0.02
"""Root mean square of a change over that of the logits: far above rounding, far below a wrong position."""

PADDED_NOTE = "its answers change when a text is padded: texts are asked in batches of equal length"
ALONE_NOTE = "its answers depend on the texts beside them: texts are asked one by one"
UNSTEADY_NOTE = "it does not give the same answer twice: texts are asked one by one"
LEFT_NOTE = "its texts change when a prompt is padded: prompts are continued in batches of equal length"
CACHE_NOTE = "its cache does not continue a batch of texts as it reads them whole: generation does without it"
MEMORY_NOTE = "how padding changes its answers was not asked: there was no memory for three short texts"


@dataclass(frozen=True)
class _Questions:
    """Rows of ids: one long, one short, another as long as the short one; ``spare`` ids to change to."""

    long: Ids
    short: Ids
    other: Ids
    spare: Ids


def ask_traits(loaded: LoadedModel, kind: ModelKind) -> ModelTraits:
    """Ask a loaded model, in evaluation mode and with its adapter on, how it has to be asked."""
    import torch

    try:
        with torch.inference_mode():
            return _traits(loaded, kind)
    except Exception as error:  # architectures raise many types for texts that they are not made for
        generating = GenerationWay(cached=False, positions=False, batching="alone")
        if is_out_of_memory(error):
            ways = GenerationWay(positions=loaded.takes("position_ids"))
            return ModelTraits(generating=ways if kind == "causal" else None, notes=(MEMORY_NOTE,))
        line = (str(error).strip().splitlines() or [""])[0][:120]
        note = (
            f"how padding changes its answers could not be asked ({type(error).__name__}: {line}): "
            "texts are asked one by one"
        )
        return ModelTraits("alone", generating if kind == "causal" else None, notes=(note,))


def _traits(loaded: LoadedModel, kind: ModelKind) -> ModelTraits:
    if kind == "classifier" and loaded.model.config.pad_token_id is None:
        # Without a padding id such a model cannot tell where a text ends, and refuses batches.
        return ModelTraits("alone")
    questions = _questions(loaded, kind)
    answer = _answerer(loaded, kind)
    differs = _comparison(loaded.model)
    if kind == "causal" and _looks_ahead(answer, questions, differs):
        return ModelTraits(looks_ahead=True)
    batching, note = _batching(answer, questions, differs)
    notes = [note] if note else []
    if kind != "causal":
        return ModelTraits(batching, notes=tuple(notes))
    generating = _generating(loaded, questions, answer, differs, batching)
    if not generating.cached:
        notes.append(CACHE_NOTE)
    if generating.batching != batching:
        notes.append(LEFT_NOTE)
    return ModelTraits(batching, generating, notes=tuple(notes))


Answer: TypeAlias = Callable[[Sequence[Ids]], list[Any]]
Differs: TypeAlias = Callable[[Any, Any], bool]


def _answerer(loaded: LoadedModel, kind: ModelKind) -> Answer:
    """From rows of ids to the float32 logits of each, ``[tokens or 1, V]``, in one forward pass."""
    if kind == "classifier":
        classification = Classification(loaded)

        def classes(rows: Sequence[Ids]) -> list[Any]:
            asked = [
                ClassifyRow(row, (0,) * len(row) if loaded.takes("token_type_ids") else ()) for row in rows
            ]
            return list(classification.logits(asked).float().cpu()[:, None])

        return classes
    extra = {"use_cache": False} if kind == "causal" else {}

    def tokens(rows: Sequence[Ids]) -> list[Any]:
        ids = padded(rows, loaded.padding_id, loaded.device)
        mask = padded([[1] * len(row) for row in rows], 0, loaded.device)
        logits = loaded.model(input_ids=ids, attention_mask=mask, **extra).logits.float().cpu()
        return [logits[place, : len(row)] for place, row in enumerate(rows)]

    return tokens


def _looks_ahead(answer: Answer, questions: _Questions, differs: Differs) -> bool:
    """Whether logits before a changed token change: of the last token, or of the whole second half."""
    long = questions.long
    half = max(1, len(long) // 2)
    last = (*long[:-1], _another(long[-1], questions.spare))
    end = (*long[:half], *(_another(token, questions.spare) for token in long[half:]))
    plain, one, many = answer([long, last, end])
    return differs(plain[: len(long) - 1], one[: len(long) - 1]) or differs(plain[:half], many[:half])


def _batching(answer: Answer, questions: _Questions, differs: Differs) -> tuple[Batching, str]:
    (alone,) = answer([questions.short])
    if not differs(answer([questions.short, questions.long])[0], alone):
        return "padded", ""
    if differs(answer([questions.short])[0], alone):
        return "alone", UNSTEADY_NOTE
    if differs(answer([questions.short, questions.other])[0], alone):
        return "alone", ALONE_NOTE
    return "equal_length", PADDED_NOTE


def _generating(
    loaded: LoadedModel, questions: _Questions, answer: Answer, differs: Differs, batching: Batching
) -> GenerationWay:
    """The first way that continues texts as the model reads them whole."""
    if batching == "alone":
        return GenerationWay(cached=False, positions=False, batching="alone")
    whole = {row: answer([row])[0] for row in (questions.short, questions.other, questions.long)}
    for way in _ways(loaded):
        try:
            if _continues(loaded, way, questions, whole, differs):
                return way
        except Exception as error:  # a cache that is none, or that cannot be cut to some rows
            if is_out_of_memory(error):
                raise
    return GenerationWay(cached=False, positions=False, batching=batching)


def _ways(loaded: LoadedModel) -> Iterator[GenerationWay]:
    for batching in ("padded", "equal_length"):
        if loaded.takes("position_ids"):
            yield GenerationWay(positions=True, batching=batching)
        yield GenerationWay(positions=False, batching=batching)


def _continues(
    loaded: LoadedModel, way: GenerationWay, questions: _Questions, whole: dict[Ids, Any], differs: Differs
) -> bool:
    """Whether prompts continued together, some of them dropped on the way, get the logits of whole texts."""
    import torch

    short, other, long = questions.short, questions.other, questions.long
    rows = [short, other, short] if way.batching == "equal_length" else [short, long, other, short]
    steps = begin(loaded, HeadRows(loaded.model), way, [row[:-GROWN] for row in rows])

    def wrong(place: int) -> bool:
        return differs(steps.logits.float().cpu(), torch.stack([whole[row][place] for row in rows]))

    if wrong(-GROWN - 1):
        return False
    order = [len(rows) - 2, 0]
    steps.select(order)
    rows = [rows[row] for row in order]
    for place in range(-GROWN, 0):
        steps.advance([row[place] for row in rows])
        if wrong(place):
            return False
    return True


def _comparison(model: Any) -> Differs:
    """Whether two answers ``[positions, V]`` differ by more than rounding.

    Where rounding is fine every position counts; where it is coarse the middle one
    does, because a near tie of a router can throw a single position off.
    """
    import torch

    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    precise = dtype in (torch.float32, torch.float64) and not getattr(model, "is_quantized", False)
    limit = PRECISE if precise else HALF if dtype == torch.float16 else ROUGH

    def differs(one: Any, other: Any) -> bool:
        first, second = (answer.nan_to_num(nan=0, posinf=0, neginf=0) for answer in (one, other))
        # The logits of one or two labels have no spread of their own.
        spread = second - second.mean(-1, keepdim=True) if second.shape[-1] > _LABELS else second
        scale = spread.square().mean(-1).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        change = (first - second).square().mean(-1).sqrt() / scale
        return bool((change.max() if precise else change.median()) > limit)

    return differs


_LABELS = 8


def _questions(loaded: LoadedModel, kind: ModelKind) -> _Questions:
    tokenizer = loaded.tokenizer
    encoder = CausalEncoder(tokenizer) if kind == "causal" else None
    plain = PlainText(tokenizer)

    def encode(text: str) -> Ids:
        if encoder is not None:
            ids = encoder.prompt(text)
            return () if isinstance(ids, Failure) else ids
        encoded = plain.encode(text, frame=True)
        return () if isinstance(encoded, Failure) else tuple(encoded["input_ids"])

    texts = TEXTS if any(encode(text) for text in TEXTS) else (readable_text(tokenizer),)
    long = _longest(encode, texts, min(LONG, loaded.context_length))
    short = _longest(encode, (*texts[1:], *texts), min(SHORT, len(long) - 1))
    controls = control_tokens(tokenizer)
    rows = embedding_rows(loaded.model)
    ordinary = [i for i in sorted(tokenizer.get_vocab().values()) if i not in controls and i < rows]
    spare = tuple(ordinary[:: max(1, len(ordinary) // LONG)])
    inside = iter(reversed([token for token in short if token not in controls]))
    other = tuple(token if token in controls else next(inside) for token in short)
    if other == short:
        other = tuple(token if token in controls else _another(token, spare) for token in short)
    return _Questions(long, short, other, spare)


def _longest(encode: Callable[[str], Ids], texts: Sequence[str], most: int) -> Ids:
    """The longest beginning of one of the texts, cut between words, of at most so many tokens."""
    for text in texts:
        blank = " " if " " in text else ""
        words = text.split() if blank else list(text)
        for count in range(len(words), 0, -1):
            ids = encode(blank.join(words[:count]))
            if 0 < len(ids) <= most and len(ids) > GROWN:
                return ids
    raise ValueError(f"no text of {GROWN + 1} to {most} tokens")


def _another(token: int, spare: Ids) -> int:
    return next((other for other in spare if other != token), token)
