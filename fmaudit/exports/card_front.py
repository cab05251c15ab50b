"""The front matter of an existing card: found, checked, and changed only where ``model-index`` stands."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from fmaudit.errors import UsageError
from fmaudit.exports.card_metadata import TOOL
from fmaudit.exports.card_yaml import dump, line

KEY = "model-index"
# As the hub reads cards: an opening line of three dashes, and the first line that begins with three.
_BLOCK = re.compile(r"(\s*---\n)(.*?)(\n---[ \t]*(?:\n|$))", re.DOTALL)
_EMPTY = re.compile(r"(\s*---\n)---[ \t]*(?:\n|$)")
_OPENING = re.compile(r"\s*---[ \t]*\n")


@dataclass(frozen=True)
class FrontMatter:
    """Where the YAML of a card stands: ``start`` to ``end`` of the text; ``stop`` is behind its last line."""

    start: int
    end: int
    stop: int
    first_line: int
    yaml: str
    data: dict[str, Any]


def read_front_matter(text: str) -> FrontMatter | None:
    """The front matter of a card with line feeds; None where it has none.

    Raises UsageError with a line number where it is broken.
    """
    found = _BLOCK.match(text)
    if found is None:
        empty = _EMPTY.match(text)
        if empty:
            return FrontMatter(
                empty.end(1), empty.end(1), empty.end(), text[: empty.end(1)].count("\n"), "", {}
            )
        if _OPENING.match(text):
            opened = text[: text.index("---")].count("\n") + 1
            raise UsageError(f"line {opened}: the front matter that begins here has no closing line '---'")
        return None
    first_line = text[: found.start(2)].count("\n") + 1
    block = found.group(2)
    data = load(block, first_line)
    return FrontMatter(found.start(2), found.end(2), found.end(), first_line, block, data)


def load(block: str, first_line: int) -> dict[str, Any]:
    """The YAML as plain data. Raises UsageError with the line in the card where it is broken."""
    try:
        root = yaml.compose(block, Loader=yaml.SafeLoader)
        data = yaml.safe_load(block)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = first_line + (mark.line if mark else 0)
        raise UsageError(f"line {place}: broken YAML: {line(error.problem or error, 120)}") from None
    except yaml.reader.ReaderError as error:
        place = first_line + block[: error.position].count("\n")
        raise UsageError(f"line {place}: broken YAML: {line(error.reason, 120)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"line {first_line}: broken YAML: {line(error, 120)}") from None
    if data is None:
        return {}
    if not isinstance(data, dict) or not isinstance(root, yaml.MappingNode):
        raise UsageError(f"line {first_line}: the front matter is no mapping of names to values")
    seen: set[str] = set()
    for key, _value in root.value:
        if key.value in seen:
            place = first_line + key.start_mark.line
            raise UsageError(f"line {place}: the key {line(key.value, 60)!r} is there twice")
        seen.add(key.value)
    if root.flow_style:
        raise UsageError(f"line {first_line}: the front matter is written in braces; write a key a line")
    return data


def with_results(front: FrontMatter, name: str, results: Sequence[dict[str, Any]], model: str) -> str:
    """The YAML with our results merged into ``model-index``; everything else keeps its bytes.

    Of our earlier results those of the same task, data set and probe are replaced,
    those of other weights than ``model`` (a digest) removed, and others kept.
    """
    node = _value_node(front.yaml)
    if node is None:
        return front.yaml if not results else _appended(front.yaml, _entry(name, results))
    entries = front.data[KEY] or []
    old = _results_of(entries, front)
    mine = [place for place, found in enumerate(old) if _stale(found, results, model)]
    sequence = _results_node(node)
    spliced = sequence is not None and bool(results or len(sequence.value) > len(mine))
    if sequence is not None and spliced:
        changed = _spliced(front.yaml, sequence, mine, results)
    else:
        kept = [found for place, found in enumerate(old) if place not in mine]
        first = mine[0] if mine else len(kept)
        merged = [*kept[:first], *results, *kept[first:]]
        changed = _rewritten(front.yaml, node, _with_merged(entries, name, merged))
    _check_others(front, changed, spliced)
    return changed


def is_ours(result: Any) -> bool:
    """Whether fmaudit wrote a ``model-index`` result: by its source, or by every metric's ``args``."""
    if not isinstance(result, dict):
        return False
    source = result.get("source")
    if isinstance(source, dict) and source.get("name") == TOOL:
        return True
    metrics = result.get("metrics")
    return isinstance(metrics, list) and bool(metrics) and all(_args(m).get("tool") == TOOL for m in metrics)


def _stale(found: Any, results: Sequence[dict[str, Any]], model: str) -> bool:
    if not is_ours(found):
        return False
    about = {_args(metric).get("model") for metric in found.get("metrics") or ()}
    return about != {model} or _key(found) in {_key(result) for result in results}


def _key(result: dict[str, Any]) -> tuple[str, ...]:
    task, dataset = result.get("task"), result.get("dataset")
    task, dataset = (found if isinstance(found, dict) else {} for found in (task, dataset))
    return str(task.get("type")), str(dataset.get("type")), str(dataset.get("config"))


def _args(metric: Any) -> dict[str, Any]:
    args = metric.get("args") if isinstance(metric, dict) else None
    return args if isinstance(args, dict) else {}


def _results_of(entries: Any, front: FrontMatter) -> list[Any]:
    broken = UsageError(f"line {_line_of(front)}: {KEY} is no list of a name with results")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise broken
    found = (entries[0].get("results") or []) if entries else []
    if not isinstance(found, list):
        raise broken
    return found


def _line_of(front: FrontMatter) -> int:
    node = _value_node(front.yaml)
    return front.first_line + (node.start_mark.line if node is not None else 0)


def _value_node(block: str) -> yaml.Node | None:
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == KEY), None)


def _results_node(node: yaml.Node) -> yaml.SequenceNode | None:
    """The block list of results of the first entry; None where it cannot be changed item by item."""
    if not isinstance(node, yaml.SequenceNode) or node.flow_style or not node.value:
        return None
    pairs = node.value[0].value if isinstance(node.value[0], yaml.MappingNode) else []
    found = next((value for key, value in pairs if key.value == "results"), None)
    block = isinstance(found, yaml.SequenceNode) and not found.flow_style and not node.value[0].flow_style
    return found if block else None


def _spliced(
    block: str, sequence: yaml.SequenceNode, mine: Sequence[int], results: Sequence[dict[str, Any]]
) -> str:
    spans = _item_spans(block, sequence)
    start = spans[0][0]
    indent = block[start : block.index("-", start)]
    lines = dump(list(results)).splitlines(keepends=True) if results else []
    ours = "".join(indent + found for found in lines)
    at = spans[mine[0]][0] if mine else spans[-1][1]
    parts, done = [], 0
    for place, (begin, end) in enumerate(spans):
        parts.append(block[done:begin])
        if begin == at:
            parts.append(ours)
        parts.append("" if place in mine else block[begin:end])
        done = end
    if at == spans[-1][1]:
        # The last line of the block has no line feed of its own.
        parts.append(ours if block[at - 1 : at] == "\n" else "\n" + ours)
    return _closed(block, "".join(parts) + block[done:])


def _item_spans(block: str, sequence: yaml.SequenceNode) -> list[tuple[int, int]]:
    """From the line of each item's dash to the end of its last line; comments between items stay outside."""
    tokens = list(yaml.scan(block, Loader=yaml.SafeLoader))
    dashes = [t.start_mark.index for t in tokens if isinstance(t, yaml.BlockEntryToken)]
    ends = sorted({t.end_mark.index for t in tokens if t.end_mark.index > t.start_mark.index})
    starts = [dashes[bisect.bisect_right(dashes, item.start_mark.index) - 1] for item in sequence.value]
    spans = []
    for place, item in enumerate(sequence.value):
        limit = starts[place + 1] if place + 1 < len(starts) else item.end_mark.index
        last = ends[bisect.bisect_right(ends, limit) - 1]
        end = last if block[last - 1 : last] == "\n" else block.find("\n", last) + 1 or len(block)
        spans.append((block.rfind("\n", 0, starts[place]) + 1, end))
    return spans


def _rewritten(block: str, node: yaml.Node, value: Any) -> str:
    tokens = yaml.scan(block, Loader=yaml.SafeLoader)
    ends = [t.end_mark.index for t in tokens if t.end_mark.index > t.start_mark.index]
    line_start = block.rfind("\n", 0, _key_index(block)) + 1
    last = max((end for end in ends if end <= node.end_mark.index), default=node.end_mark.index)
    end = last if block[last - 1 : last] == "\n" else block.find("\n", last) + 1 or len(block)
    _without_aliases(block, node)
    return _closed(block, block[:line_start] + dump({KEY: value}) + block[end:])


def _key_index(block: str) -> int:
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next(int(key.start_mark.index) for key, _value in pairs if key.value == KEY)


def _with_merged(entries: list[Any], name: str, merged: list[Any]) -> list[Any]:
    first = {**entries[0], "results": merged} if entries else {"name": line(name), "results": merged}
    return [first, *entries[1:]]


def _entry(name: str, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": line(name), "results": list(results)}]


def _appended(block: str, value: Any) -> str:
    return (block + "\n" if block else "") + dump({KEY: value}).removesuffix("\n")


def _closed(block: str, changed: str) -> str:
    # The line feed before the closing dashes is not part of the block.
    return changed if block.endswith("\n") else changed.removesuffix("\n")


def _without_aliases(block: str, node: yaml.Node) -> None:
    start, end = node.start_mark.index, node.end_mark.index
    for token in yaml.scan(block, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken) and start <= token.start_mark.index < end:
            raise UsageError(f"{KEY} uses aliases ('*name') and cannot be merged; write them out")


def _check_others(front: FrontMatter, changed: str, spliced: bool) -> None:
    # Anchors and aliases may reach into what was replaced. Nodes are compared and not
    # values, which aliases could blow up.
    try:
        data = load(changed, front.first_line)
    except UsageError as error:
        raise UsageError(f"{KEY} cannot be merged, other keys refer to it: {error}") from None
    same = _other_keys(front.yaml) == _other_keys(changed)
    if same and spliced:
        same = _other_items(front.yaml, front.data) == _other_items(changed, data)
    elif same:
        same = repr(_foreign(front.data)) == repr(_foreign(data))
    if not same:
        raise UsageError(f"{KEY} cannot be merged without changing what others wrote; merge it by hand")


def _other_keys(block: str) -> dict[str, str]:
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return {yaml.serialize(key): yaml.serialize(value) for key, value in pairs if key.value != KEY}


def _other_items(block: str, data: dict[str, Any]) -> list[str]:
    node = _value_node(block)
    sequence = _results_node(node) if node is not None else None
    items = sequence.value if sequence is not None else []
    found = data[KEY][0].get("results") or []
    return [yaml.serialize(item) for item, value in zip(items, found, strict=True) if not is_ours(value)]


def _foreign(data: dict[str, Any]) -> list[Any]:
    entries = data[KEY] or []
    results = (entries[0].get("results") or []) if entries else []
    return [[found for found in results if not is_ours(found)], entries[1:]]
