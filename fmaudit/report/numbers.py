"""Numbers as a reader sees them: unit, sensible digits, interval, p-value; never a bare value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fmaudit.schema import MetricInfo, Numbers, Quantity, Span

MINUS = "\u2212"
_SPACE = "\u00a0"
_MAX_DECIMALS = 4
_PERCENT = 100.0
NO_VARIATION = "no interval: no variation seen"
_WITHOUT_SAMPLING = ("exact", "deterministic", "census")


@dataclass(frozen=True)
class Scale:
    """How values of a metric are written: ``factor`` times the value, then ``unit``."""

    factor: float
    unit: str
    signed: bool

    def text(self, value: float, decimals: int) -> str:
        """``value`` with this many decimals, without its unit."""
        rounded = round(value * self.factor, decimals) + 0.0
        digits = f"{abs(rounded):,.{decimals}f}"
        sign = MINUS if rounded < 0 else ("+" if self.signed and rounded > 0 else "")
        return sign + digits

    def with_unit(self, text: str) -> str:
        """``text`` followed by the unit, if there is one."""
        return f"{text}{_SPACE}{self.unit}" if self.unit else text


@dataclass(frozen=True)
class NumberView:
    """An estimate, contrast or change in words; every field is ready to print.

    ``at`` is the JSON pointer (RFC 6901) of its record in ``audit.json``. ``p`` is corrected where the number
    is a claim of a family, and then the only one that is printed.
    """

    status: str
    value: str
    interval: str
    plain_interval: str
    p: str
    n: str
    n_eff: str
    clusters: str
    coverage: str
    complete: bool
    worst: str
    method: str
    level: str
    resampling: str
    estimand: str
    smallest_detectable: str
    reason: str
    simultaneous: str = ""
    simultaneous_level: str = ""
    at: str = ""

    @property
    def conclusive(self) -> bool:
        """Whether the number may carry a conclusion."""
        return self.status == "measured"

    @property
    def has_value(self) -> bool:
        """Whether there is a number at all."""
        return self.status in {"measured", "inconclusive"}


SHARE = Scale(_PERCENT, "%", False)
SHARE_CHANGE = Scale(_PERCENT, "points", True)
INDEX = Scale(1.0, "", False)
"""For figures without a unit: slopes, ratios, agreement."""


def quantity_text(quantity: Quantity | None, scale: Scale = INDEX, none: str = "not computed") -> str:
    """A quantity with its interval, or why there is none; ``none`` where there is no quantity."""
    if quantity is None:
        return none
    if quantity.value is None:
        return f"undefined: {quantity.reason or 'no reason recorded'}"
    decimals = _digits(quantity.value, quantity.lower, quantity.upper, scale)
    value = scale.with_unit(scale.text(quantity.value, decimals))
    if without_variation(quantity.lower, quantity.upper, quantity.method):
        return f"{value} ({NO_VARIATION})"
    interval = _range(quantity.lower, quantity.upper, scale, decimals)
    if not interval:
        return f"{value} (no interval{f': {quantity.reason}' if quantity.reason else ''})"
    return f"{value} ({quantity.level * 100:g}{_SPACE}% interval {interval})"


def without_variation(lower: float | None, upper: float | None, method: str) -> bool:
    """Whether an interval has no width although its method draws on samples: it is no certainty.

    What follows the first semicolon of ``method`` is the test, not the interval.
    """
    if lower is None or upper is None or lower != upper:
        return False
    return not any(word in method.partition(";")[0].lower() for word in _WITHOUT_SAMPLING)


def span_text(span: Span | None) -> str:
    """Two ends of a figure without a unit, as text; nothing where an end is missing."""
    if span is None or span.lower is None or span.upper is None:
        return ""
    return _range(span.lower, span.upper, INDEX, 2)


def figure_text(value: float | None, scale: Scale = INDEX) -> str:
    """A lone figure that stands beside others that carry the intervals."""
    if value is None:
        return "—"
    return scale.with_unit(scale.text(value, 1 if scale.factor == _PERCENT else 2))


def scale_of(metric: MetricInfo | None, *, difference: bool) -> Scale:
    """Rates are shown in per cent and their differences in percentage points."""
    if metric is None:
        return Scale(1.0, "", difference)
    if metric.kind == "rate":
        return Scale(_PERCENT, "points" if difference else "%", difference)
    return Scale(1.0, "" if metric.unit in {"", "1", "share"} else metric.unit, difference)


def number_view(numbers: Numbers, scale: Scale, *, partial: bool, at: str = "") -> NumberView:
    """Everything a value may not travel without, as text; ``at`` says where in the audit it stands."""
    decimals = _decimals(numbers, scale)
    status = status_of(numbers, partial=partial)
    level = f"{numbers.level * 100:g}{_SPACE}%"
    bounds = numbers.worst
    still = without_variation(numbers.lower, numbers.upper, numbers.method)
    interval = "" if still else _range(numbers.lower, numbers.upper, scale, decimals)
    still_outside = without_variation(numbers.adjusted_lower, numbers.adjusted_upper, numbers.method)
    return NumberView(
        status=status,
        value="undefined" if numbers.value is None else scale.with_unit(scale.text(numbers.value, decimals)),
        interval=f"{level} interval {interval}" if interval else NO_VARIATION if still else "no interval",
        plain_interval=interval,
        p=f"{p_text(numbers.p_adjusted)}, corrected" if numbers.p_adjusted is not None else p_text(numbers.p),
        n=f"{numbers.n:,}",
        n_eff=f"{numbers.n_eff:,.0f}",
        clusters=", ".join(f"{name}: {count:,}" for name, count in sorted(numbers.clusters.items())),
        coverage=share(numbers.coverage),
        complete=numbers.coverage >= 1.0,
        worst=_range(*bounds, scale, decimals) if bounds else "",
        method=numbers.method,
        level=level
        + (f" (adjusted {numbers.adjusted_level * 100:.4g}{_SPACE}%)" if numbers.adjusted_level else ""),
        resampling=(
            f"{numbers.resampling.draws:,} draws, seed {numbers.resampling.seed}"
            if numbers.resampling
            else ""
        ),
        estimand=numbers.estimand,
        smallest_detectable=(
            scale.with_unit(Scale(scale.factor, scale.unit, False).text(numbers.mde, decimals))
            if numbers.mde is not None
            else ""
        ),
        reason=_reason(numbers, partial),
        simultaneous=(
            "" if still_outside else _range(numbers.adjusted_lower, numbers.adjusted_upper, scale, decimals)
        ),
        simultaneous_level=(
            f"{numbers.adjusted_level * 100:.4g}{_SPACE}%" if numbers.adjusted_level is not None else ""
        ),
        at=at,
    )


def status_of(numbers: Numbers, *, partial: bool) -> str:
    """``measured``, ``inconclusive``, ``unmeasured`` or ``unmeasurable``."""
    if numbers.state != "measured":
        return numbers.state
    if numbers.value is None:
        return "unmeasured"
    return "measured" if numbers.conclusive and not partial else "inconclusive"


def p_text(p: float | None) -> str:
    """A p-value with its relation, or nothing."""
    if p is None:
        return ""
    text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    return text.replace(" ", _SPACE)


def share(part: float) -> str:
    """A share in per cent; only a complete one is written as 100 %."""
    text = f"{part * 100:.4g}" if part >= 1 or part * 100 < 99.95 else "> 99.9"
    return f"{text}{_SPACE}%"


def plain_value(value: float, numbers: Numbers, scale: Scale) -> str:
    """A value beside ``numbers``, with as many decimals as they have."""
    return scale.with_unit(scale.text(value, _decimals(numbers, scale)))


def magnitude(value: float, numbers: Numbers, scale: Scale) -> str:
    """The size of ``value`` without its sign, with its unit."""
    return plain_value(abs(value), numbers, Scale(scale.factor, scale.unit, False))


def _reason(numbers: Numbers, partial: bool) -> str:
    if numbers.reason:
        return numbers.reason
    return "the run was cut short (-L)" if partial and numbers.state == "measured" else ""


def _range(low: float | None, high: float | None, scale: Scale, decimals: int) -> str:
    if low is None or high is None:
        return ""
    return f"{scale.text(low, decimals)} to {scale.text(high, decimals)}"


def _decimals(numbers: Numbers, scale: Scale) -> int:
    return _digits(numbers.value, numbers.lower, numbers.upper, scale)


def _digits(value: float | None, lower: float | None, upper: float | None, scale: Scale) -> int:
    width = (upper - lower) / 2 if lower is not None and upper is not None else 0.0
    size = width * scale.factor if width > 0 else abs(value or 0.0) * scale.factor / 10
    least = 1 if scale.factor == _PERCENT else 0
    if not size or not math.isfinite(size):
        return max(least, 1)
    return min(_MAX_DECIMALS, max(least, 1 - math.floor(math.log10(size))))
