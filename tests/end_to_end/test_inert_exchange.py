"""Hostile names and model text in the formats for other readers, and in a terminal that obeys escapes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

from tests.end_to_end.test_inert_outputs import (  # noqa: F401
    CONTROL,
    MARK,
    PRODUCT,
    hostile_run,
    prompts,
)

HUGE = "<b>" + "x" * 1_000_000 + "\x00\u202e</b>"


@pytest.mark.parametrize("command", [("show",), ("compare",), ("rows", "toxicity.prompted", "--reveal")])
def test_a_terminal_shows_it_and_obeys_nothing(hostile_run, run_once, command):  # noqa: F811
    import pyte

    name, *rest = command
    outcome = run_once(name, hostile_run[0], *rest)
    screen = pyte.HistoryScreen(120, 50, history=100_000)
    stream = pyte.Stream(screen)
    stream.feed(outcome.out.replace("\n", "\r\n"))
    assert screen.title == ""
    assert screen.icon_name == ""
    shown = "".join(screen.display)
    assert shown.strip() or outcome.code != 0
    stream.feed("\r\nthe end")
    assert "the end" in "".join(screen.display)
    # Nothing was cleared: the first line went up into the history, or is still there.
    first = outcome.out.strip().splitlines()[0][:20]
    above = ["".join(line[column].data for column in range(120)) for line in screen.history.top]
    assert any(first in line for line in (*above, *screen.display))


def test_the_model_card_is_plain_yaml_and_inert_markdown(hostile_run, run_once):  # noqa: F811
    from markdown_it import MarkdownIt

    run, _ = hostile_run
    subject = next(
        s for s in json.loads((run / "audit.json").read_bytes())["subjects"] if s["role"] == "adapted"
    )
    outcome = run_once("card", run, "--subject", subject["id"])
    assert outcome.code == 0, outcome.err
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", outcome.out, re.DOTALL).groups()
    assert isinstance(yaml.safe_load(front), dict)
    assert MARK not in outcome.out
    assert PRODUCT not in outcome.out
    assert not CONTROL.search(outcome.out)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    inner = [part for token in tokens for part in (token, *(token.children or ()))]
    html = "".join(token.content for token in inner if token.type in {"html_block", "html_inline"})
    assert not re.search(r"<(?!!--)", html)
    assert "image" not in {token.type for token in inner}
    links = {str(token.attrs.get("href")) for token in inner if token.type == "link_open"}
    assert not [link for link in links if "evil" in link or "javascript" in link]


def test_exports_are_plain_data_without_model_text(hostile_run, run_once, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    run, _ = hostile_run
    outcome = run_once("export", run, "--format", "ml-bom,every-eval-ever,harness", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert path.resolve().is_relative_to(tmp_path.resolve())
        assert re.fullmatch(r"[\w.@+=-]+", path.name), path.name
        text = path.read_text(encoding="utf-8")
        assert MARK not in text
        assert not CONTROL.search(text)
        for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(line)


def test_the_gallery_and_its_feed(hostile_run, run_once, tmp_path):  # noqa: F811
    run, _ = hostile_run
    revealed = list((run / "report").glob("report-revealed*"))
    kept = {path: path.read_bytes() for path in revealed}
    for path in revealed:
        path.unlink()
    try:
        options = ("--base-url", "https://audits.example", "--date", "2026-01-02")
        outcome = run_once("site", run, "-o", tmp_path / "public", *options)
    finally:
        for path, data in kept.items():
            path.write_bytes(data)
    assert outcome.code == 0, outcome.err
    for path in (tmp_path / "public").rglob("*"):
        if path.suffix == ".xml":
            ElementTree.fromstring(path.read_bytes())
        if path.suffix == ".html":
            page = path.read_text(encoding="utf-8")
            assert MARK not in page
            assert not re.search(r"<(img|svg onload|a href=\"javascript|b>bold)", page)


def test_strings_of_a_megabyte_keep_every_document_small_and_quick(hostile_run, tmp_path):  # noqa: F811
    from fmaudit.report.html import render_html
    from fmaudit.report.markdown import render_markdown
    from fmaudit.report.terminal import render_terminal
    from fmaudit.schema import read_audit

    audit = read_audit(hostile_run[0])
    first, *others = audit.subjects
    metric, *metrics = audit.metrics
    measurement, *measurements = audit.measurements
    audit = audit.model_copy(
        update={
            "subjects": [first.model_copy(update={"name": HUGE, "notes": [HUGE]}), *others],
            "metrics": [metric.model_copy(update={"title": HUGE}), *metrics],
            "measurements": [measurement.model_copy(update={"title": HUGE, "limits": [HUGE]}), *measurements],
        }
    )
    page, plain = render_html(audit), render_markdown(audit)
    assert "<b>xx" not in page + plain
    for text in (page, plain, render_terminal(audit, 100)):
        assert not CONTROL.search(text)
        assert len(text) < 5_000_000
