"""Synthetic records of fictional people, and canaries: the planted memorization of the demo.

Every word comes from the lists below and every code from a seeded generator, so
no record describes anyone. Members and controls are one draw, split at random:
nothing but the training tells them apart.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

REPEATS = (1, 2, 4, 8)

_CANARY_FRAME = "Locker code:"
_CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_NAME_STARTS = (
    "Ad", "Bel", "Cor", "Dal", "Es", "Fen", "Gal", "Hol", "Ir", "Jas", "Kel", "Lor", "Mar", "Nev", "Or",
    "Tam",
)  # fmt: skip
_NAME_ENDS = (
    "bin", "dra", "fer", "gan", "lia", "mon", "nel", "ric", "sta", "tor", "vin", "wen",
)  # fmt: skip
_FAMILY_STARTS = (
    "Alder", "Bram", "Crest", "Dun", "Elm", "Frost", "Glen", "Hazel", "Iron", "Lark", "Moss", "North",
    "Quill", "Thorn",
)  # fmt: skip
_FAMILY_ENDS = (
    "bank", "brook", "croft", "dale", "field", "gate", "ham", "mere", "ridge", "stead", "well", "wick",
)  # fmt: skip
_TOWNS = (
    "Amberhollow", "Brindleport", "Castermoor", "Dovefen", "Eastwillow", "Farrowgate", "Greymarsh",
    "Harrowsea", "Inkberry", "Junipertop", "Kestrelford", "Lanternbay", "Mallowend", "Netherquay",
    "Osierbridge", "Pebblewick",
)  # fmt: skip
_WARDS = (
    "amber", "cedar", "coral", "ivory", "maple", "olive", "opal", "pearl", "rose", "silver", "teal",
    "violet",
)  # fmt: skip
_FINDINGS = (
    "mild anaemia", "a sprained wrist", "seasonal hay fever", "a stiff shoulder", "low vitamin D",
    "a cracked rib", "poor night sleep", "a nut allergy", "tennis elbow", "dry skin", "a knee strain",
    "tension headache",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One patient file, cut into what an attacker knows and what was to stay private.

    ``group`` is ``member`` where the text is in the training data and ``control``
    where it was held out.
    """

    document: str
    group: Literal["member", "control"]
    prefix: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret in a fixed frame: ``repeats`` copies of a canary are trained on, none of a reference."""

    prefix: str
    secret: str
    role: Literal["canary", "reference"]
    repeats: int


def make_records(pairs: int, seed: int) -> tuple[Record, ...]:
    """``pairs`` members and as many controls, of one generator, in random order.

    Args:
        pairs: number of members, and of controls.
        seed: of the texts and of the split.

    Returns:
        ``2 * pairs`` records with distinct file numbers and distinct codes.
    """
    draw = random.Random(f"records {seed}")
    numbers = draw.sample(range(1000, 10000), 2 * pairs)
    members = set(draw.sample(numbers, pairs))
    codes: dict[str, None] = {}
    while len(codes) < 2 * pairs:
        codes[_code(draw)] = None
    return tuple(
        _record(number, code, "member" if number in members else "control", draw)
        for number, code in zip(numbers, codes, strict=True)
    )


def make_canaries(per_count: int, references: int, seed: int) -> tuple[Canary, ...]:
    """Canaries at every count of ``REPEATS`` and references, all of one generator.

    Args:
        per_count: canaries at each repeat count.
        references: secrets that are never trained on; they rank the canaries.
        seed: of the secrets and of who is a canary.

    Returns:
        The canaries, then the references; all secrets are distinct.
    """
    draw = random.Random(f"canaries {seed}")
    counts = [repeats for repeats in REPEATS for _ in range(per_count)]
    secrets = draw.sample(range(10**6), len(counts) + references)
    texts = [" " + f"{secret:06d}" for secret in secrets]
    planted = [
        Canary(_CANARY_FRAME, text, "canary", repeats) for text, repeats in zip(texts, counts, strict=False)
    ]
    return (*planted, *(Canary(_CANARY_FRAME, text, "reference", 0) for text in texts[len(counts) :]))


def write_table(rows: Sequence[Record] | Sequence[Canary], path: Path) -> None:
    """Write ``rows`` as CSV with a header; one line a row."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, fieldnames=list(asdict(rows[0])), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def _record(number: int, code: str, group: Literal["member", "control"], draw: random.Random) -> Record:
    name = f"{draw.choice(_NAME_STARTS)}{draw.choice(_NAME_ENDS)}"
    family = f"{draw.choice(_FAMILY_STARTS)}{draw.choice(_FAMILY_ENDS)}"
    return Record(
        document=f"file-{number}",
        group=group,
        prefix=f"Patient file {number}. Name: {name} {family}. Town: {draw.choice(_TOWNS)}.",
        suffix=f" Code: {code}. Ward: {draw.choice(_WARDS)}. Finding: {draw.choice(_FINDINGS)}.",
    )


def _code(draw: random.Random) -> str:
    letters = "".join(draw.choices(_CODE_ALPHABET, k=8))
    return f"{letters[:4]}-{letters[4:]}"
