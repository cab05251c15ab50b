"""How a family is audited: the arguments of ``fmaudit run``."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.specimens.family import Family
from fmaudit.specimens.items import NEUTRAL, TARGETS
from fmaudit.specimens.recipes import BASE

SAMPLES = 5


@dataclass(frozen=True, slots=True)
class AuditArguments:
    """Model strings with names and parents, the probes of the planted defects, and their data."""

    base: str
    adapted: tuple[str, ...]
    references: tuple[str, ...]
    probes: tuple[str, ...]
    data: dict[str, str]
    samples: int = SAMPLES


def audit_arguments(family: Family) -> AuditArguments:
    """The arguments that audit a family with every defect's own probe, and its capability."""
    targets = (*TARGETS.values(), NEUTRAL)
    return AuditArguments(
        base=f"{BASE}={family.models[BASE]}",
        adapted=tuple(
            f"{name}={place}" + _declared(family.parents[name])
            for name, place in family.models.items()
            if name != BASE
        ),
        references=tuple(f"{name}={place}" for name, place in family.references.items()),
        probes=tuple(dict.fromkeys(target.probe for target in targets)),
        data={name: str(path) for name, path in family.data.items()},
    )


def _declared(parent: str) -> str:
    return "" if parent == BASE else f"::parent={parent}"
