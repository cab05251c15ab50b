from __future__ import annotations

import ctypes.util
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from click.testing import CliRunner

from fmaudit.canonical import canonical_bytes
from fmaudit.cli import cli
from fmaudit.errors import UsageError
from fmaudit.report import fonts, pdf
from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.html import render_html
from fmaudit.report.paper import MAX_TEXT, light_colors, prepare
from fmaudit.report.paper_charts import cuts
from fmaudit.report.paper_tables import MAX_ROWS, fit, shorten
from fmaudit.report.write import write_report
from tests.evidence.run_states import run_state
from tests.report.family_audit import hostile_family
from tests.report.report_audits import HOSTILE

REPOSITORY = Path(__file__).resolve().parents[2]
ODD = "\U00017000"  # a Tangut ideograph, which hardly any font has


def importable() -> bool:
    try:
        import weasyprint  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


needs_engine = pytest.mark.skipif(
    not importable(), reason="WeasyPrint or Pango is missing: install the pdf extra and libpango-1.0-0"
)


def opened(data: bytes):
    import io

    from pypdf import PdfReader

    return PdfReader(io.BytesIO(data), strict=True)


def samples(texts) -> list[EvidenceSample]:
    rows = [
        {"subject": "adapted", "item_id": f"item {place}", "outcome": 1.0, "severity": 1.0, "text": text}
        for place, text in enumerate(texts)
    ]
    return [EvidenceSample("toxicity.prompted", rows, len(rows))]


@pytest.fixture(scope="module")
def rich_pdf(rich_audit):
    return pdf.render_pdf(rich_audit, samples(["a generated sentence"]))


def elements(reader) -> list[dict]:
    """Every element of the structure tree."""
    found, waiting = [], [reader.trailer["/Root"]["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop()
        if not hasattr(node, "get"):
            continue
        if "/S" in node:
            found.append(node)
        kids = node.get("/K", [])
        kids = kids if isinstance(kids, list) else [kids]
        waiting += [kid.get_object() for kid in kids if hasattr(kid, "get_object")]
    return found


@needs_engine
def test_the_pdf_is_tagged_titled_and_archival(rich_pdf, rich_audit):
    reader = opened(rich_pdf.data)
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert reader.metadata.title.startswith("Audit: ")
    metadata = fromstring(root["/Metadata"].get_object().get_data().split(b"?>", 1)[1].rsplit(b"<?", 1)[0])
    kinds = [value for node in metadata.iter() for value in node.attrib.values()]
    assert {"3", "A"} <= set(kinds)
    assert root["/OutputIntents"][0]["/DestOutputProfile"]


@needs_engine
def test_headings_tables_and_figures_have_their_roles(rich_pdf, rich_audit):
    tree = elements(opened(rich_pdf.data))
    roles = {node["/S"] for node in tree}
    assert {"/H1", "/H2", "/H3", "/P", "/L", "/LI", "/Table", "/TR", "/TH", "/TD", "/Figure"} <= roles
    figures = [node for node in tree if node["/S"] == "/Figure"]
    assert figures
    assert all(len(str(node.get("/Alt", ""))) > 30 for node in figures)
    cells = [node for node in tree if node["/S"] == "/TD"]
    headed = [node for node in cells if node.get("/A", {}).get("/Headers")]
    assert len(headed) > 0.9 * len(cells) > 50


@needs_engine
def test_the_audit_is_attached_byte_for_byte(tiny_audit, tmp_path):
    stored = tiny_audit.to_bytes() + b"\n"
    (tmp_path / "audit.json").write_bytes(stored)
    (path,) = write_report(tmp_path, ["pdf"])
    reader = opened(path.read_bytes())
    assert dict(reader.attachments) == {"audit.json": [stored]}
    files = reader.trailer["/Root"]["/AF"]
    assert {entry.get_object()["/AFRelationship"] for entry in files} == {"/Source"}


@needs_engine
def test_the_outline_follows_the_headings(rich_pdf, rich_audit):
    def titles(entries, depth=0):
        for entry in entries:
            if isinstance(entry, list):
                yield from titles(entry, depth + 1)
            else:
                yield depth, entry.title

    found = list(titles(opened(rich_pdf.data).outline))
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", render_html(rich_audit, samples(["a"])))
    assert [title for depth, title in found if depth == 1] == headings
    assert [depth for depth, _ in found].count(0) == 1


@needs_engine
def test_every_page_says_which_page_it_is_and_of_which_audit(rich_pdf, rich_audit):
    pages = opened(rich_pdf.data).pages
    digest = hashlib.sha256(rich_audit.to_bytes()).hexdigest()[:12]
    for number, page in enumerate(pages, 1):
        text = page.extract_text()
        assert f"{number} / {len(pages)}" in text
        assert digest in text


@needs_engine
def test_nothing_is_cut_off_at_the_right_edge(rich_pdf):
    check_right_edge(rich_pdf.data)


@needs_engine
@pytest.mark.slow
def test_nothing_of_a_family_is_cut_off_at_the_right_edge(family_audit, family_flips):
    check_right_edge(pdf.render_pdf(family_audit, family_flips).data)


def check_right_edge(data: bytes) -> None:
    for page in opened(data).pages:
        reach = [0.0]

        def visit(text, user, matrix, font, size, reach=reach):
            # Drawings have a space of their own, told by its untouched matrix.
            if text.strip() and user[0] != 1.0:
                reach.append(user[0] * matrix[4] + user[4])

        page.extract_text(visitor_text=visit)
        assert len(reach) > 2
        assert max(reach) < float(page.mediabox.width) - 20


@needs_engine
def test_charts_keep_their_colours(rich_pdf, rich_audit):
    css = re.search(r"<style>(.*?)</style>", render_html(rich_audit), flags=re.DOTALL).group(1)
    drawn = b"".join(page.get_contents().get_data() for page in opened(rich_pdf.data).pages)
    forms = [
        item.get_object().get_data()
        for page in opened(rich_pdf.data).pages
        for item in page["/Resources"].get("/XObject", {}).values()
    ]
    operators = b"".join([drawn, *forms])
    for name in ("--base", "--adapted"):
        color = light_colors(css)[name]
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        rounded = [f"{part:.3f}"[:4] for part in parts]
        painted = {
            tuple(number[:4] for number in found.decode().split())
            for found in re.findall(rb"((?:[\d.]+ ){3})(?:rg|RG|scn|SCN)\b", operators)
        }
        assert any(
            all(abs(float(a) - float(b)) < 0.02 for a, b in zip(rounded, one, strict=True)) for one in painted
        )


SCRIPT = """
import sys
from tests.report.report_audits import rich_factory
from fmaudit.report.pdf import render_pdf
sys.stdout.buffer.write(render_pdf(rich_factory().build()).data)
"""


def rendered_elsewhere(seed: str, **variables: str) -> bytes:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "probes")]),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    ).stdout


@needs_engine
def test_two_renderings_are_byte_equal_whatever_the_hash_seed_and_the_time(rich_audit, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    first = rendered_elsewhere("77", TZ="Pacific/Auckland")
    assert first == pdf.render_pdf(rich_audit).data
    assert opened(first).metadata.creation_date is None


@needs_engine
def test_the_date_is_that_of_source_date_epoch(tiny_audit, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    reader = opened(pdf.render_pdf(tiny_audit).data)
    assert reader.metadata.creation_date.timestamp() == 1700000000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is 'yesterday': give whole seconds"):
        pdf.render_pdf(tiny_audit)


@needs_engine
@pytest.mark.parametrize("kind", ["plain", pytest.param("family", marks=pytest.mark.slow)])
def test_hostile_text_is_inert(kind, hostile_audit):
    text = " ".join(part.replace("\ud800", "") for part in HOSTILE)
    audit = hostile_audit if kind == "plain" else hostile_family(text)
    data = pdf.render_pdf(audit, samples(HOSTILE), reveal=True).data
    reader = opened(data)
    assert not {"/OpenAction", "/AA", "/AcroForm"} & set(reader.trailer["/Root"])
    assert set(reader.trailer["/Root"]["/Names"]) <= {"/EmbeddedFiles", "/Dests"}
    assert list(reader.attachments) == ["audit.json"]
    for page in reader.pages:
        assert "/AA" not in page
        for link in page.get("/Annots", []):
            annotation = link.get_object()
            assert annotation["/Subtype"] == "/Link"
            action = annotation.get("/A")
            assert action is None or action["/S"] == "/GoTo"
            assert action is not None or "/Dest" in annotation
    for entry in (b"/JavaScript", b"/Launch", b"/URI", b"/SubmitForm", b"/GoToR"):
        assert entry not in data
    drawn = "".join(page.extract_text() for page in reader.pages)
    assert "7*7" in drawn


@needs_engine
def test_characters_that_no_font_has_are_named_in_the_pdf_and_on_stderr(tiny_audit, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "uncovered_characters", lambda text: (ODD,) if ODD in text else ())
    (tmp_path / "audit.json").write_bytes(tiny_audit.to_bytes())
    told: list[str] = []
    (path,) = write_report(tmp_path, ["pdf"], True, samples([f"a {ODD} b"]), told.append)
    assert len(told) == 1
    assert "draws 1 character of it (U+17000); the HTML report holds them" in told[0]
    assert "U+17000" in opened(path.read_bytes()).pages[0].extract_text()
    told.clear()
    write_report(tmp_path, ["pdf"], False, samples(["plain"]), told.append)
    assert told == []


@pytest.mark.skipif(ctypes.util.find_library("fontconfig") is None, reason="fontconfig is not installed")
def test_the_fonts_of_this_machine_are_asked():
    assert fonts.uncovered_characters("plain text") == ()
    found = fonts.uncovered_characters("a\u200b\n " + "\U00017000é")
    listed = subprocess.run(["fc-list", ":charset=17000"], stdout=subprocess.PIPE, check=False).stdout
    assert ("\U00017000" in found) == (not listed.strip())


@needs_engine
def test_the_marks_of_the_report_are_covered():
    marks = "▲◐◧■✚✓✕○●◇≈→−–"
    missing = fonts.uncovered_characters(marks)
    assert not missing, "install a font that has them, for instance fonts-dejavu-core"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ImportError("no module"), "needs WeasyPrint, which is not installed: install the pdf extra"),
        (OSError("cannot load library 'libpango'\nmore"), r"needs Pango.*libpango'\): install the pdf extra"),
    ],
)
def test_a_missing_engine_is_one_line_and_the_other_formats_are_written(
    rich_audit, tmp_path, monkeypatch, failure, said
):
    class Refusing:
        def find_spec(self, name, path=None, target=None):
            if name == "weasyprint":
                raise failure

    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    (tmp_path / "audit.json").write_bytes(rich_audit.to_bytes())
    with pytest.raises(UsageError, match=said) as raised:
        write_report(tmp_path, ["pdf", "html", "md"])
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.html", "report.md"]


@needs_engine
def test_the_command_writes_the_pdf_and_lists_it_in_the_manifest(tiny_audit, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "audit.json").write_bytes(tiny_audit.to_bytes())
    (run / "run.json").write_bytes(canonical_bytes(run_state()))
    result = CliRunner().invoke(cli, ["report", str(run), "--format", "pdf,md"])
    assert result.exit_code == 0, result.output
    assert "report/report.pdf" in (run / "manifest.json").read_text()


def table_of(rows: int, words: list[str]) -> str:
    head = "".join(f"<th>{word}</th>" for word in words)
    body = "".join("<tr>" + "".join(f"<td>{word}</td>" for word in words) + "</tr>" for _ in range(rows))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def test_an_endless_table_is_cut_and_says_so():
    table = fromstring(table_of(MAX_ROWS + 1500, ["a", "b"]))
    shorten(table)
    rows = list(table.iter("tr"))
    assert len(rows) == 1 + MAX_ROWS + 1
    assert "1,500 more rows are left out of the PDF" in "".join(rows[-1].itertext())
    whole = fromstring(table_of(MAX_ROWS, ["a"]))
    shorten(whole)
    assert len(list(whole.iter("tr"))) == MAX_ROWS + 1


def test_a_table_is_turned_when_it_needs_room_and_squeezed_when_no_page_has_it():
    narrow, many = fromstring(table_of(2, ["word"] * 3)), fromstring(table_of(2, ["word"] * 9))
    long = fromstring(table_of(2, ["w" * 500, "a"]))
    assert (fit(narrow), fit(many), fit(long)) == (False, True, True)
    assert "squeezed" in long.get("class", "")
    assert "squeezed" not in many.get("class", "")
    widths = [float(re.search(r"[\d.]+", cell.get("style")).group()) for cell in next(long.iter("tr"))]
    assert sum(widths) == pytest.approx(100, abs=0.2)


def test_a_tall_drawing_is_cut_between_its_panels():
    rows = [float(panel * 100 + row * 15) for panel in range(20) for row in range(4)]
    found = cuts(rows, 0.0, 2000.0, 900.0)
    assert len(found) == 2
    assert all(place % 100 > 55 for place in found)
    assert all(later - earlier <= 900 for earlier, later in zip([0.0, *found], [*found, 2000.0], strict=True))
    assert cuts(rows, 0.0, 800.0, 900.0) == []


def test_a_text_without_end_is_cut_and_says_so():
    root = fromstring(
        "<html><head><title>t</title><style>p {}</style></head>"
        f"<body><header><h1>t</h1></header><p>{'x' * (MAX_TEXT + 1200)}</p></body></html>"
    )
    prepare(root, "", ("told",))
    (cut,) = (node.text for node in root.iter("p") if node.get("class") is None)
    assert cut.startswith("x" * MAX_TEXT + " […1,200 more characters in the HTML report")
    assert [node.text for node in root.iter("p") if node.get("class") == "pdf-notice"] == ["told"]


@needs_engine
@pytest.mark.slow
def test_a_megabyte_in_one_name_is_survived(make_audit):
    made = make_audit(names={"base": "b" * 1_000_000, "adapted": "a <b>word</b> " * 70_000})
    measurement = made.measure("toxicity.prompted", "prompts", "adapted")
    made.metric("toxicity.prompted/toxic_fraction", "t" * 1_000_000)
    made.estimate(measurement, "toxicity.prompted/toxic_fraction", 0.1, 0.02)
    reader = opened(pdf.render_pdf(made.build()).data)
    assert "more characters in the HTML report" in "".join(page.extract_text() for page in reader.pages)
