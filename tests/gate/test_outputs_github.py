from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from fmaudit.gate.outputs.github import annotation_lines, inert
from fmaudit.gate.outputs.step_summary import SUMMARY_LIMIT, step_summary
from tests.gate.gate_records import (
    POLICY_PATH,
    finding,
    missing,
    mixed,
    nothing_evaluated,
    passing,
    record,
    waiver,
)
from tests.gate.workflow_commands import command_in


def commands(made, path=POLICY_PATH):
    found = [command_in(line) for line in annotation_lines(made, path)]
    assert None not in found
    return found


def test_annotations_by_tier_at_the_rules_line():
    found = commands(mixed())
    assert [command.name for command in found] == ["error"] * 5 + ["warning"] * 2 + ["notice"] * 2
    assert {command.properties["file"] for command in found} == {POLICY_PATH}
    assert {command.properties["line"] for command in found} == {"7"}
    assert found[0].properties["title"] == "a-rate fails its limit"
    assert found[0].data.startswith(
        "toy.probe/rate (level) of adapted, plain, toy, age=b, group=a fails its limit: 0.1 ("
    )


def test_an_annotation_has_the_whole_number():
    (command,) = commands(record(finding()))
    assert "0.1 (two-sided 95 % interval 0.08 to 0.12, wilson, n 1,200, coverage 100 %)" in command.data


def test_a_waived_finding_is_a_notice_with_approver():
    (command,) = commands(record(finding(waiver="W-1")))
    assert command.name == "notice"
    assert "approved by A. Reviewer: mitigated downstream by a filter." in command.data


@pytest.mark.parametrize(
    ("count", "shown", "more"), [(10, 10, ""), (11, 10, "and 2 more"), (500, 10, "and 491 more")]
)
def test_at_most_ten_of_a_kind(count, shown, more):
    entries = [
        finding(f"{tier}{place}", tier=tier)
        for place in range(count)
        for tier in ("block", "warn", "monitor")
    ]
    found = commands(record(*entries))
    for kind in ("error", "warning", "notice"):
        own = [command for command in found if command.name == kind]
        assert len(own) == shown
        assert own[-1].data.startswith(more)


def test_no_finding_passes_by_silently_where_nothing_was_evaluated():
    found = commands(nothing_evaluated())
    assert (found[0].name, found[0].properties["line"]) == ("error", "1")
    assert "Nothing was evaluated" in found[0].data
    assert commands(record(passing())) == []


@pytest.mark.parametrize(
    "text",
    [
        "a,b:c=d::e",
        "100% %0A %25 %3A",
        "one\ntwo\r\n::error::three",
        "::set-output name=x::y",
        "##[error]x ##[add-mask]y",
        "title=x,file=/etc/passwd,line=1::x",
        "",
    ],
)
def test_text_comes_back_as_one_line_and_names_no_other_property(text):
    made = record(finding(text, subject=text or "s", reason=text), finding("w", waiver=text or "w"))
    for command in commands(made, f"dir/{text}.yaml"):
        assert set(command.properties) == {"file", "line", "title"}
        assert command.properties["line"] == "7"
        assert command.name in {"error", "notice"}
        assert "##[" not in command.data
    shown = " ".join(text.replace("\r", "\\r").replace("\n", "\\n").split()).replace("##[", "## [")
    assert shown in commands(made)[0].data


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("::error::x", True),
        ("  ::add-mask::x", True),
        ("PASS ##[error]x", True),
        ("\t##[set-env name=A]x", True),
        ("PASS a: 0.1 :: b", False),
        ("model#[1]", False),
    ],
)
def test_log_lines_are_made_inert_and_others_left_alone(line, hidden):
    assert (command_in(line) is not None) == hidden
    assert command_in(inert(line)) is None
    assert hidden or inert(line) == line


def rendered(text):
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


def flat(tokens):
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def test_summary_is_tables_under_a_third_level_heading():
    tokens = rendered(step_summary(mixed()))
    headings = [token.tag for token in tokens if token.type == "heading_open"]
    assert headings == ["h3", "h4"]
    assert sum(token.type == "table_open" for token in tokens) == 4
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == (1 + 9) + (1 + 1) + (1 + 1) + (1 + 2)


def test_summary_states_verdict_policy_counts_and_numbers():
    text = step_summary(mixed())
    assert text.startswith("### fmaudit gate: fail\n")
    assert (
        "Findings: 5 fail, 2 not decided, 1 not measured, 1 waived, 1 pass. 5 of them stand in the way"
        in text
    )
    assert "Policy **release** (sha256:121212" in text
    assert "One-sided confidence 95 %, form fixed, looks at this run: 1. Exit code 1." in text
    assert (
        "0.1 (two-sided 95 % interval 0.08 to 0.12, wilson, n 1,200, coverage above 99.9 %, 0.06 to 0.4"
        in text
    )
    assert "| W-1 | A. Reviewer | 2026-12-31 | mitigated downstream by a filter |" in text
    assert "no verdict inherited, amplified; it is inherited" in text
    assert "Nothing was evaluated" in step_summary(nothing_evaluated())


def test_what_blocks_comes_first():
    made = record(
        passing("p"), finding("m", tier="monitor"), finding("w", tier="warn"), missing("o"), finding("f")
    )
    rules = re.findall(r"^\| [\w ()]+ \| (\w) \|", step_summary(made), re.MULTILINE)
    assert rules == ["f", "o", "w", "m", "p"]


def test_a_long_summary_is_cut_below_githubs_limit_and_says_so():
    entries = [finding(f"rule-{place}", subject="ü" * 190, reason="x" * 500) for place in range(4000)]
    text = step_summary(record(*entries, passing()))
    assert SUMMARY_LIMIT - 4096 < len(text.encode()) <= SUMMARY_LIMIT
    shown = text.count("| fails |")
    (more,) = re.findall(r"and ([\d,]+) more rows", text)
    assert shown + int(more.replace(",", "")) == 4000
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("limit", [0, 10, 300, 900, 1500, 3000, 6000])
def test_every_limit_is_kept_and_every_fold_closed(limit):
    text = step_summary(mixed(), limit)
    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>")
    assert not text or text.startswith("### fmaudit gate: fail")


HOSTILE = [
    "<script>x</script>", "<img src=x onerror=y>", "![p](http://evil.example/a.png)", "[l](javascript:x)",
    "@someone https://evil.example www.evil.example", "| a | b |", "\n# heading\n- item", "</details>",
    "`code` ``` x",
    "$x^2$", "[^1]: note", "<!-- x", "&lt;b&gt;",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_reasons_are_text_in_the_summary(text):
    entry = {
        "subject": text,
        "metric": text,
        "reason": text,
        "action": text,
        "slice": {text: text},
        "word": text,
    }
    made = record(
        finding(text, **entry, waiver=text),
        passing(text, **entry, tier="warn"),
        finding("v", kind="verdict", blocked_words=[text]),
        waivers=[waiver(text, approved_by=text, reason=text, expires=text)],
        subjects=[{"id": text, "role": "base", "name": text, "digest": text}],
        verdict=text,
    )
    made["policy"] |= {"id": text, "description": text, "digest": text, "form": text}
    tokens = list(flat(rendered(step_summary(made))))
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "html_inline", "fence", "code_block", "bullet_list_open", "hr"}
    blocks = {line for token in tokens if token.type == "html_block" for line in token.content.split("\n")}
    assert blocks <= {
        "",
        "<details><summary>1 passing</summary>",
        "<details><summary>Models</summary>",
        "</details>",
    }
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h3", "h4"]
    rows = {}
    for token in tokens:
        if token.type in {"tr_open", "td_open", "th_open"}:
            rows.setdefault("tr" if token.type == "tr_open" else "cell", []).append(token)
    # Three findings with seven cells, a waiver and a model with four, and the headers of four tables.
    assert len(rows["cell"]) == 3 * 7 + 2 * 4 + 2 * 7 + 2 * 4
    text_only = "".join(token.content for token in tokens if token.type == "text")
    assert "@" not in text_only
