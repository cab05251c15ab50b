"""Which model of an earlier audit a model of a later one is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.errors import UsageError
from fmaudit.schema import Subject

_COMPARED = ("base", "adapted")


@dataclass(frozen=True)
class Matching:
    """Pairs of models, the earlier first, and those without a counterpart."""

    pairs: tuple[tuple[Subject, Subject], ...]
    only_earlier: tuple[Subject, ...]
    only_later: tuple[Subject, ...]

    def earlier_of(self, later: str) -> Subject | None:
        """The counterpart of a model of the later audit."""
        return next((old for old, new in self.pairs if new.id == later), None)


def match_subjects(
    older: Sequence[Subject], newer: Sequence[Subject], named: Mapping[str, str] | None = None
) -> Matching:
    """Pair the models of two audits: as ``named``, then by role and id, or the only one of a role in each.

    References are controls of their own audit and are paired only where they are named.

    Args:
        older: Models of the earlier audit.
        newer: Models of the later audit.
        named: Ids of the earlier audit with those of the later.

    Raises:
        UsageError: An id that an audit does not have, or a later model named twice.
    """
    pairs = [_named(older, newer, *names) for names in (named or {}).items()]
    taken = [new.id for _, new in pairs]
    twice = next((name for name in taken if taken.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"model {twice!r} of the later audit is named twice: name each model once")
    for role in _COMPARED:
        olds, news = ([found for found in side if found.role == role] for side in (older, newer))
        sole = len(olds) == len(news) == 1
        for old in olds:
            new = next((found for found in news if found.id == old.id), news[0] if sole else None)
            if new is not None and not any(old == one or new == other for one, other in pairs):
                pairs.append((old, new))
    paired = [{old.id for old, _ in pairs}, {new.id for _, new in pairs}]
    only = [
        tuple(found for found in side if found.role in _COMPARED and found.id not in ids)
        for side, ids in zip((older, newer), paired, strict=True)
    ]
    return Matching(tuple(pairs), *only)


def _named(older: Sequence[Subject], newer: Sequence[Subject], old: str, new: str) -> tuple[Subject, Subject]:
    found = []
    for word, side, name in (("earlier", older, old), ("later", newer, new)):
        one = next((subject for subject in side if subject.id == name), None)
        if one is None:
            known = ", ".join(subject.id for subject in side)
            raise UsageError(f"the {word} audit has no model {name!r}: it has {known}")
        found.append(one)
    return found[0], found[1]
