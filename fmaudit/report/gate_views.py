"""The verdicts of policies on a run, as the report prints them; read from the records beside the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.report.gate_marks import verdict_symbol
from fmaudit.report.index import AuditIndex, levels_text
from fmaudit.report.numbers import Scale, quantity_text, scale_of
from fmaudit.report.tones import Tone
from fmaudit.schema import Quantity

NO_GATE = (
    "No policy has been held against this run, so nothing here says whether the model may be released: "
    "`fmaudit gate RUN --policy FILE` does."
)
_TONES: Mapping[str, Tone] = {"pass": "calm", "fail": "alert"}
_SENTENCES = {
    "pass": "Every blocking rule passes: each interval lies within its limit.",
    "fail": "At least one blocking rule fails: its interval lies beyond the limit.",
    "inconclusive": "At least one blocking rule is undecided and none fails: the model does not pass.",
}
_NOTHING = "No rule of this policy applies to what was measured: the model does not pass."


@dataclass(frozen=True)
class GateRow:
    """One rule on one number; ``interval`` is the one the rule was decided on."""

    verdict: str
    symbol: str
    tone: Tone
    rule: str
    tier: str
    title: str
    where: str
    value: str
    interval: str
    n: str
    limit: str
    reason: str
    action: str
    waiver: str


@dataclass(frozen=True)
class GateView:
    """One policy's verdict. ``warnings`` say what a reader has to know before trusting it."""

    policy: str
    description: str
    verdict: str
    symbol: str
    tone: Tone
    sentence: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    waivers: tuple[str, ...]
    rows: tuple[GateRow, ...]


def gate_views(
    index: AuditIndex, gates: Sequence[Mapping[str, Any]], digest: str | None
) -> tuple[GateView, ...]:
    """Every record as a view. ``digest``: of the audit that is printed, to tell records of an older one."""
    return tuple(_view(index, gate, digest) for gate in gates)


def _view(index: AuditIndex, gate: Mapping[str, Any], digest: str | None) -> GateView:
    policy, verdict = _mapping(gate.get("policy")), str(gate.get("verdict", ""))
    findings: Sequence[Mapping[str, Any]] = gate.get("findings", ())
    return GateView(
        policy=str(policy.get("id", "")),
        description=str(policy.get("description", "")),
        verdict=verdict,
        symbol=verdict_symbol(verdict),
        tone=_tone(verdict),
        sentence=_sentence(verdict, findings),
        warnings=_warnings(gate, policy, digest),
        facts=_facts(gate, policy, findings),
        waivers=tuple(_waiver(found) for found in _items(gate.get("waivers")) if isinstance(found, Mapping)),
        rows=tuple(_row(index, found) for found in findings),
    )


def _sentence(verdict: str, findings: Sequence[Mapping[str, Any]]) -> str:
    said = _SENTENCES.get(verdict, _NOTHING)
    waived = sum(bool(found.get("waiver")) for found in findings)
    return f"{said} Findings waived: {waived}." if waived else said


def _warnings(gate: Mapping[str, Any], policy: Mapping[str, Any], digest: str | None) -> tuple[str, ...]:
    found = []
    if not policy.get("locked_before_run"):
        found.append(
            "The policy was not locked before the run began: its limits may have been chosen "
            "with the numbers in view."
        )
    if digest and gate.get("audit") != digest:
        found.append(
            "This verdict was given on another state of the audit than the one printed here: "
            "repeat fmaudit gate."
        )
    return tuple(found)


def _facts(
    gate: Mapping[str, Any], policy: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, str], ...]:
    counts = Counter(str(found.get("verdict", "")) for found in findings)
    release = gate.get("release")
    facts = (
        ("policy", str(policy.get("digest", ""))),
        ("locked", "before the run began" if policy.get("locked_before_run") else "no"),
        ("confidence", _confidence(policy.get("confidence"))),
        ("form", _form(policy.get("form"), gate.get("looks"))),
        ("findings", ", ".join(f"{counts[word]} {word}" for word in ("fail", "inconclusive", "pass"))),
        ("compared with release", str(release.get("digest", "")) if isinstance(release, Mapping) else ""),
    )
    return tuple((name, text) for name, text in facts if text)


def _confidence(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{value * 100:g} % one-sided, so {(2 * value - 1) * 100:g} % intervals"


def _form(form: object, looks: object) -> str:
    if form == "anytime":
        return f"valid at every look; looks so far: {looks}"
    return "fixed number of items, one look"


def _row(index: AuditIndex, found: Mapping[str, Any]) -> GateRow:
    metric, kind, verdict = (str(found.get(name, "")) for name in ("metric", "kind", "verdict"))
    scale = scale_of(index.metrics.get(metric, str(found.get("variant", ""))), difference=kind != "level")
    number = found.get("number")
    shown = _number(number, scale) if isinstance(number, Mapping) else str(found.get("word", "")) or "none"
    value, _, interval = shown.partition(" (")
    return GateRow(
        verdict=verdict,
        symbol=verdict_symbol(verdict),
        tone=_tone(verdict),
        rule=str(found.get("rule", "")),
        tier=str(found.get("tier", "")),
        title=index.metric_title(metric),
        where=_where(index, found, _of_distance(found, kind)),
        value=value,
        interval=interval.removesuffix(")"),
        n=f"{number['n']:,}" if isinstance(number, Mapping) and isinstance(number.get("n"), int) else "—",
        limit=_limit(found, scale),
        reason=str(found.get("reason", "")),
        action=str(found.get("action", "")),
        waiver=str(found.get("waiver", "")),
    )


def _where(index: AuditIndex, found: Mapping[str, Any], kind: str) -> str:
    levels = _mapping(found.get("slice"))
    parts = [
        index.subject_label(str(found.get("subject", ""))),
        kind,
        str(found.get("contrast", "")),
        str(found.get("variant", "")),
        str(found.get("dataset", "")),
        levels_text({str(name): str(level) for name, level in levels.items()}) if levels else "",
    ]
    return " · ".join(part for part in parts if part)


def _of_distance(found: Mapping[str, Any], kind: str) -> str:
    ideal = found.get("ideal")
    return f"{kind} of the distance to {ideal:g}" if isinstance(ideal, int | float) else kind


def _number(number: Mapping[str, Any], scale: Scale) -> str:
    def real(name: str) -> float | None:
        value = number.get(name)
        return float(value) if isinstance(value, int | float) else None

    quantity = Quantity(
        value=real("value"),
        lower=real("lower"),
        upper=real("upper"),
        level=real("level") or 0.0,
        method=str(number.get("method", "")),
    )
    return quantity_text(quantity, scale)


def _limit(found: Mapping[str, Any], scale: Scale) -> str:
    limit, blocked = _mapping(found.get("limit")), _items(found.get("blocked_words"))
    unsigned = Scale(scale.factor, scale.unit, False)
    parts = [
        f"{name} {unsigned.with_unit(f'{float(value) * scale.factor:g}')}"
        for name, value in (("at least", limit.get("min")), ("at most", limit.get("max")))
        if isinstance(value, int | float)
    ]
    return ", ".join(parts) or (f"not {', '.join(map(str, blocked))}" if blocked else "")


def _waiver(found: Mapping[str, Any]) -> str:
    worst = found.get("max_value")
    limit = f", up to {worst:g}" if isinstance(worst, int | float) else ""
    return (
        f"{found.get('id', '')}: approved by {found.get('approved_by', '')}, "
        f"{found.get('created', '')} to {found.get('expires', '')}{limit}. {found.get('reason', '')}"
    )


def _tone(verdict: str) -> Tone:
    return _TONES.get(verdict, "open")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
