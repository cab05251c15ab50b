"""Who was adapted from whom: verified before anything is measured, and recorded with each subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmaudit.cards import load_card
from fmaudit.data import load_dataset
from fmaudit.plan import PlannedMeasurement
from fmaudit.running.options import Progress, RunOptions
from fmaudit.running.parties import Party
from fmaudit.schema import quantity

NEUTRAL_TEXTS = "neutral_texts"
LINEAGE_PASSAGES = 44
"""Passages whose next tokens are compared: two thousand positions say enough, and each costs a pass."""
CONTROLLED_PASSAGES = 120
"""The same where there are references: of several unrelated pairs one agrees best by chance, and the interval
of its agreement has to end within the margin above the next best."""


def lineages(
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    options: RunOptions,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """The lineage record of every adapted subject and reference; nothing where there is only a base."""
    from fmaudit.subjects.kinship import verify_lineage
    from fmaudit.subjects.token_divergence import token_divergence

    base = next(party for party in parties if party.role == "base")
    adapted = {party.id: party for party in parties if party.role == "adapted"}
    references = {party.id: party for party in parties if party.role == "reference"}
    if not adapted and not references:
        return {}
    texts = neutral_texts(planned, options, controlled=bool(references))
    parents = {
        name: party.parent
        for name, party in adapted.items()
        if party.parent is not None and party.parent != base.id
    }
    progress.start("verifying the lineage", len(parties))
    found = verify_lineage(
        base.subject,
        {name: party.subject for name, party in adapted.items()},
        {name: party.subject for name, party in references.items()},
        texts,
        parents=parents,
        progress=lambda _label, _done, _total: progress.advance(1),
    )
    progress.finish()
    steps = {name: finding.verified for name, finding in found.adapted.items()}
    records: dict[str, dict[str, Any]] = {}
    for name, party in adapted.items():
        chain = ancestry(name, parents)
        direct = len(chain) == 1
        records[name] = {
            "declared": party.parent,
            "verified": steps[name],
            "evidence": found.adapted[name].evidence,
            "from_base": descends([steps[step] for step in chain]),
            "from_base_evidence": found.adapted[name].evidence
            if direct
            else "by its chain of declared parents: " + ", ".join(reversed(chain)),
            "divergence_bits": quantity(
                token_divergence(base.subject, party.subject, texts[:LINEAGE_PASSAGES])
            ).model_dump(),
        }
    for name in references:
        finding = found.references[name]
        records[name] = {
            "from_base": finding.verified,
            "from_base_evidence": finding.evidence,
            "group": found.groups[name],
        }
    return records


def neutral_texts(
    planned: Sequence[PlannedMeasurement], options: RunOptions, *, controlled: bool
) -> list[str]:
    """The first neutral passages of the run, more with references; embedded ones where no probe asks any."""
    count = CONTROLLED_PASSAGES if controlled else LINEAGE_PASSAGES
    for entry in planned:
        if entry.dataset is not None and entry.dataset.id == NEUTRAL_TEXTS:
            return [str(row["text"]) for row in entry.dataset.rows[:count]]
    dataset = load_dataset(load_card(NEUTRAL_TEXTS), options.data.get(NEUTRAL_TEXTS))
    return [str(row["text"]) for row in dataset.rows[:count]]


def ancestry(name: str, parents: Mapping[str, str]) -> list[str]:
    """The adapted subjects from ``name`` back to the one adapted from the base itself."""
    chain = [name]
    while chain[-1] in parents and parents[chain[-1]] not in chain:
        chain.append(parents[chain[-1]])
    return chain


def descends(steps: Sequence[bool | None]) -> bool | None:
    """Whether the first of a chain descends from the base, from its own step back to the base's.

    Verified where every step is; refuted where the later part of the chain is
    verified and a step before it is refuted: its true origin then is another model.
    """
    if all(step is True for step in steps):
        return True
    for place, step in enumerate(steps):
        if step is True:
            continue
        return False if step is False and (place > 0 or len(steps) == 1) else None
    return None
