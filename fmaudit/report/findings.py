"""The key numbers of a run as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.key_cards import KeyNumber, Statement, basis_of, size_of, toned, topic_of
from fmaudit.report.key_tables import (
    GREW,
    comparison_table,
    contrast_table,
    estimate_table,
    table_words,
    tabled,
)
from fmaudit.report.numbers import NumberView, magnitude, scale_of, status_of
from fmaudit.report.readings import (
    AFTER_CORRECTION,
    BOTH_ALIKE,
    comparison_verdict,
    contrast_levels,
    harms,
    nominally_shown,
    shown,
    subject_role,
    unclear,
)
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import headline
from fmaudit.schema import Comparison, ContrastResult, Estimate, MetricInfo

MAX_KEY_NUMBERS = 6
FAMILY_ORDER = ("memorization", "bias", "toxicity", "downstream")
_FIRST = ("introduced", "amplified", "inherited")


def key_numbers(index: AuditIndex) -> tuple[KeyNumber, ...]:
    """At most six: headline contrasts first, then headline comparisons, then lone headline estimates.

    One a probe before a second of any probe. With more than two models a card is a table, and cards with
    an alert come first.
    """
    cards = [*_contrast_cards(index), *_comparison_cards(index), *_estimate_cards(index)]
    if tabled(index):
        cards.sort(key=lambda entry: entry[1].tone != "alert")
    leading = [
        card for place, (probe, card) in enumerate(cards) if probe not in {name for name, _ in cards[:place]}
    ]
    others = [card for _, card in cards if card not in leading]
    return tuple((leading + others)[:MAX_KEY_NUMBERS])


def sharing(sentence: NumberView, *, with_p: bool = True) -> str:
    """The interval and p-value as a parenthesis."""
    parts = [sentence.interval, sentence.p if with_p else ""]
    return "(" + ", ".join(part for part in parts if part) + ")"


def _contrast_cards(index: AuditIndex) -> list[tuple[str, KeyNumber]]:
    groups: dict[tuple[str, Question, tuple[tuple[str, str], ...]], list[ContrastResult]] = {}
    for contrast in index.audit.contrasts:
        if contrast.headline:
            levels = tuple(sorted({pair for term in contrast.terms for pair in term.slice.items()}))
            key = (contrast.metric, index.question(contrast.measurement, contrast.metric), levels)
            groups.setdefault(key, []).append(contrast)
    cards = [(key[1].probe, _contrast_card(index, group)) for key, group in groups.items()]
    return sorted(cards, key=lambda entry: (entry[1].tone != "alert", _family_place(entry[1].topic)))


def _family_place(family: str) -> int:
    """What was memorized comes first, as in the verdict and the order of the probes."""
    return FAMILY_ORDER.index(family) if family in FAMILY_ORDER else len(FAMILY_ORDER)


def _contrast_card(index: AuditIndex, group: Sequence[ContrastResult]) -> KeyNumber:
    if tabled(index):
        return contrast_table(index, group)
    ordered = sorted(group, key=lambda contrast: _contrast_rank(index, contrast))
    statements = tuple(_contrast_statement(index, contrast) for contrast in ordered)
    tone, word = _contrast_verdict(index, ordered)
    first = ordered[0]
    return KeyNumber(
        topic_of(index, first.metric, first.measurement),
        first.title,
        toned(tone, word),
        statements,
        basis_of(index, first),
        table_words=table_words(index, first) if word == BOTH_ALIKE else "",
    )


def _contrast_rank(index: AuditIndex, contrast: ContrastResult) -> int:
    if contrast.kind == "difference_in_differences":
        return 2
    return 0 if subject_role(index, contrast) == "adapted" else 1


def _contrast_statement(index: AuditIndex, contrast: ContrastResult) -> Statement:
    view = index.number(contrast, contrast.metric, contrast.measurement, difference=True)
    plus, minus = contrast_levels(contrast)
    if contrast.kind == "difference_in_differences":
        place = "From base to adapted"
    else:
        place = f"In {index.model_phrase(contrast.terms[0].subject)}" if contrast.terms else "In the model"
    if not view.has_value:
        return Statement(f"{place}: {view.status}", "", f"({view.reason or 'no reason recorded'}).", "")
    if not view.conclusive:
        lead = f"{place}, too little was asked to tell {plus} from {minus} items:"
        rest = sharing(view, with_p=False) + "."
        return Statement(lead, view.value, rest, size_of(view), view.at, place)
    if why := unclear(index, contrast):
        lead = f"{place}, {why.partition(': ')[2]}:"
        return Statement(lead, view.value, sharing(view) + ".", size_of(view), view.at, place)
    if not shown(index, contrast):
        after = f" {AFTER_CORRECTION} for many numbers" if nominally_shown(index, contrast) else ""
        unseen = (
            f"this gap did not change detectably{after}:"
            if contrast.kind != "within_subject"
            else (f"{plus} and {minus} items do not differ detectably{after}:")
        )
        lead = f"{place}, {unseen}"
        return Statement(lead, view.value, sharing(view) + ".", size_of(view), view.at, place)
    if contrast.kind == "within_subject":
        scale = scale_of(index.metrics.of(contrast), difference=True)
        side = "above" if contrast.direction == "rose" else "below"
        size = magnitude(contrast.value or 0.0, contrast, scale)
        rest = f"{side} {minus} items {sharing(view)}."
        return Statement(f"{place}, {plus} items lie", size, rest, size_of(view), view.at, place)
    lead = f"{place}, this gap changed by"
    return Statement(lead, view.value, sharing(view) + ".", size_of(view), view.at, place)


def _contrast_verdict(index: AuditIndex, group: Sequence[ContrastResult]) -> tuple[Tone, str]:
    change = [contrast for contrast in group if contrast.kind == "difference_in_differences"]
    own = [contrast for contrast in group if contrast.kind == "within_subject"]
    deciding = change or own
    if any(shown(index, contrast) for contrast in deciding):
        harmful = any(harms(index, contrast) for contrast in deciding)
        word = GREW if change and harmful else "Difference shown"
        return ("alert" if harmful else "calm"), word
    reasons = [why for contrast in deciding if (why := unclear(index, contrast))]
    if reasons:
        return "open", reasons[0]
    if any(nominally_shown(index, contrast) for contrast in deciding):
        return "open", f"No {'change' if change else 'difference'} shown {AFTER_CORRECTION}"
    if change and own and all(shown(index, contrast) for contrast in own):
        return "calm", BOTH_ALIKE
    conclusive = any(
        status_of(contrast, partial=index.partial(contrast.measurement)) == "measured"
        for contrast in deciding
    )
    return ("calm", "No difference shown") if conclusive else ("open", "Inconclusive")


def _comparison_cards(index: AuditIndex) -> list[tuple[str, KeyNumber]]:
    groups: dict[tuple[Question, str], list[Comparison]] = {}
    for comparison in index.audit.comparisons:
        if headline(index, comparison):
            question = index.question(comparison.measurement, comparison.metric)
            groups.setdefault((question, comparison.metric), []).append(comparison)
    cards = []
    for (question, metric_id), group in groups.items():
        metric = index.metrics.get(metric_id, question.variant)
        assert metric is not None
        made = (
            [comparison_table(index, group)]
            if tabled(index)
            else [_comparison_card(index, comparison, metric) for comparison in group]
        )
        cards += [(question.probe, card) for card in made]
    ranks = {word: place for place, word in enumerate(_FIRST)}
    return sorted(cards, key=lambda entry: ranks.get(entry[1].word.lower(), len(_FIRST)))


def _comparison_card(index: AuditIndex, comparison: Comparison, metric: MetricInfo) -> KeyNumber:
    view = index.number(comparison, comparison.metric, comparison.measurement, difference=True)
    tone, word = comparison_verdict(index, comparison)
    if view.has_value:
        rest = sharing(view, with_p=view.conclusive) + "."
        change = Statement("From base to adapted:", view.value, rest, size_of(view), view.at)
    else:
        change = Statement("The change was not measured", "", f"({view.reason or 'no reason recorded'}).", "")
    sides = (
        _level_statement(index, subject, comparison) for subject in (comparison.base, comparison.adapted)
    )
    statements = [change, *sides]
    if metric.ideal is not None:
        scale = scale_of(metric, difference=False)
        statements.append(
            Statement("The target is", scale.with_unit(f"{metric.ideal * scale.factor:g}"), ".", "")
        )
    topic = topic_of(index, comparison.metric, comparison.measurement)
    basis = basis_of(index, comparison)
    return KeyNumber(topic, metric.title, toned(tone, word), tuple(statements), basis)


def _level_statement(index: AuditIndex, subject: str, comparison: Comparison) -> Statement:
    question = index.question(comparison.measurement, comparison.metric)
    estimate = index.estimates.get((subject, question, comparison.metric))
    label = index.subject_label(subject)
    if estimate is None:
        return Statement(f"{label}:", "no estimate", "", "")
    view = index.number(estimate, estimate.metric, estimate.measurement, difference=False)
    if not view.has_value:
        return Statement(f"{label}: {view.status}", "", f"({view.reason}).", "")
    return Statement(f"{label}:", view.value, sharing(view, with_p=False) + ".", size_of(view), view.at)


def _estimate_cards(index: AuditIndex) -> list[tuple[str, KeyNumber]]:
    compared = {
        (index.question(c.measurement, c.metric), c.metric) for c in index.audit.comparisons if not c.slice
    }
    groups: dict[tuple[Question, str], list[Estimate]] = {}
    for (_, question, metric_id), estimate in index.estimates.items():
        metric = index.metrics.get(metric_id, question.variant)
        if metric is not None and metric.headline and (question, metric_id) not in compared:
            groups.setdefault((question, metric_id), []).append(estimate)
    return [(question.probe, _estimate_card(index, group)) for (question, _), group in groups.items()]


def _estimate_card(index: AuditIndex, group: Sequence[Estimate]) -> KeyNumber:
    statements = []
    statuses = []
    for estimate in group:
        view = index.number(estimate, estimate.metric, estimate.measurement, difference=False)
        statuses.append(view.status)
        label = index.subject_label(estimate.subject)
        rest = (
            sharing(view, with_p=False) + "."
            if view.has_value
            else f"({view.reason or 'no reason recorded'})."
        )
        statements.append(
            Statement(
                f"{label}:", view.value if view.has_value else view.status, rest, size_of(view), view.at
            )
        )
    first = group[0]
    known = "measured" in statuses
    word = "Measured" if known else "Inconclusive" if "inconclusive" in statuses else "Not measured"
    reading = toned("calm" if known else "open", word)
    if tabled(index):
        return estimate_table(index, group, reading)
    topic = topic_of(index, first.metric, first.measurement)
    title = index.metric_title(first.metric)
    return KeyNumber(topic, title, reading, tuple(statements), basis_of(index, first))
