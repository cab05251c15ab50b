"""The two files that Inspect writes: ``.json``, one object, and ``.eval``, a zip archive of JSON members.

What its own reader does is done here (inspect_ai 0.3.285): every ``.json`` member under ``samples/`` is a
sample, whatever its id did to its name; of members of one name the last counts, as a re-scored sample is
appended; a log without ``header.json`` is one that has not ended, begun in ``_journal/start.json``. A sample
may also be a folder: ``sample.json`` with its metadata and attachments beside it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from fmaudit.errors import DataError
from fmaudit.imports.reading import MAX_ROWS, clean, mapping, member_names, read_json, read_members

HEADER, START = "header.json", "_journal/start.json"
_FOLDER = "samples/"
_SHELL = re.compile(r"(samples/.+_epoch_\d+)/sample\.json", re.DOTALL)
_PART = re.compile(r"(?:metadata|skeleton)\.json|(?:messages|events|calls|attachments)/[^/]+\.json")
_CHUNK = re.compile(r"attachments/(\d{1,15})\.json")
SAMPLE_FIELDS = ("id", "epoch", "input", "choices", "target", "metadata", "scores", "output", "error",
                 "attachments", "invalidation")  # fmt: skip

Sample = tuple[str, Mapping[str, Any]]
"""Where a sample stands, for messages, and what it holds."""


def read_plain(path: Path) -> tuple[Mapping[str, Any], list[Sample]]:
    """Header and samples of a ``.json`` log. Raises DataError, naming the file, for anything that is none."""
    header = read_json(path)
    samples = header.get("samples")
    if not isinstance(samples, list):
        raise DataError(f"{path.name} holds no samples: log them (do not use --no-log-samples)")
    if len(samples) > MAX_ROWS:
        raise DataError(f"{path.name} has more than {MAX_ROWS:,} samples: import a part of it")
    return header, [
        (f"{path.name}, sample {place}", mapping(entry)) for place, entry in enumerate(samples, 1)
    ]


def read_archive(path: Path) -> tuple[Mapping[str, Any], list[Sample]]:
    """Header and samples of an ``.eval`` log. Raises DataError, naming the file and member."""
    names = member_names(path)
    shells = frozenset(match[1] for name in names if (match := _SHELL.fullmatch(name)))
    header: Mapping[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {prefix: {} for prefix in shells}
    samples: dict[str, Mapping[str, Any]] = {}
    for name, content in read_members(path, [name for name in names if _is_read(name, shells)]):
        prefix = _prefix(name, shells)
        if name == HEADER:
            header = mapping(content)
        elif name == START:
            header = header or {"status": "started", **mapping(content)}
        elif prefix:
            parts[prefix][name[len(prefix) + 1 :]] = content
        else:
            samples[name] = _sample(content, f"{path.name}, {clean(name, 120)}")
    if not header or (HEADER not in names and not isinstance(header.get("eval"), Mapping)):
        raise DataError(f"{path.name} has no {HEADER}: the evaluation did not finish")
    return header, [
        (f"{path.name}, {clean(name, 120)}", {**content, **_beside(parts.get(name.rpartition("/")[0], {}))})
        for name, content in samples.items()
    ]


def _sample(content: Any, place: str) -> Mapping[str, Any]:
    """The fields of a sample that are read; the rest of it, events above all, is let go at once."""
    if not isinstance(content, Mapping) or "id" not in content or "epoch" not in content:
        raise DataError(
            f"{place} is no sample: it has no id and epoch, so the layout of this archive is not known; "
            "convert it (inspect log convert --to json) and import that"
        )
    return {field: content.get(field) for field in SAMPLE_FIELDS}


def _is_read(name: str, shells: Container[str]) -> bool:
    """Whether a member is read: of a sample that is a folder, only what says what was asked and answered."""
    if name in (HEADER, START):
        return True
    if not (name.startswith(_FOLDER) and name.endswith(".json")):
        return False
    prefix = _prefix(name, shells)
    part = name[len(prefix) + 1 :]
    return not prefix or part == "metadata.json" or bool(_CHUNK.fullmatch(part))


def _prefix(name: str, shells: Container[str]) -> str:
    """The folder of the sample that a member is a part of; empty where it is a sample of its own."""
    cut = name.rfind("/")
    while cut > 0:
        if name[:cut] in shells and _PART.fullmatch(name, cut + 1):
            return name[:cut]
        cut = name.rfind("/", 0, cut)
    return ""


def _beside(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata and attachments of a sample that is a folder; attachments are known by their index."""
    found: dict[str, Any] = {}
    if "metadata.json" in parts:
        found["metadata"] = parts["metadata.json"]
    texts: dict[str, Any] = {}
    for name, content in parts.items():
        match = _CHUNK.fullmatch(name)
        if match and isinstance(content, list):
            texts |= {str(int(match[1]) + place): text for place, text in enumerate(content)}
    return found | ({"attachments": texts} if texts else {})
