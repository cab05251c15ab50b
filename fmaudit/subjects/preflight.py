"""What is checked of every subject before anything is spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.engines.traits import looks_ahead_line
from fmaudit.errors import SubjectError
from fmaudit.memory import is_out_of_memory
from fmaudit.subjects.digest import weights_digest
from fmaudit.subjects.files import locate
from fmaudit.subjects.logits import are_finite, bit_equal, largest_change, probe_logits, same_logits
from fmaudit.subjects.quiet import first_line
from fmaudit.subjects.spec import parse_spec
from fmaudit.subjects.subject import LoadedSubject


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What preflight learnt of one subject.

    ``largest_logit_change``: against the base, on the fixed texts; None where the
    subject is no adapted one, or its answers have another shape.
    """

    subject: LoadedSubject
    largest_logit_change: float | None = None


def preflight(
    base: LoadedSubject,
    adapted: Sequence[LoadedSubject] = (),
    references: Sequence[LoadedSubject] = (),
    *,
    allow_identical: bool = False,
) -> list[PreflightResult]:
    """Check every subject, loading one model at a time; results in the order base, adapted, references.

    Raises:
        SubjectError: an adapter of another base, an adapted model that is the base, a tokenizer that
            does not fit, logits that are not finite. ``allow_identical`` turns a model that changes
            nothing into a note.
    """
    subjects = (base, *adapted, *references)
    for subject in subjects:
        _check_named_base(subject)
    for subject in adapted:
        if _same_files(subject, base):
            _identical(subject, "its weights are those of the base, byte for byte", allow_identical)
    for subject in references:
        if subject.digest == base.digest:
            raise SubjectError(f"reference {subject.name!r} is the base itself; name an unrelated model")
    order = sorted(subjects, key=lambda s: (s is not base, not s.shares_model_with(base)))
    base_logits: Sequence[Any] = ()
    results: dict[int, PreflightResult] = {}
    for subject in order:
        logits = _checked_logits(subject)
        _check_traits(subject)
        if subject is base:
            base_logits = logits
        change = None
        if subject.spec.adapter is not None or subject in adapted:
            against = subject.plain_logits if subject.spec.adapter is not None else base_logits
            change = _change(subject, against, logits, allow_identical)
        results[id(subject)] = PreflightResult(subject, change)
    return [results[id(subject)] for subject in subjects]


def _checked_logits(subject: LoadedSubject) -> Sequence[Any]:
    try:
        with subject.active() as model:
            logits = probe_logits(model, subject.tokenizer, subject.kind)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise _unaskable(subject, error) from error
        raise SubjectError(
            f"model {subject.name!r} does not fit into the memory of {subject.device}; "
            "name a smaller --dtype or another --device"
        ) from error
    except SubjectError:
        raise
    except Exception as error:  # architectures raise many types
        raise _unaskable(subject, error) from error
    if not are_finite(logits):
        raise SubjectError(
            f"model {subject.name!r} answers with NaN or infinity on an ordinary sentence; "
            f"its weights are broken, or {subject.dtype} is too narrow for it"
        )
    if (
        subject.spec.adapter is None
        and subject.carries_adapters
        and not bit_equal(logits, subject.plain_logits)
    ):
        raise SubjectError(
            f"model {subject.name!r} is not itself again when the adapters on it are switched off; "
            "merge them and name the merged directories"
        )
    return logits


def _unaskable(subject: LoadedSubject, error: Exception) -> SubjectError:
    return SubjectError(
        f"model {subject.name!r} cannot be asked an ordinary sentence ({type(error).__name__}: "
        f"{first_line(error)}); check that its tokenizer and config.json belong to it"
    )


def _check_traits(subject: LoadedSubject) -> None:
    """Refuse a causal model that sees what it is to predict; note how the others have to be asked."""
    if subject.traits.looks_ahead:
        raise SubjectError(looks_ahead_line(subject.name))
    for note in subject.traits.notes:
        subject.note(note)


def _change(
    subject: LoadedSubject, against: Sequence[Any], logits: Sequence[Any], allow_identical: bool
) -> float | None:
    if any(one.shape != other.shape for one, other in zip(against, logits, strict=True)):
        return None
    if same_logits(against, logits, subject.dtype):
        _identical(subject, "it answers exactly as its base does", allow_identical)
    return largest_change(against, logits)


def _identical(subject: LoadedSubject, why: str, allowed: bool) -> None:
    adapter = subject.files.adapter_root
    what = f"adapter {adapter.name!r}" if adapter is not None else f"adapted model {subject.name!r}"
    if not allowed:
        raise SubjectError(
            f"{what} changes nothing: {why}; train it, or pass --allow-identical to compare anyway"
        )
    subject.note(f"{what} changes nothing: {why}; allowed by --allow-identical")


def _same_files(subject: LoadedSubject, base: LoadedSubject) -> bool:
    parts = ("weights", "adapter", "config")
    return all(subject.parts.get(part) == base.parts.get(part) for part in parts)


def _check_named_base(subject: LoadedSubject) -> None:
    """Compare the base that an adapter names with the one it is put on."""
    files = subject.files
    named = files.adapter_config.get("base_model_name_or_path")
    if files.adapter_root is None or not named:
        return
    location = Path(str(named)).expanduser()
    candidates = [location] if location.is_absolute() else [location, files.adapter_root.parent / location]
    for candidate in candidates:
        if not (candidate / "config.json").is_file() and not candidate.name.endswith(".gguf"):
            continue
        try:
            other = weights_digest(
                locate(parse_spec(str(candidate)), allow_pickle=True, allow_remote_code=True)
            )
        except SubjectError:
            continue
        if other != subject.parts["weights"]:
            raise SubjectError(
                f"adapter {files.adapter_root.name!r} was trained on {str(named)!r}, whose weights "
                f"differ from those of {files.root.name!r}; name the model that it was trained on"
            )
        return
    if str(named) not in (files.spec.location, str(files.root)):
        subject.note(
            f"the adapter names {location.name!r} as its base; its weights were not at hand to compare"
        )
