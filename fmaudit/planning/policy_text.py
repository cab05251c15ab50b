"""A policy's prospects as text for a terminal and as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fmaudit.gate.policy import PolicyFile
from fmaudit.planning.assumptions import Assumption
from fmaudit.planning.outlooks import DETECTED, Prospect
from fmaudit.report.plain_table import wrapped

_TIERS = {"block": "blocks", "warn": "warns", "monitor": "is watched"}
_INDENT = "    "
_RARE = 0.001


def prospect_lines(file: PolicyFile, found: Sequence[Prospect], blocking: int, width: int) -> list[str]:
    """The outlook of every rule, one paragraph a claim, the warnings with it."""
    defaults = file.policy.defaults
    form = "a run of fixed size" if defaults.form == "fixed" else "a run that may be looked at as it grows"
    head = (
        f"Policy {file.policy.id} ({file.digest}): {len(file.policy.rules)} rules, {blocking} blocking "
        f"findings that have to pass together with power {defaults.power:g}; confidence "
        f"{defaults.confidence:g} one-sided; {form}."
    )
    lines = ["POLICY", wrapped(head, width)]
    rule = ""
    for prospect in found:
        if prospect.claim.rule.id != rule:
            rule = prospect.claim.rule.id
            lines += ["", wrapped(f"{rule} ({_TIERS[prospect.claim.rule.tier]})", width)]
        texts = _texts(prospect)
        lines.append(wrapped(texts[0], width, _INDENT, "  "))
        lines += [wrapped(text, width, _INDENT + "  ", _INDENT) for text in texts[1:]]
    return lines


def summary_line(found: Sequence[Prospect]) -> str:
    """Whether the run as planned can decide the policy, in one sentence."""
    blocking = [prospect for prospect in found if prospect.claim.rule.tier == "block"]
    if not blocking:
        return "No rule of this policy blocks."
    stopped = _rules(blocking, lambda one: one.known and bool(one.warnings))
    short = _rules(blocking, lambda one: one.needed is not None and one.needed > one.claim.asked)
    unknown = _rules(blocking, lambda one: not one.known)
    said = []
    if stopped:
        said.append(f"As planned the run cannot be expected to pass: {stopped} (see the warnings).")
    elif short:
        said.append(f"The run asks fewer items than the policy needs: {short}.")
    elif not unknown:
        said.append("The run has the items that every blocking rule needs, under the assumptions stated.")
    if unknown:
        said.append(f"Not known beforehand: {unknown} (the warnings say what it takes).")
    return " ".join(said)


def _rules(found: Sequence[Prospect], chosen: Callable[[Prospect], bool]) -> str:
    return ", ".join(sorted({prospect.claim.rule.id for prospect in found if chosen(prospect)}))


def plain_prospects(file: PolicyFile, found: Sequence[Prospect], blocking: int) -> dict[str, Any]:
    """The same as plain data."""
    defaults = file.policy.defaults
    return {
        "policy": {
            "id": file.policy.id,
            "digest": file.digest,
            "confidence": defaults.confidence,
            "form": defaults.form,
            "power": defaults.power,
            "blocking_findings": blocking,
        },
        "claims": [_plain(prospect) for prospect in found],
    }


def _plain(found: Prospect) -> dict[str, Any]:
    claim = found.claim
    return {
        "rule": claim.rule.id,
        "tier": claim.rule.tier,
        "kind": claim.kind,
        "metric": claim.rule.metric,
        "contrast": claim.rule.contrast or "",
        "models": list(claim.models),
        "measurement": claim.entry.key if claim.entry else "",
        "slice": dict(claim.slice),
        "distance_to": claim.ideal,
        "limit": {"min": claim.limit.min, "max": claim.limit.max},
        "asked": claim.asked,
        "available": claim.available,
        "needed": found.needed,
        "run_items_needed": found.run_items,
        "detectable": found.detectable,
        "detection_power": DETECTED,
        "passes_to": found.passes_to,
        "fails_from": found.fails_from,
        "chance_to_pass": found.chance,
        "limit_reachable": found.reachable,
        "assumptions": [vars(one) for one in found.assumptions],
        "warnings": list(found.warnings),
    }


def _texts(found: Prospect) -> list[str]:
    claim = found.claim
    what = (
        claim.rule.metric if claim.rule.contrast is None else f"{claim.rule.contrast} of {claim.rule.metric}"
    )
    where = [claim.entry.key.partition("@")[2]] if claim.entry else []
    where += [f"{column} {level}" for column, level in claim.slice.items()]
    place = f" ({', '.join(part for part in where if part)})" if any(where) else ""
    limit = claim.limit.text() if claim.limit.sides else f"not {', '.join(_blocked(found))}"
    number = what if claim.ideal is None else f"the distance to {claim.ideal:g} of {what}"
    texts = [f"{claim.kind} of {number}{place}, {limit}: {', '.join(claim.models)}"]
    if found.chance is not None:
        texts += _figures(found)
    if claim.kind == "release change":
        texts.append("the gate decides it only with the last release: fmaudit gate RUN --baseline DIR")
    if found.assumptions:
        texts.append(f"rests on {'; '.join(_assumption(one) for one in found.assumptions)}")
    return texts + [f"WARNING: {note}" for note in found.warnings]


def _blocked(found: Prospect) -> list[str]:
    words = found.claim.rule.verdicts
    return list(words.block) if words is not None else []


def _figures(found: Prospect) -> list[str]:
    claim, sign = found.claim, found.claim.limit.max is not None
    needed = "no number is enough" if found.needed is None else f"{found.needed:,} needed"
    run = ""
    if found.run_items is not None and found.run_items != found.needed and found.run_items > claim.asked:
        run = f" (-L {found.run_items:,})"
    beyond = claim.kind in ("level", "contrast")
    detectable = (
        "no possible difference would be shown"
        if found.detectable is None
        else f"{_real(found.detectable)}{' beyond the limit' if beyond else _of_margin(found)}"
    )
    side = ("at or below", "at or above") if sign else ("at or above", "at or below")
    passes = "nowhere" if found.passes_to is None else f"{side[0]} {_real(found.passes_to)}"
    fails = "nowhere" if found.fails_from is None else f"{side[1]} {_real(found.fails_from)}"
    truth = found.assumptions[0]
    return [
        f"items: {claim.asked:,} asked of {claim.available:,}; {needed}{run}",
        f"smallest detectable {'difference' if beyond else 'change'} (power {DETECTED:g}): {detectable}",
        f"true value: passes {passes}, fails {fails}; at {_real(truth.value)} it passes in "
        f"{_percent(found.chance or 0.0)} of runs",
    ]


def _of_margin(found: Prospect) -> str:
    limit = found.claim.limit
    margin = limit.max if limit.max is not None else -(limit.min or 0.0)
    if not margin or found.detectable is None:
        return ""
    return f", {found.detectable / margin:.2g} times its margin"


def _assumption(one: Assumption) -> str:
    return f"{one.name} {_real(one.value)} ({one.source})"


def _real(value: float) -> str:
    return f"{value:.3g}" if value == 0 or abs(value) >= _RARE else f"{value:.1g}"


def _percent(share: float) -> str:
    # Never a certainty: 99.96 % is not 100 %.
    return f"{math.floor(min(share, 0.999) * 1000) / 10:g} %"
