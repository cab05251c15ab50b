"""The cost of a run as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fmaudit.planning.costs import MeasurementCost, RunCosts
from fmaudit.report.plain_table import plain_table, wrapped

_MINUTE, _HOUR = 60, 3600
_GIB = 1 << 30


def cost_lines(costs: RunCosts, width: int) -> list[str]:
    """Totals first, then a row for each measurement, alike for the models that are asked the same."""
    lines = ["COST"]
    total: Counter[str] = Counter()
    for one in costs.measurements:
        total.update(one.requests)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(total.items()))
    read = sum(one.tokens_read for one in costs.measurements)
    generated = sum(one.tokens_generated for one in costs.measurements)
    lines.append(
        wrapped(
            f"{sum(one.items for one in costs.measurements):,} items, {total.total():,} requests ({kinds}); "
            f"{read:,} tokens read, at most {generated:,} generated.",
            width,
        )
    )
    lines.append(wrapped(_time(costs), width))
    lines += [wrapped(text, width) for text in _memory(costs)]
    lines += [wrapped(f"WARNING: {one.subject}: {one.note}", width) for one in costs.subjects if one.note]
    lines += [wrapped(f"Note: {note}.", width) for note in costs.notes]
    rows = [_row(group) for group in _alike(costs.measurements)]
    header = ("Measurement", "Models", "Items", "Requests", "Tokens", "Time each")
    return [*lines, "", plain_table(header, rows, width).rstrip("\n")]


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def _time(costs: RunCosts) -> str:
    if costs.seconds is None or costs.seconds_range is None:
        unknown = [one.subject for one in costs.subjects if one.note]
        return f"Time: not known, see the warning on {unknown[0]}." if unknown else "Time: not measured."
    low, high = costs.seconds_range
    steps = "; ".join(f"{name} {duration(seconds)}" for name, seconds in costs.steps)
    return (
        f"Time on this machine: about {duration(costs.seconds)} ({duration(low)} to {duration(high)} "
        f"if it does nothing else), of which {steps}."
    )


def _memory(costs: RunCosts) -> list[str]:
    known = [(one.memory_bytes, one.name) for one in costs.subjects if one.memory_bytes is not None]
    if not known:
        return []
    most, name = max(known)
    free = costs.memory_free
    there = "" if free is None else f"; {free / _GIB:.1f} GiB are free"
    lines = [f"Memory: about {most / _GIB:.1f} GiB for {name}, one model at a time{there}."]
    if free is not None and most > free:
        lines.append("WARNING: it does not fit: use a smaller dtype, or another device.")
    return lines


def _alike(measurements: Sequence[MeasurementCost]) -> list[list[MeasurementCost]]:
    groups: dict[tuple[object, ...], list[MeasurementCost]] = {}
    for one in measurements:
        same = (
            one.key,
            one.items,
            tuple(sorted(one.requests.items())),
            one.tokens_read,
            one.tokens_generated,
        )
        groups.setdefault(same, []).append(one)
    return list(groups.values())


def _row(group: Sequence[MeasurementCost]) -> tuple[str, ...]:
    one = group[0]
    times = [other.seconds for other in group if other.seconds is not None]
    tokens = f"{one.tokens_read:,}" + (f" + {one.tokens_generated:,}" if one.tokens_generated else "")
    return (
        one.key,
        ", ".join(other.subject for other in group),
        f"{one.items:,}",
        f"{sum(one.requests.values()):,}",
        tokens,
        duration(max(times)) if times else "—",
    )
