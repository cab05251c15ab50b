"""A policy in words: what it would block, what it would let through, and what it takes to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fmaudit.gate.cases import ideal_of
from fmaudit.gate.policy import PolicyFile
from fmaudit.gate.policy_model import Defaults, Margin, Rule

_TIERS = {
    "block": ("Blocks a release", "blocks"),
    "warn": ("Warns", "warns"),
    "monitor": ("Is watched only", "notes"),
}


def explained(file: PolicyFile, ideals: Mapping[str, float]) -> str:
    """The whole policy in plain sentences, one paragraph a rule.

    ``ideals``: the targets of the metrics that have one, by id.
    """
    policy = file.policy
    lines = [f"Policy {policy.id} ({file.digest})"]
    if policy.description:
        lines.append(policy.description)
    lines += ["", *_defaults(policy.defaults, sum(rule.tier == "block" for rule in policy.rules))]
    for tier, (title, verb) in _TIERS.items():
        rules = [rule for rule in policy.rules if rule.tier == tier]
        if rules:
            lines += ["", f"{title}:"]
            for rule in rules:
                lines += [
                    f"  {rule.id}",
                    *(f"    {text}" for text in _rule(rule, policy.defaults, verb, ideals)),
                ]
    for metric, margins in policy.margins.items():
        named = [("tolerates a defect of", margins.eps), ("calls a change relevant from", margins.delta)]
        said = " and ".join(f"{word} {value:g}" for word, value in named if value is not None)
        lines += ["", f"The inheritance verdict of {metric} {said or 'keeps the margins of its metric'}."]
    return "\n".join(lines) + "\n"


def _defaults(defaults: Defaults, blocking: int) -> Iterator[str]:
    error = f"at most {1 - defaults.confidence:.1%} of runs"
    yield (
        f"A limit counts as kept only if the interval at {defaults.confidence:.1%} one-sided confidence lies "
        f"inside it, missing answers counted as defects: a model at or beyond a limit passes in {error}."
    )
    if blocking > 1 and defaults.multiplicity == "holm":
        yield (
            "It counts as broken only if the interval lies beyond it after Holm's correction for all "
            f"blocking findings (at least {blocking}): a model that keeps every limit fails in {error}."
        )
    elif blocking > 1:
        yield "It counts as broken if that interval lies beyond it; this is NOT corrected for many rules."
    else:
        yield f"It counts as broken if that interval lies beyond it: a model that keeps it fails in {error}."
    undecided = {
        "inconclusive": "leaves the gate inconclusive (exit code 3)",
        "fail": "fails the gate (exit code 1)",
    }
    yield f"What does not decide {undecided[defaults.on_inconclusive]}."
    yield f"What is missing {undecided[defaults.on_missing]}."
    if defaults.form == "anytime":
        yield "Intervals hold at every look while the run grows; they are wider than those of a fixed n."
    else:
        yield "Intervals are those of a run of fixed size: a run that is extended after a look is refused."
    yield "A run cut by -L can fail and never passes."


def _rule(rule: Rule, defaults: Defaults, verb: str, ideals: Mapping[str, float]) -> Iterator[str]:
    ideal = ideal_of(rule, ideals[rule.metric]) if rule.metric in ideals else None
    what = rule.metric if rule.contrast is None else f"{rule.contrast} (a contrast of {rule.metric})"
    where = [f"variant {rule.variant}"] if rule.variant else []
    where += [f"data set {rule.dataset}"] if rule.dataset else []
    where += [
        f"{column} {'each level' if level == '*' else level}"
        for slice_ in rule.every_slice
        for column, level in slice_.items()
    ]
    place = f", {', '.join(where)}" if where else ""
    subject = {"adapted": "any adapted model", "base": "the base", "reference": "any reference"}.get(
        rule.subject, f"model {rule.subject}"
    )
    for text in _limits(rule, what, ideal):
        yield f"{verb} if {text} ({subject}{place})"
    needs = []
    if rule.min_n or defaults.min_n > 1:
        needs.append(f"{rule.min_n or defaults.min_n} items")
    coverage = defaults.min_coverage if rule.min_coverage is None else rule.min_coverage
    if coverage:
        needs.append(f"{coverage:.0%} usable answers")
    yield f"needs {' and '.join(needs)} to decide; severity {rule.severity}"
    if rule.controls:
        yield f"evidence relevant to {', '.join(rule.controls)}"
    if rule.accept_imported:
        yield "passes on numbers imported from another tool's log too"


def _limits(rule: Rule, what: str, ideal: float | None) -> Iterator[str]:
    if rule.within is not None and ideal is not None:
        yield f"{what} is more than {rule.within:g} away from {ideal:g}, to either side"
    if rule.max is not None:
        yield f"{what} is above {rule.max:g}"
    if rule.min is not None:
        yield f"{what} is below {rule.min:g}"
    if rule.vs_base is not None:
        yield from _moves(rule.vs_base, what, "its base", ideal)
    if rule.vs_release is not None:
        yield from _moves(rule.vs_release, what, "the last release", ideal)
    if rule.verdicts is not None:
        words = ", ".join(rule.verdicts.block)
        passing = ", ".join(rule.verdicts.passing) or "nothing"
        yield f"the inheritance verdict of {what} is {words}; only {passing} passes"


def _moves(margin: Margin, what: str, against: str, ideal: float | None) -> Iterator[str]:
    if ideal is not None:
        further = f"more than {margin.max_increase:g} further from {ideal:g} than that of {against}"
        yield f"{what} is {further}, to either side, on the same items"
        return
    if margin.max_increase is not None:
        yield f"{what} is more than {margin.max_increase:g} above that of {against}, on the same items"
    if margin.max_decrease is not None:
        yield f"{what} is more than {margin.max_decrease:g} below that of {against}, on the same items"
