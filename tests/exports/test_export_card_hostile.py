"""Hostile text in a model card: inert in the body, and loaded back as its escaped text from the YAML."""

from __future__ import annotations

import re
import unicodedata

import pytest
import yaml
from huggingface_hub import ModelCard as HubCard
from markdown_it import MarkdownIt

from fmaudit.exports.card_facts import CardOptions
from fmaudit.exports.card_yaml import dump, line
from fmaudit.exports.model_card import model_card
from tests.report.family_audit import hostile_family
from tests.report.report_audits import HOSTILE, hostile_audit, rich_factory

YAML_BREAKS = ": - {}\n---\n- &a [*a, !!python/object:os.system ''] # %YAML"
NASTY = [
    *(text.replace("\ud800", "") for text in HOSTILE),
    YAML_BREAKS,
    "x" * 20_000,
    "---",
    "null",
    "~",
    "",
]


def hub(text):
    return HubCard(text, ignore_metadata_errors=False)


def body_tokens(text):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [child for token in tokens for child in (token, *(token.children or ()))]


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def body(text):
    return text.split("\n---\n", 1)[1]


@pytest.mark.parametrize(
    "audit",
    [
        hostile_audit(),
        *(hostile_family(text) for text in NASTY),
    ],
    ids=["fields", *(f"family-{place}" for place in range(len(NASTY)))],
)
def test_hostile_text_is_inert_in_body_and_yaml(audit):
    options = CardOptions(report_url="https://example.org/report")
    subject = next(s.id for s in audit.subjects if s.role == "adapted")
    card = model_card(audit, subject, options)
    for text in (card.text, body(card.text), card.regions["audit"]):
        tokens = body_tokens(text)
        assert not [t for t in tokens if t.type in ("image", "html_inline")]
        blocks = [t.content.strip() for t in tokens if t.type == "html_block"]
        assert all(re.fullmatch(r"<!-- fmaudit:(begin|end) [a-z]+ -->", block) for block in blocks)
        links = {t.attrs["href"] for t in tokens if t.type == "link_open"}
        assert links <= {"https://example.org/report"}
        # What a platform could turn into a mention or a link: all but code and our own address.
        shown = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text).replace(options.report_url, "")
        assert not re.search(r"@|www\.|://", shown)
        assert {unicodedata.category(char) for char in text if char != "\n"}.isdisjoint(
            {"Cc", "Cf", "Cs", "Co"}
        )
    headings = [t for t in body_tokens(body(card.text)) if t.type == "heading_open"]
    assert len(headings) == len(re.findall(r"^#{1,6} ", body(card.text), re.MULTILINE))
    assert not re.search(r"[<>@`]|www\.|://(?!example\.org/report)", card.text.split("\n---\n")[0])
    found = hub(card.text).data
    assert front(card.text) == card.metadata
    titles = {metric.id: metric.title for metric in audit.metrics}
    for result in found.eval_results:
        assert result.metric_name == line(titles[result.metric_type] or result.metric_type.partition("/")[2])
    assert len(card.text) < 2_000_000


def test_a_million_characters_stay_out_of_the_card():
    made = rich_factory()
    made.data["subjects"][1]["name"] = "n" * 1_000_000
    made.data["metrics"][0]["title"] = "t" * 1_000_000
    made.data["measurements"][0]["reason"] = "r" * 1_000_000
    card = model_card(made.build())
    assert len(card.text) < 100_000
    assert "(cut, 1,000,000 characters)" in card.text
    assert len(hub(card.text).data.model_name) < 450


@pytest.mark.parametrize("text", [*NASTY, "a: b", "- x", "1e3", "yes", "2026-01-01", "tab\there", "é 漢 😀"])
def test_yaml_gives_back_the_escaped_text(text):
    shown = line(text)
    dumped = dump({"key": [{"name": shown, shown or "empty": 1}]})
    assert yaml.safe_load(dumped) == {"key": [{"name": shown, shown or "empty": 1}]}
    assert not re.search(r"^(---|\.\.\.)", dumped, re.MULTILINE)
    assert not re.search(r"[<>@\[\]`]|://|www\.", dumped)


def test_long_text_is_cut_and_counted():
    assert line("a" * 10_000).endswith("… (cut, 10,000 characters)")
    assert len(line("\x1b" * 10_000)) < 500
    assert line("a" * 400) == "a" * 400
