"""The positive control: licence texts that installed distributions carry.

Every model trained on public text has met them, word for word and often. They
are read from the metadata of the installed distributions when the audit runs;
the body of each licence is found by how it begins and ends, so that the result
hardly depends on which distributions are installed. The negative control beside
them was written for this project and published nowhere else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from fmaudit.errors import DataError
from fmaudit.probe import Scalar
from fmaudit_probes.memorization.cutting import Passage, cut_document, cut_passage

PIECES_PER_LICENCE = 6
LONGEST_BODY = 60_000
_FILE_NAME = re.compile(r"licen[cs]e|copying", re.IGNORECASE)
_LONGEST_FILE = 1 << 20


class Family(NamedTuple):
    """A licence, by the words its body begins and ends with (white space is free) and a word it must hold."""

    name: str
    begins: str
    ends: str
    holds: str = ""


FAMILIES = (
    Family(
        "Apache-2.0",
        "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
        "END OF TERMS AND CONDITIONS",
    ),
    Family(
        "MIT",
        "Permission is hereby granted, free of charge, to any person obtaining a copy",
        "DEALINGS IN THE SOFTWARE.",
        "deal in",
    ),
    Family(
        "BSD-3-Clause",
        "Redistribution and use in source and binary forms",
        "SUCH DAMAGE.",
        "Neither the name",
    ),
    Family("MPL-2.0", '1.1. "Contributor"', 'Exhibit B - "Incompatible With Secondary Licenses" Notice'),
    Family(
        "PSF-2.0",
        "1. This LICENSE AGREEMENT is between the Python Software Foundation",
        "of this License Agreement.",
    ),
    Family("BeOpen-Python", "1. This LICENSE AGREEMENT is between BeOpen", "of this License Agreement."),
    Family(
        "CNRI-Python", "1. This LICENSE AGREEMENT is between the Corporation", "of this License Agreement."
    ),
    Family(
        "CWI-Python",
        (
            "Permission to use, copy, modify, and distribute this software and its documentation for any "
            "purpose and without fee"
        ),
        "THIS SOFTWARE.",
    ),
    Family("ISC", "for any purpose with or without fee is hereby granted", "THIS SOFTWARE."),
    Family(
        "BSL-1.0",
        "Permission is hereby granted, free of charge, to any person or organization",
        "DEALINGS IN THE SOFTWARE.",
    ),
    Family("Zlib", "This software is provided 'as-is'", "source distribution."),
    Family(
        "NCSA",
        "Permission is hereby granted, free of charge, to any person obtaining a copy",
        "WITH THE SOFTWARE.",
        "deal with",
    ),
    Family(
        "GPL-3.0", "The GNU General Public License is a free, copyleft license", "END OF TERMS AND CONDITIONS"
    ),
    Family(
        "GCC-exception-3.1", 'This GCC Runtime Library Exception ("Exception")', "of the Independent Modules."
    ),
    Family(
        "CC0-1.0",
        "The laws of most jurisdictions throughout the world automatically confer",
        "use of the Work.",
    ),
)


def licence_rows() -> Iterator[dict[str, Scalar]]:
    """Rows of prefix, suffix, group, document, source: licences as members, written passages as controls.

    Raises DataError when no installed distribution carries a known licence text.
    """
    bodies = licence_bodies(installed_licence_files())
    if not bodies:
        raise DataError(
            "licence_texts: no installed distribution carries a known licence text, so there is no "
            "positive control; install any package that ships its licence, or give extraction_records with "
            "--data"
        )
    for name, body in bodies.items():
        for passage in cut_document(body, PIECES_PER_LICENCE):
            yield _row(passage, "member", name, name)
    for document, text in control_passages():
        yield _row(cut_passage(text), "control", document, "written for this project")


def installed_licence_files() -> Iterator[str]:
    """The texts of the licence files in the metadata of every installed distribution."""
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            if file.parts[0].endswith(".dist-info") and _FILE_NAME.search(file.name):
                try:
                    text = Path(str(distribution.locate_file(file))).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                if len(text) <= _LONGEST_FILE:
                    yield text


def licence_bodies(texts: Iterable[str]) -> dict[str, str]:
    """The body of each known licence, by name, white space collapsed.

    Near-equal bodies count as one licence; the most frequent wording stands for
    it, the first in alphabetical order among equals.
    """
    patterns = [(family, _pattern(family)) for family in FAMILIES]
    found: dict[str, Counter[str]] = {family.name: Counter() for family in FAMILIES}
    for text in texts:
        for family, pattern in patterns:
            bodies = (_collapse(match.group()) for match in pattern.finditer(text))
            body = next((candidate for candidate in bodies if family.holds in candidate), None)
            if body is not None:
                found[family.name][body] += 1
    return {
        name: min(wordings, key=lambda body: (-wordings[body], body))
        for name, wordings in found.items()
        if wordings
    }


def control_passages() -> list[tuple[str, str]]:
    """The negative control: (document, text), written for this project."""
    path = files("fmaudit_probes.memorization") / "data" / "licence_controls.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["document"], row["text"]) for row in rows]


def _pattern(family: Family) -> re.Pattern[str]:
    begins, ends = (
        r"\s+".join(re.escape(word) for word in words.split()) for words in (family.begins, family.ends)
    )
    return re.compile(rf"{begins}.{{0,{LONGEST_BODY}}}?{ends}", re.DOTALL)


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _row(passage: Passage, group: str, document: str, source: str) -> dict[str, Scalar]:
    return {
        "prefix": passage.prefix,
        "suffix": passage.suffix,
        "group": group,
        "document": document,
        "source": source,
    }
