"""What the verdict has to say of defects whose change is not settled."""

from __future__ import annotations

from fmaudit.analysis.reading import limits
from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import status_of
from fmaudit.report.readings import comparison_word, shown, side_value, subject_role
from fmaudit.report.verdict_words import decided, defect_title, headline, is_defect
from fmaudit.schema import Comparison, ContrastResult, Estimate, MetricInfo

_MEMORIZATION = "memorization."


def still_there(index: AuditIndex) -> tuple[str, ...]:
    """A sentence for each headline defect above the tolerated rate whose change is not settled."""
    groups: dict[tuple[Question, str], list[Comparison]] = {}
    for found in index.audit.comparisons:
        if headline(index, found) and is_defect(index.metrics.of(found)):
            question = index.question(found.measurement, found.metric)
            groups.setdefault((question, found.metric), []).append(found)
    lines = []
    for (question, metric), group in groups.items():
        present = [found for found in group if _unsettled(index, found) and _above(index, question, found)]
        if not present:
            continue
        values = sorted({found.adapted_value or 0.0 for found in present})
        rates = dict.fromkeys(side_value(index, present[0], end) for end in (values[0], values[-1]))
        title = defect_title(index, metric, question.variant)
        models = f"{len(present)} of {len(group)} adapted model{'' if len(group) == 1 else 's'}"
        lines.append(
            f"{title}: still shows in {models}, at {' to '.join(rates)};"
            " how far that is a change from the base is not settled."
        )
    return tuple(lines)


def memorization_open(index: AuditIndex) -> tuple[str, ...]:
    """What asked the base for memorization and could not tell; empty where everything could."""
    asked: list[ContrastResult | Estimate] = [
        found
        for found in index.audit.contrasts
        if found.headline and found.kind == "within_subject" and subject_role(index, found) == "base"
    ]
    asked += [
        found
        for found in index.audit.estimates
        if not found.slice and _is_base(index, found) and is_defect(index.metrics.of(found))
    ]
    titles = [
        (defect_title(index, found.metric) if isinstance(found, Estimate) else found.title)
        + f" ({index.question(found.measurement, found.metric).label})"
        for found in asked
        if index.question(found.measurement, found.metric).probe.startswith(_MEMORIZATION)
        and status_of(found, partial=index.partial(found.measurement)) == "inconclusive"
    ]
    if not titles:
        return ()
    named = ", ".join(dict.fromkeys(titles))
    return (f"Inconclusive for the base, so that it memorized them is not ruled out: {named}.",)


def _is_base(index: AuditIndex, found: Estimate) -> bool:
    subject = index.subjects.get(found.subject)
    return subject is not None and subject.role == "base"


def _unsettled(index: AuditIndex, found: Comparison) -> bool:
    if decided(found):
        return comparison_word(index, found)[0] == "inconclusive"
    return not shown(index, found)


def _above(index: AuditIndex, question: Question, found: Comparison) -> bool:
    """Whether the adapted model's interval lies above the tolerated rate."""
    metric = index.metrics.of(found)
    estimate = index.estimates.get((found.adapted, question, found.metric))
    if metric is None or estimate is None:
        return False
    eps = found.margins.eps if found.margins.eps is not None else metric.eps
    if eps is None:
        return False
    if status_of(estimate, partial=index.partial(estimate.measurement)) != "measured":
        return False
    interval = limits(estimate.model_dump(include={"lower", "upper", "coverage", "worst_interval"}))
    return interval is not None and _least_defect(metric, *interval) > eps


def _least_defect(metric: MetricInfo, lower: float, upper: float) -> float:
    if metric.direction == "higher_is_better":
        return 1.0 - upper
    if metric.direction == "target" and metric.ideal is not None:
        return max(lower - metric.ideal, metric.ideal - upper)
    return lower
