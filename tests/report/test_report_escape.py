from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from fmaudit.report.escape import (
    csv_cell,
    markdown,
    markdown_block,
    markdown_code,
    redacted,
    terminal,
    visible,
)


def test_hidden_characters_become_visible():
    assert visible("a\x1b[2Jb\x00\u202ec\u200bd\ud800") == "a\\x1b[2Jb\\x00\\u202ec\\u200bd\\ud800"
    assert visible("a\nb\tc") == "a\\nb\\tc"
    assert visible("a\nb\tc\x9b", keep_lines=True) == "a\nb\tc\\x9b"
    assert visible("naïve 日本語 −1 % 😀") == "naïve 日本語 −1 % 😀"


def test_no_hostile_text_becomes_markup_in_markdown(hostile_strings):
    parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table")
    for text in hostile_strings:
        for line in (markdown(text), markdown_code(text)):
            tokens = parser.parse(f"| a |\n|---|\n| {line} |\n")
            kinds = {child.type for token in tokens for child in token.children or []}
            assert kinds <= {"text", "text_special", "code_inline", "entity"}, (text, kinds)
            assert sum(token.type == "tr_open" for token in tokens) == 2
        assert "@" not in markdown(text)
        assert "://" not in markdown(text)


@pytest.mark.parametrize("text", ["# a", "- a", "+ a", "1. a", "1) a", "> a", "=== a", "***", "~~~"])
def test_line_starts_stay_paragraphs(text):
    tokens = MarkdownIt("commonmark").parse(str(markdown(text)))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_fence_is_longer_than_what_it_holds():
    tokens = MarkdownIt("commonmark").parse(str(markdown_block("x\n````\n<script>\n```\ny")))
    assert [token.type for token in tokens] == ["fence"]
    assert "<script>" in tokens[0].content


def test_terminal_text_is_one_line_without_controls(hostile_strings):
    for text in hostile_strings:
        assert terminal(text).isprintable()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1"])
def test_formula_cells_are_defused(text):
    assert csv_cell(text) == "'" + text


def test_plain_cells_stay():
    assert csv_cell("a=1") == "a=1"
    assert csv_cell(3) == "3"


def test_redaction_tells_only_the_length():
    assert redacted("secret") == "[redacted, 6 characters]"
    assert redacted("x") == "[redacted, 1 character]"
