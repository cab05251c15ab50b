"""A finding of the gate's record in words: one short inert line, no number without its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from fmaudit.canonical import digest
from fmaudit.report.escape import terminal

Record: TypeAlias = Mapping[str, Any]
"""``gate/<policy digest>.json``, read."""
Entry: TypeAlias = Mapping[str, Any]
"""One of its findings."""
Status = Literal["fail", "inconclusive", "missing", "waived", "pass"]

NAME_LENGTH = 200
TEXT_LENGTH = 600
MESSAGE_LENGTH = 1000
_STATUS_WORDS: Mapping[Status, str] = {
    "fail": "fails its limit",
    "inconclusive": "is not decided",
    "missing": "was not measured",
    "waived": "is waived",
    "pass": "passes",
}
_FACTS = (
    *("rule", "tier", "severity", "verdict", "kind", "metric", "subject", "model_digest", "variant"),
    *("dataset", "contrast", "word", "reason", "action", "protocol", "fingerprint", "waiver"),
)
_TIERS = ("block", "warn", "monitor")
_STATUSES: tuple[Status, ...] = ("fail", "missing", "inconclusive", "waived", "pass")


def short(text: object, longest: int = TEXT_LENGTH) -> str:
    """Text as one inert line of at most ``longest`` characters; what is cut ends in an ellipsis."""
    line = terminal(str(text)[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def findings_of(record: Record) -> list[Entry]:
    """The findings, what stands in the way of a pass first; otherwise in the order of the policy."""
    return sorted(record["findings"], key=_rank)


def blocks(entry: Entry) -> bool:
    """Whether the finding stands in the way of a pass."""
    return entry["tier"] == "block" and entry["verdict"] != "pass" and not entry["waiver"]


def status(entry: Entry) -> Status:
    """The verdict, or what overrules it in the reader's eyes: a waiver, or that nothing was measured."""
    if entry["verdict"] == "pass":
        return "pass"
    if entry["waiver"]:
        return "waived"
    if entry["missing"]:
        return "missing"
    return "fail" if entry["verdict"] == "fail" else "inconclusive"


def status_words(entry: Entry) -> str:
    """The status as the end of a sentence about the number."""
    return _STATUS_WORDS[status(entry)]


def unexplained(record: Record) -> str:
    """Why the gate does not pass although no finding stands in the way; empty where that is not so."""
    if record["exit_code"] == 0 or any(blocks(entry) for entry in record["findings"]):
        return ""
    if record["verdict"] == "nothing evaluated":
        return "Nothing was evaluated: no rule of the policy found a measured number, so nothing passed."
    return f"The gate is {short(record['verdict'], 40)} and no rule alone accounts for it."


def waiver_of(record: Record, entry: Entry) -> Entry | None:
    """The waiver that covers the finding."""
    return next((waiver for waiver in record["waivers"] if waiver["id"] == entry["waiver"]), None)


def waiver_text(record: Record, entry: Entry) -> str:
    """Who accepted the finding, why and until when."""
    waiver = waiver_of(record, entry)
    if waiver is None:
        return f"Waived by {short(entry['waiver'], NAME_LENGTH)}."
    by, until = short(waiver["id"], NAME_LENGTH), short(waiver["expires"], 40)
    approver, reason = short(waiver["approved_by"], NAME_LENGTH), short(waiver["reason"])
    return f"Waived by {by} until {until}, approved by {approver}: {reason.rstrip('.')}."


def place(entry: Entry) -> str:
    """Which number it is: subject, variant, data set, slice, contrast."""
    levels = slice_text(entry["slice"])
    contrast = f"contrast {entry['contrast']}" if entry["contrast"] else ""
    named = (entry["subject"], entry["variant"], entry["dataset"], levels, contrast)
    return ", ".join(short(part, NAME_LENGTH) for part in named if part)


def slice_text(levels: Mapping[str, str]) -> str:
    """A slice as ``column=level``; empty for all items."""
    return ", ".join(f"{column}={level}" for column, level in sorted(levels.items()))


def allowed(entry: Entry) -> str:
    """What the rule allows; for a rule on verdicts also which one it found."""
    found = f"; it is {short(entry['word'], 40)}" if entry["word"] else ""
    return limit_text(entry) + found


def limit_text(entry: Entry) -> str:
    """What the rule allows."""
    if entry["kind"] == "verdict":
        return "no verdict " + ", ".join(short(word, 40) for word in entry["blocked_words"])
    sides = (("at least", entry["limit"]["min"]), ("at most", entry["limit"]["max"]))
    return " and ".join(f"{word} {value:g}" for word, value in sides if value is not None) or "no limit"


def number_text(entry: Entry) -> str:
    """The value with everything it may not travel without, or that there is none."""
    number = entry["number"]
    if number is None or number["value"] is None:
        return "no value"
    parts = [_interval_text(number), short(number["method"], 60), f"n {number['n']:,}"]
    parts.append(f"coverage {_percent(number['coverage'])}")
    if number["worst_interval"] is not None and number["coverage"] < 1:
        parts.append(f"{_range(*number['worst_interval'])} with missing answers counted as defects")
    return f"{number['value']:.4g} ({', '.join(part for part in parts if part)})"


def claim(entry: Entry) -> str:
    """What the rule is about, without its number."""
    return f"{short(entry['metric'], NAME_LENGTH)} ({short(entry['kind'], 40)}) of {place(entry)}"


def message(entry: Entry, longest: int = MESSAGE_LENGTH) -> str:
    """The finding as sentences: what, the number, the limit, why, what to do."""
    number = f": {number_text(entry)}" if entry["number"] else ""
    whole = f"{claim(entry)} {status_words(entry)}{number}; allowed: {allowed(entry)}."
    for part in (entry["reason"], entry["action"]):
        text = short(part).rstrip(".")
        whole += f" {_begun(text)}." if text else ""
    return short(whole, longest)


def facts(record: Record, entry: Entry) -> dict[str, str]:
    """Everything known of the finding as short texts by name; what is empty is left out."""
    found: dict[str, object] = {name: entry[name] for name in _FACTS} | {
        "slice": slice_text(entry["slice"]),
        "limit": limit_text(entry),
        "missing": "true" if entry["missing"] else "",
        "controls": ", ".join(entry["controls"]),
        "policy": record["policy"]["id"],
        "policy_digest": record["policy"]["digest"],
        "audit": record["audit"],
    }
    texts = found | _number_facts(entry["number"])
    return {name: short(text, TEXT_LENGTH) for name, text in texts.items() if text not in ("", None)}


def fingerprints(entries: Sequence[Entry]) -> Iterator[str]:
    """The fingerprint of each finding; a repeated one is made unique, as readers drop repetitions."""
    seen: dict[str, int] = {}
    for entry in entries:
        mark = str(entry["fingerprint"])
        again = seen[mark] = seen.get(mark, -1) + 1
        yield mark_of(mark, str(again)) if again else mark


def mark_of(*parts: str) -> str:
    """64 hex digits that stand for these texts."""
    # Canonical JSON holds no unpaired surrogate.
    return digest([part.encode("utf-8", "backslashreplace").decode() for part in parts]).rpartition(":")[2]


def _rank(entry: Entry) -> tuple[int, int, int]:
    tier = _TIERS.index(entry["tier"]) if entry["tier"] in _TIERS else len(_TIERS)
    late = status(entry) in ("waived", "pass")
    return int(late), tier, _STATUSES.index(status(entry))


def _begun(sentence: str) -> str:
    first = sentence.partition(" ")[0]
    # What begins with a metric, a subject or a number keeps its spelling.
    return sentence[0].upper() + sentence[1:] if first.strip(",;:").isalpha() else sentence


def _number_facts(number: Mapping[str, Any] | None) -> dict[str, object]:
    if number is None:
        return {}
    worst = number["worst_interval"] or (None, None)
    return {
        "value": number["value"],
        "interval": _range(number["lower"], number["upper"], ""),
        # A level is computed as 1 - 2 alpha, and 0.8999999999999999 is none that anybody chose.
        "level": f"{number['level']:.6g}",
        "method": number["method"],
        "n": number["n"],
        "coverage": number["coverage"],
        "interval_with_missing_as_defects": _range(worst[0], worst[1], ""),
        "conclusive": str(number["conclusive"]).lower(),
    }


def _interval_text(number: Mapping[str, Any]) -> str:
    limits = _range(number["lower"], number["upper"])
    return f"two-sided {number['level'] * 100:.4g} % interval {limits}" if limits else "no interval"


def _range(low: float | None, high: float | None, form: str = ".4g") -> str:
    return "" if low is None or high is None else f"{low:{form}} to {high:{form}}"


def _percent(part: float) -> str:
    if part >= 1:
        return "100 %"
    text = f"{part * 100:.1f}"
    return "above 99.9 %" if text == "100.0" else f"{text} %"
