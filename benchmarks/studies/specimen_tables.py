"""What the study of specimens counts, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DIRECTIONS = {"amplified": 1, "introduced": 1, "mitigated": -1, "repaired": -1}
UNRESOLVED = ("inconclusive", "changed, size unresolved")


@dataclass(frozen=True)
class Cell:
    """One child and defect: what is true, what was said, and how far truth is from a boundary."""

    family: int
    child: str
    stranger: bool
    defect: str
    base_rate: float
    child_rate: float
    truth: str
    distance: float
    said: str
    said_if_verified: str
    flags: tuple[str, ...]
    lineage: bool | None
    references: int


@dataclass(frozen=True)
class Summary:
    """What the study counts."""

    planted: int
    far: int
    far_right: int
    near: int
    near_acceptable: int
    wrong_direction: int
    strangers: int
    strangers_inherited: int
    strangers_inherited_if_verified: int
    broken_mitigated: int
    children_verified: tuple[int, int]
    strangers_refuted: tuple[int, int]


def summary(cells: Sequence[Cell]) -> Summary:
    """Counts over cells."""
    own = [cell for cell in cells if not cell.stranger]
    far = [cell for cell in own if cell.distance > 2]
    near = [cell for cell in own if cell.distance <= 2]
    other = [cell for cell in cells if cell.stranger]
    children = {(cell.family, cell.child): cell.lineage for cell in own}
    strangers = {(cell.family, cell.child): cell.lineage for cell in other}
    return Summary(
        planted=len(own),
        far=len(far),
        far_right=sum(cell.said == cell.truth for cell in far),
        near=len(near),
        near_acceptable=sum(cell.said == cell.truth or cell.said in UNRESOLVED for cell in near),
        wrong_direction=sum(
            DIRECTIONS.get(cell.said, 0) * np.sign(cell.child_rate - cell.base_rate) < 0
            for cell in own
            if cell.defect != "occupation_gender" or cell.base_rate > 0.5
        ),
        strangers=len(other),
        strangers_inherited=sum(cell.said == "inherited" for cell in other),
        strangers_inherited_if_verified=sum(cell.said_if_verified == "inherited" for cell in other),
        broken_mitigated=sum(
            cell.child == "broken" and cell.said in ("mitigated", "repaired") for cell in own
        ),
        children_verified=(sum(v is True for v in children.values()), len(children)),
        strangers_refuted=(sum(v is False for v in strangers.values()), len(strangers)),
    )


def page(cells: Sequence[Cell], families: int, planted: int, minutes: float) -> str:
    """The study as a Markdown page."""
    found = summary(cells)
    lines = [
        "# Study: verdicts on specimens against known truth",
        "",
        "Written by `benchmarks/studies/specimens.py`; run it again with",
        "`python -m benchmarks.studies.specimens --work DIR --out docs/studies/specimens.md`",
        f"({minutes:.0f} minutes on two cores, training included).",
        "",
        f"{families} independently planted families ({planted} of them with known truth of their children),",
        "1,000 items a defect; every base is also audited with three unrelated models declared as its",
        "children. Truth is the decision table applied to rates on 20,000 fresh items; where fewer than",
        "three references are as able as the child, and as often wrong or matched to it by severity, it has",
        "no good references either. A cell is one child and one defect. A cell is *far* when its truth is",
        "more than 2 standard errors of the audit from every boundary that decides its word.",
        "",
        "| count | figure |",
        "|---|---|",
        f"| planted cells | {found.planted} |",
        f"| far cells with the right word | {found.far_right} of {found.far} |",
        f"| near cells with the right word or unresolved | {found.near_acceptable} of {found.near} |",
        f"| words wrong in direction | {found.wrong_direction} |",
        f"| unrelated child x defect cells | {found.strangers} |",
        f"| of these called inherited | {found.strangers_inherited} |",
        f"| the same, had their lineage been verified | {found.strangers_inherited_if_verified} |",
        f"| broken child called mitigated or repaired | {found.broken_mitigated} |",
        f"| true children verified | {found.children_verified[0]} of {found.children_verified[1]} |",
        f"| strangers refuted | {found.strangers_refuted[0]} of {found.strangers_refuted[1]} |",
        "",
        "## Truth against word, planted cells",
        "",
    ]
    own = [cell for cell in cells if not cell.stranger]
    said = sorted({cell.said for cell in own})
    lines += ["| truth | " + " | ".join(said) + " |", "|---" * (len(said) + 1) + "|"]
    for truth in sorted({cell.truth for cell in own}):
        counts = [sum(c.truth == truth and c.said == word for c in own) for word in said]
        lines.append(f"| {truth} | " + " | ".join(map(str, counts)) + " |")
    lines += [
        "",
        "## By child and defect",
        "",
        "| child | defect | base rate | child rate | truth | said |",
        "|---" * 6 + "|",
    ]
    for child in dict.fromkeys(cell.child for cell in cells):
        for defect in dict.fromkeys(cell.defect for cell in cells):
            group = [cell for cell in cells if (cell.child, cell.defect) == (child, defect)]
            if group:
                lines.append(
                    f"| {child} | {defect} | {np.mean([c.base_rate for c in group]):.3f} | "
                    f"{np.mean([c.child_rate for c in group]):.3f} | {tally(c.truth for c in group)} | "
                    f"{tally(c.said for c in group)} |"
                )
    return "\n".join(lines) + "\n"


def tally(words) -> str:
    """Words with their counts, most frequent first."""
    from collections import Counter

    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common())
