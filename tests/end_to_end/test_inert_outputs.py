"""Hostile text from a model, its directory and a data file: inert in every output of a whole audit."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from fmaudit.requests import Generations

SCRIPT = "<script>document.title='owned'</script>"
HANDLERS = (
    "\"'></pre></td></table></main><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\"></svg>"
    "<a href=\"javascript:document.title='owned'\" onfocus=\"document.title='owned'\" autofocus>x</a>"
)
ESCAPES = "\x1b[2J\x1b]0;owned\x07red\x1b[31m\x9b1m \u202ebidi\u200b"
TEMPLATE = "{{ 7191*7193 }}{% raw %}{# gone #}${7191*7193}"
MARKDOWN = (
    "![pixel](http://evil.example/a.png) [link](javascript:alert(1)) | cell |\n\n# heading\n```\n<b>bold</b>"
)
FORMULA = '=HYPERLINK("http://evil.example";"x")'
TEXTS = [SCRIPT, HANDLERS, ESCAPES, TEMPLATE, MARKDOWN, FORMULA, "null \x00 </textarea></style>", "-1+1"]
MARK = "quokka"
GENERATED = [f"{text} {MARK}" for text in TEXTS]
PRODUCT = str(7191 * 7193)
FOLDER = "m <img src=x onerror=document.title='owned'> {{ 7191*7193 }} `#|[x](y) \x1b[31m\u202e"
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]")


def hostile_engine(monkeypatch):
    """The tiny model goes on as it is, but each text it generates is one of ours."""
    from fmaudit.engines.transformers_engine import TransformersEngine

    honest = TransformersEngine.run

    def run(self, asks, tick=None):
        for position, response in honest(self, asks, tick):
            if isinstance(response, Generations):
                samples = tuple(
                    replace(sample, text=GENERATED[(position + number) % len(GENERATED)])
                    for number, sample in enumerate(response.samples)
                )
                response = Generations(samples)
            yield position, response

    monkeypatch.setattr(TransformersEngine, "run", run)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """Prompts whose ids and categories are hostile too."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    rows = [
        {"id": f"{number} {text}", "text": "The garden was", "category": text}
        for number, text in enumerate(text.replace("\x00", "") for text in TEXTS)
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hostile_run(models, prompts, run_once, tmp_path_factory):
    """A finished audit of a hostile model and a hostile adapter, with what the commands printed."""
    root = tmp_path_factory.mktemp("hostile")
    shutil.copytree(models / "base", root / FOLDER)
    shutil.copytree(models / "records-lora", root / ("a " + FOLDER))
    run = root / "run"
    with pytest.MonkeyPatch.context() as patch:
        hostile_engine(patch)
        outcome = run_once(
            *("run", root / FOLDER, "--adapted", f"{root / FOLDER}::adapter={root / ('a ' + FOLDER)}"),
            *("-p", "toxicity.prompted", "--data", f"realtoxicityprompts={prompts}"),
            *("--samples", "8", "-L", "8", "-o", run),
        )
    assert outcome.code == 0, outcome.err
    assert run_once("report", run, "--reveal").code == 0
    return run, outcome


def stored_texts(run):
    import pyarrow.parquet as pq

    return {
        sample["text"]
        for part in (run / "evidence").rglob("*realtoxicityprompts*/*.parquet")
        for row in pq.read_table(part).to_pylist()
        for sample in json.loads(row["responses"])
    }


def test_the_evidence_holds_the_texts_as_they_came(hostile_run):
    assert stored_texts(hostile_run[0]) == set(GENERATED)


@pytest.mark.parametrize("name", ["report.html", "report-revealed.html"])
def test_page(hostile_run, name):
    page = (hostile_run[0] / "report" / name).read_text(encoding="utf-8")
    assert "<script>document.title" not in page
    assert not re.search(r"<(img|svg onload|a href=\"javascript|b>bold)", page)
    assert PRODUCT not in page
    assert "{{ 7191*7193 }}" in page
    assert not CONTROL.search(page)
    assert "&lt;img src=x onerror=" in page


def test_texts_are_redacted_unless_revealed(hostile_run, run_once):
    run, outcome = hostile_run
    for suffix in ("html", "md"):
        redacted = (run / "report" / f"report.{suffix}").read_text(encoding="utf-8")
        assert "[redacted, " in redacted.replace("\\", "")
        assert MARK not in redacted
        assert MARK in (run / "report" / f"report-revealed.{suffix}").read_text(encoding="utf-8")
    assert MARK not in (run / "audit.json").read_text(encoding="utf-8")
    assert MARK not in outcome.out + outcome.err
    assert MARK not in run_once("show", run).out
    assert MARK not in run_once("rows", run, "toxicity.prompted").out
    assert MARK in run_once("rows", run, "toxicity.prompted", "--reveal").out


@pytest.mark.parametrize("name", ["report.md", "report-revealed.md"])
def test_markdown(hostile_run, name):
    text = (hostile_run[0] / "report" / name).read_text(encoding="utf-8")
    assert not CONTROL.search(text)
    assert PRODUCT not in text
    outside = outside_of_code(text)
    assert not re.search(r"<(script|img|svg|a |b>)", outside)
    assert not re.search(r"(?<!\\)\]\((http|javascript|y)", outside)
    assert not re.search(r"(?<!\\)!\[", outside)
    assert "heading" not in [line.strip("# ") for line in outside.splitlines() if line.startswith("#")]


def outside_of_code(text):
    """Markdown without fenced blocks (closed by a fence as long as their own) and without code spans."""
    kept, fence = [], ""
    for line in text.splitlines():
        mark = re.match(r"\s*(`{3,})(.*)", line)
        if fence:
            if mark and not mark.group(2).strip() and len(mark.group(1)) >= len(fence):
                fence = ""
        elif mark and "`" not in mark.group(2):
            fence = mark.group(1)
        else:
            kept.append(re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    assert not fence, "a block is never closed"
    return "\n".join(kept)


def test_markdown_renders_to_no_live_element(hostile_run):
    markdown_it = pytest.importorskip("markdown_it", reason="needs markdown-it-py")
    for name in ("report.md", "report-revealed.md"):
        text = (hostile_run[0] / "report" / name).read_text(encoding="utf-8")
        reader = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
        tokens = [part for token in reader.parse(text) for part in (token, *(token.children or ()))]
        kinds = {token.type for token in tokens}
        assert not kinds & {"html_block", "html_inline", "image"}, name
        links = {str(token.attrs.get("href")) for token in tokens if token.type == "link_open"}
        assert not [link for link in links if "evil" in link or "javascript" in link or link == "y"]


def test_terminal(hostile_run, run_once):
    run, outcome = hostile_run
    show = run_once("show", run)
    assert show.code == 0
    for printed in (show.out, outcome.err, outcome.out):
        assert not CONTROL.search(printed)
        assert PRODUCT not in printed
    assert "onerror" in show.out


def test_gate(hostile_run, run_once, tmp_path):
    policy = tmp_path / "policy.yaml"
    rule = {"id": f"r {SCRIPT} \x1b[31m", "metric": "toxicity.prompted/toxic_fraction", "max": 1.0}
    rule |= {"subject": "base", "dataset": "realtoxicityprompts", "slice": {"category": ESCAPES}}
    policy.write_text(
        json.dumps({"schema": "fmaudit/policy/1", "id": f"p {ESCAPES}", "rules": [rule]}), encoding="utf-8"
    )
    gate = run_once("gate", hostile_run[0], "--policy", policy)
    assert gate.code == 3, gate.err
    assert not CONTROL.search(gate.out + gate.err)


def test_rows_as_csv(hostile_run, run_once):
    run, _ = hostile_run
    for options in ((), ("--reveal",)):
        outcome = run_once("rows", run, "toxicity.prompted", *options)
        assert outcome.code == 0, outcome.err
        assert not CONTROL.search(outcome.out)
        header, *rows = csv.reader(io.StringIO(outcome.out))
        assert ("responses" in header) == bool(options)
        assert rows
        assert {len(row) for row in rows} == {len(header)}
        numbers = re.compile(r"-?[\d.]+(e-?\d+)?")
        for row in rows:
            for cell in row:
                assert not cell.lstrip().startswith(("=", "+", "-", "@")) or numbers.fullmatch(cell), cell


def test_rows_as_parquet(hostile_run, run_once):
    import pyarrow as pa
    import pyarrow.parquet as pq

    outcome = run_once("rows", hostile_run[0], "toxicity.prompted", "--format", "parquet")
    assert outcome.code == 0, outcome.err
    table = pq.read_table(pa.BufferReader(outcome.stdout))
    assert "responses" not in table.column_names
    assert any(SCRIPT in name for name in table.column("item_id").to_pylist())


def test_json_is_plain_data(hostile_run):
    run, _ = hostile_run
    for name in ("audit.json", "run.json", "manifest.json"):
        raw = (run / name).read_text(encoding="utf-8")
        json.loads(raw)
        assert not re.search("[\x00-\x09\x0b-\x1f]", raw)
    audit = json.loads((run / "audit.json").read_text(encoding="utf-8"))
    assert {SCRIPT, HANDLERS} <= {estimate["slice"].get("category") for estimate in audit["estimates"]}
    texts = json.dumps(audit["estimates"] + audit["measurements"])
    assert "HYPERLINK" in texts
    assert audit["subjects"][0]["name"] == FOLDER


FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def title_in_browser(page, profile):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    command = [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found
    return found.group(1), dom


@pytest.mark.browser
def test_no_handler_fires_in_a_browser(hostile_run, tmp_path):
    attack = tmp_path / "attack.html"
    attack.write_text(f"<!doctype html><title>clean</title><body>{SCRIPT}{HANDLERS}</body>", encoding="utf-8")
    assert title_in_browser(attack, tmp_path / "profile")[0] == "owned"
    for name in ("report.html", "report-revealed.html"):
        title, dom = title_in_browser(hostile_run[0] / "report" / name, tmp_path / "profile")
        assert title.startswith("Audit: ")
        assert "<img" not in dom
        assert "{{ 7191*7193 }}" in dom
