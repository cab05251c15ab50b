"""Plans of a toy probe, made without models."""

from __future__ import annotations

from fmaudit.data import Dataset
from fmaudit.gate.policy import parse_policy
from fmaudit.plan import PlannedMeasurement
from fmaudit.planning.claims import Model
from fmaudit.probe import Binary, Contrast, Item, Mean, Probe, Rate, Real, Statistic


class Toy(Probe):
    """One of everything that a policy can bound."""

    id, version, family, variant = "toy.plan", 1, "toy", ""
    measures = (Binary("outcome"), Real("score", low=0.0, high=4.0), Real("nats"))
    metrics = (
        Rate("rate"),
        Rate("member_rate", where=("group", "member")),
        Mean("score", of="score"),
        Mean("nats", of="nats"),
        Statistic("shape", fn=lambda table: 0.0, needs=("nats",)),
    )
    contrasts = (
        Contrast("gap", metric="rate", column="group", plus="member", minus="control"),
        Contrast("score_gap", metric="score", column="group", plus="member", minus="control"),
        Contrast("nats_gap", metric="nats", column="group", plus="member", minus="control"),
    )


def entry(n=400, limit=None, cluster=1, **kwargs):
    """A measurement of ``n`` items, every second one a member, in clusters of ``cluster``."""
    items = tuple(
        Item(
            f"i{place}",
            {},
            {"document": str(place // cluster)} if cluster > 1 else {},
            {"group": "control" if place % 2 else "member"},
        )
        for place in range(n)
    )
    cut = n if limit is None else limit
    dataset = Dataset("toy", (), "", "file", False, None)
    return PlannedMeasurement(kwargs.get("probe") or Toy(), dataset, items[:cut], n, rest=items[cut:])


def models(*planned):
    keys = frozenset(one.key for one in planned)
    return [Model("base", "base", keys), Model("tuned", "adapted", keys), Model("other", "adapted", keys)]


def policy(*rules, **defaults):
    settings = ", ".join(f"{name}: {value}" for name, value in defaults.items())
    lines = ["schema: fmaudit/policy/1", "id: toy", f"defaults: {{{settings}}}", "rules:"]
    return parse_policy("\n".join([*lines, *(f"  - {{{rule}}}" for rule in rules)])).policy
