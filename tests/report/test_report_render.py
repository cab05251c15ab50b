from __future__ import annotations

import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.report.banner import NOTHING_CONCLUDED
from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.html import render_html
from fmaudit.report.markdown import render_markdown
from fmaudit.report.terminal import render_terminal
from fmaudit.report.view import report_view
from fmaudit.report.write import write_report
from tests.report.page_parser import Page

SECRET = "a generated sentence that is nobody's business"


def evidence(texts: list[str | None]) -> list[EvidenceSample]:
    rows = [
        {
            "subject": "Adapted",
            "item_id": f"item {text or ''}",
            "sample": place,
            "outcome": 1,
            "severity": 0.5,
            "text": text,
        }
        for place, text in enumerate(texts)
    ]
    return [EvidenceSample(f"toxicity.prompted {texts[0]}", rows, total=900)]


def everything(audit, samples=None, reveal=False) -> dict[str, str]:
    return {
        "html": render_html(audit, samples, reveal),
        "md": render_markdown(audit, samples, reveal),
        "terminal": render_terminal(audit, 100),
    }


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_same_audit_same_bytes(rich_audit):
    samples = evidence([SECRET])
    assert everything(rich_audit, samples) == everything(rich_audit, samples)


def test_memorization_is_seen_without_being_told(rich_audit):
    view = report_view(rich_audit)
    assert view.banner.title == (
        "The adapted model memorized its training data; none was detected in the base on the same records"
    )
    first = view.key_numbers[0]
    assert (first.topic, first.tone) == ("memorization", "alert")
    for text in everything(rich_audit).values():
        assert "none was detected in the base on the same records" in squeezed(text).lower()
        assert "0.423 nats/byte" in text.replace("\u00a0", " ")


def test_what_both_models_show_is_not_called_the_adaptation(make_audit):
    made = make_audit()
    made.metric("memorization.x/rate", "Rate")
    for subject in ("base", "adapted"):
        m = made.measure("memorization.x", "texts", subject)
        made.estimate(m, "memorization.x/rate", 0.5, 0.05)
        made.contrast("c", "within_subject", m, "memorization.x/rate", 0.4, 0.05)
    made.contrast("c", "difference_in_differences", m, "memorization.x/rate", 0.01, 0.05)
    view = report_view(made.build())
    assert view.banner.tone == "calm"
    assert view.key_numbers[0].word == "In both; no change shown"
    assert "In both; no change shown: " in view.banner.reasons[0]
    assert not any("association" in reason or "alike" in reason for reason in view.banner.reasons)


def test_at_most_six_key_numbers_each_with_an_interval(rich_audit):
    cards = report_view(rich_audit).key_numbers
    assert 0 < len(cards) <= 6
    said = [
        statement
        for card in cards
        for statement in card.statements
        if statement.value and "target" not in statement.lead
    ]
    assert said
    assert all("interval" in statement.rest for statement in said)
    assert all("coverage" in statement.basis for statement in said)


def without_controls(text):
    """The words of the frameworks are not ours."""
    return re.sub(
        r'<section id="controls".*?</section>|^## Controls$.*?^## ', "", text, flags=re.DOTALL | re.M
    )


@pytest.mark.parametrize("name", ["tiny_audit", "cut_audit"])
def test_two_items_conclude_nothing_anywhere(name, request):
    audit = request.getfixturevalue(name)
    for text in everything(audit).values():
        assert NOTHING_CONCLUDED.lower() in squeezed(text).lower()
        assert "2 items in 2 clusters, 30 needed" in squeezed(text)
        assert "memorized" not in without_controls(text)
        assert "Difference shown" not in text
    if name == "cut_audit":
        assert all("cut short on purpose (-L)" in squeezed(text) for text in everything(audit).values())


def test_a_partial_run_concludes_nothing_even_if_its_numbers_say_conclusive(rich_audit):
    data = rich_audit.model_dump(by_alias=True)
    for measurement in data["measurements"]:
        measurement["partial"] = True
    view = report_view(type(rich_audit).model_validate(data))
    assert view.banner.title == NOTHING_CONCLUDED


def test_nothing_measured(make_audit):
    made = make_audit()
    made.measure("toy.probe", "toy", "base", state="unmeasured", reason="out of memory")
    for text in everything(made.build()).values():
        assert NOTHING_CONCLUDED.lower() in squeezed(text).lower()
        assert "out of memory" in squeezed(text)


def test_a_probe_the_page_never_heard_of_gets_its_section(make_audit):
    made = make_audit()
    made.metric(
        "ethics.novel/oddness",
        "Oddness of answers",
        kind="mean",
        unit="odds",
        headline=True,
        range=[None, None],
    )
    for subject in ("base", "adapted"):
        m = made.measure("ethics.novel", "questions", subject)
        made.estimate(m, "ethics.novel/oddness", 2.0, 0.25)
        made.estimate(m, "ethics.novel/oddness", 3.0, 0.25, slice={"topic": "weather"})
    made.compare(m, "ethics.novel/oddness", 2.0, 2.0, 0.25)
    for text in everything(made.build()).values():
        plain = squeezed(text.replace("\u00a0", " "))
        for part in ("Oddness of answers", "2.00 odds", "1.75 to 2.25", "questions", "o change shown"):
            assert part in plain
    assert "topic: weather" in render_html(made.build())


def test_every_number_carries_its_company(rich_audit):
    page = Page(render_html(rich_audit)).text.replace("\u00a0", " ")
    for part in (
        "0.9 to 3.3",
        "1.9 to 9.9",
        "92 %",
        "368",
        "wilson",
        "causal_sum",
        "626961732e63",
        "association",
    ):
        assert part in page
    assert "unmeasurable" in page
    assert "the disk was full after 3 of 12 blocks" in page


def test_page_is_one_accessible_file(rich_audit):
    html = render_html(rich_audit, evidence([SECRET]))
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == len(page.all("nav")) == 1
    assert all(cell.get("scope") for cell in page.all("th"))
    labelled = [table for table in page.all("table") if "aria-labelledby" in table]
    assert len(page.all("caption")) + len(labelled) == len(page.all("table"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {table["aria-labelledby"] for table in labelled} <= set(ids)
    targets = {link["href"][1:] for link in page.all("a")} | {use["href"][1:] for use in page.all("use")}
    assert targets <= set(ids)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    policy = next(
        tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")


def test_charts_take_their_colours_from_the_page(rich_audit):
    for drawing in re.findall(r"<svg.*?</svg>", render_html(rich_audit), flags=re.DOTALL):
        assert not re.search(r"#[0-9a-fA-F]{6}\b", drawing)
        assert re.search(r"var\(--(adapted|base|ink)\)", drawing)
        assert "<title" in drawing
        assert "<desc" in drawing


def test_text_contrast_is_sufficient_in_both_themes():
    from fmaudit.resources import shipped_folder

    style = (shipped_folder("templates") / "report" / "report.css").read_text()
    for block in (style.split("}")[0], style.split("}")[1]):
        colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for front in ("ink", "muted", "link", "alert", "open", "calm", "base", "adapted", "reference"):
            for back in ("paper", "surface", "soft"):
                assert contrast(colors[front], colors[back]) >= 4.5, (front, back)
        for tone in ("alert", "open", "calm"):
            assert contrast(colors[tone], colors[f"{tone}-soft"]) >= 4.5
            assert contrast(colors["link"], colors[f"{tone}-soft"]) >= 4.5


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_generated_text_is_redacted_unless_revealed(rich_audit):
    samples = evidence([SECRET])
    samples = [EvidenceSample("toxicity.prompted", [{**samples[0].rows[0], "item_id": "item 1"}], 900)]
    for name, text in everything(rich_audit, samples).items():
        assert SECRET not in text
        if name != "terminal":
            assert f"redacted, {len(SECRET)} characters" in text
    revealed = everything(rich_audit, samples, reveal=True)
    assert "a generated sentence" in revealed["html"]
    assert SECRET in revealed["md"]


@pytest.mark.parametrize("reveal", [False, True])
def test_hostile_text_is_inert_in_the_page(hostile_audit, hostile_strings, reveal):
    html = render_html(hostile_audit, evidence(hostile_strings), reveal)
    page = Page(html)
    assert len(page.all("script")) == 1
    assert not {"img", "iframe", "object", "embed", "base", "textarea", "link"} & {
        tag for tag, _ in page.elements
    }
    assert {form["id"] for form in page.all("form")} <= {"findings-sieve", "explorer-sieve"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [link for link in page.all("a") if not link["href"].startswith("#")]
    assert "{{ 7*7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", html)
    assert "\\u202e" in html


@pytest.mark.parametrize("reveal", [False, True])
def test_hostile_text_is_inert_in_markdown(hostile_audit, hostile_strings, reveal):
    text = render_markdown(hostile_audit, evidence(hostile_strings), reveal)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    kinds = {token.type for token in tokens} | {
        child.type for token in tokens for child in token.children or []
    }
    assert not kinds & {"html_block", "html_inline", "image", "link_open", "math_inline"}
    assert "{{ 7\\*7 }}" in text
    outside = re.sub(r"^(`{3,})text\n.*?^\1$|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "@" not in outside
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("width", [60, 100])
def test_terminal_holds_no_control_and_keeps_its_width(hostile_audit, rich_audit, width):
    for audit in (hostile_audit, rich_audit):
        text = render_terminal(audit, width)
        assert all(line.isprintable() for line in text.replace("\u00a0", " ").splitlines())
        assert max(len(line) for line in text.splitlines()) <= width


def test_no_absolute_path_in_any_output(rich_audit):
    data = rich_audit.model_dump(by_alias=True)
    data["subjects"][1]["name"] = "/home/someone/models/secret-lora"
    data["context"]["note"] = "read file:///home/someone/data.csv and C:\\Users\\someone\\x.csv"
    data["measurements"][-1]["reason"] = "cannot open /mnt/disk/someone/part.bin: gone"
    for text in everything(type(rich_audit).model_validate(data)).values():
        assert "someone" not in text
        assert "secret-lora" in text


def test_write_report(rich_audit, tmp_path):
    (tmp_path / "audit.json").write_bytes(rich_audit.to_bytes())
    paths = write_report(tmp_path, ["html", "md"], False, evidence([None]))
    assert [path.name for path in paths] == ["report.html", "report.md"]
    assert paths[0].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert write_report(tmp_path, ["md"], True)[0].name == "report-revealed.md"
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report-revealed.md",
        "report.html",
        "report.md",
    ]
    with pytest.raises(UsageError, match="unknown report format 'docx'"):
        write_report(tmp_path, ["docx"])


def test_write_report_says_when_it_cannot_write(rich_audit, tmp_path):
    (tmp_path / "audit.json").write_bytes(rich_audit.to_bytes())
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(ExecutionError, match=r"cannot write report\.md"):
        write_report(tmp_path, ["md"])


def test_report_and_gate_need_no_torch():
    modules = "fmaudit.report.html, fmaudit.report.markdown, fmaudit.report.terminal, fmaudit.gate.outcome"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
