"""The gallery: addresses that stay, bytes that repeat, pages that hold together, nothing that is not ours."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from fmaudit.canonical import digest_bytes
from fmaudit.cli.site import command
from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.report.examples import evidence_samples
from fmaudit.report.html import render_html
from fmaudit.schema import read_audit
from fmaudit.site.build import SiteOptions, build_site
from fmaudit.site.folder import MARKER
from fmaudit.site.names import audit_address, slug
from tests.exports.export_runs import SECRET, hostile_run
from tests.site.conftest import LATER
from tests.site.site_pages import lost_links, own_pages, tree


@pytest.fixture
def three(make_run):
    return [
        make_run("one"),
        make_run("two", ended=LATER, version="0.2.0"),
        make_run("three", adapted="other", base="elsewhere", ended=None),
    ]


def test_every_audit_has_its_folder_and_every_link_leads_somewhere(three, tmp_path):
    site = tmp_path / "site"
    built = build_site(three, site)
    assert lost_links(site) == []
    assert len(built.audits) == 3
    for run in three:
        audit = read_audit(run)
        address = audit_address(audit.subjects[1].name, digest_bytes(audit.to_bytes()))
        folder = site / "audits" / address
        assert digest_bytes((folder / "audit.json").read_bytes()) == digest_bytes(audit.to_bytes())
        page = render_html(audit, evidence_samples(RunDirectory(run)), False)
        assert (folder / "index.html").read_text(encoding="utf-8") == page
        assert (folder / "report.md").is_file()
        assert (folder / "model-card.md").read_text().startswith("---\n")
    for list_page in ("families", "models", "verdicts", "dates"):
        named = own_pages(site)[f"{list_page}/index.html"]
        linked = {link["href"] for link in named.all("a")}
        assert {f"../audits/{address}/index.html" for address in built.audits} <= linked, list_page


def test_the_undated_come_last_and_say_so(three, tmp_path):
    said = []
    built = build_site(three[::-1], tmp_path / "site", notice=said.append)
    assert [address.rpartition("-")[0] for address in built.audits] == ["org-tuned", "org-tuned", "other"]
    assert own_pages(tmp_path / "site")["dates/index.html"].all("section")[-1]["id"] == ("month-undated")
    assert any("1 of 3 audits record no date" in line for line in said)
    dated = build_site(three, tmp_path / "dated", SiteOptions(date="2026-05-01"))
    assert dated.audits[0].startswith("other-")


def test_two_builds_leave_the_same_bytes_whatever_the_order(three, tmp_path):
    options = SiteOptions("Ours", "https://audits.example/g")
    build_site(three, tmp_path / "a", options)
    build_site(three[::-1], tmp_path / "b", options)
    build_site(three, tmp_path / "a", options)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_more_runs_change_no_address_and_no_audit(three, make_run, tmp_path):
    site = tmp_path / "site"
    build_site(three, site)
    before = tree(site)
    between = make_run("between", ended="2026-03-15T00:00:00Z", version="0.1.5")
    build_site([*three, between], site)
    after = tree(site)
    assert set(before) <= set(after)
    for name in before:
        if name.startswith("audits/"):
            assert after[name] == before[name], name
    assert sum(name.startswith("compare/") for name in before) == 1
    assert sum(name.startswith("compare/") for name in after) == 3
    assert lost_links(site) == []


def test_the_same_audit_twice_is_one_entry(three, tmp_path):
    shutil.copytree(three[0], tmp_path / "again")
    said = []
    built = build_site([three[0], tmp_path / "again"], tmp_path / "site", notice=said.append)
    assert len(built.audits) == 1
    assert "again is the same audit as one: one entry" in said


def test_an_audit_that_is_named_no_more_leaves_and_foreign_files_stay(three, tmp_path):
    site = tmp_path / "site"
    build_site(three, site)
    (site / "CNAME").write_text("audits.example")
    folder = (
        site
        / "audits"
        / next(
            name
            for name in json.loads((site / MARKER).read_bytes())["files"]
            if name.startswith("audits/other")
        ).split("/")[1]
    )
    (folder / "notes.txt").write_text("mine")
    (folder / "report.md").write_text("changed by hand")
    said = []
    build_site(three[:2], site, notice=said.append)
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "report.md"]
    assert (site / "CNAME").read_text() == "audits.example"
    assert not list((site / "models").glob("other-*"))
    assert any(line.startswith(f"audits/{folder.name}/ is not among these runs") for line in said)
    assert lost_links(site) == []


def test_folders_that_are_not_a_site_are_refused_untouched(three, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and holds no site"):
        build_site(three, site)
    assert tree(site) == {"mine.txt": b"mine"}
    (site / MARKER).write_text('{"schema": "fmaudit/site/1", "files": {"../../x": "0"}}')
    with pytest.raises(UsageError, match="damaged"):
        build_site(three, site)
    (site / MARKER).write_text('{"schema": "fmaudit/site/1", "files": {}}')
    (site / "index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"index\.html in site was not written by fmaudit"):
        build_site(three, site)
    assert (site / "index.html").read_text() == "mine"
    (site / "index.html").unlink()
    (tmp_path / "elsewhere").mkdir()
    (site / "audits").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        build_site(three, site)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".fmaudit-site")]


def test_revealed_reports_and_unfinished_runs_are_refused(three, tmp_path):
    (three[1] / "report").mkdir()
    (three[1] / "report" / "report-revealed.html").write_text("text")
    with pytest.raises(UsageError, match="holds a report with generated text"):
        build_site(three, tmp_path / "site")
    (three[0] / "audit.json").unlink()
    with pytest.raises(UsageError, match="finish the run first"):
        build_site(three[:1], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_generated_text_reaches_no_file(three, tmp_path):
    build_site(three, tmp_path / "site")
    for name, data in tree(tmp_path / "site").items():
        assert b"vault" not in data, name
    assert "vault" in SECRET


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"base_url": "javascript:alert(1)"}, "--base-url wants"),
        ({"base_url": "https://x.example/?a"}, "--base-url wants"),
        ({"formats": ["docx"]}, "unknown report format"),
        ({"date": "yesterday"}, "--date wants"),
        ({"date": "2026-03-01T10:00:00"}, "--date wants"),
    ],
)
def test_options_of_a_wrong_form_are_refused(three, tmp_path, options, problem):
    with pytest.raises(UsageError, match=problem):
        build_site(three, tmp_path / "site", SiteOptions(**options))


@pytest.mark.parametrize("text", ["../../etc", "A/B c", "ÄÖ-ü", "", "\x00\u202e", "x" * 100_000, "..", "İ"])
def test_slugs_hold_letters_digits_and_hyphens(text):
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?", slug(text))


def test_hostile_names_stay_inert_and_inside(tmp_path, three):
    site = tmp_path / "site"
    title = '</title><script>document.title="owned"</script>'
    build_site([hostile_run(tmp_path / "hostile"), *three], site, SiteOptions(title=title))
    assert lost_links(site) == []
    for name in tree(site):
        assert re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", name), name
    for name, page in own_pages(site).items():
        assert len(page.all("script")) == 1, name
        assert not [one for one in page.elements if any(attribute.startswith("on") for attribute in one[1])]
        assert not page.all("img"), name
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200b]", page.text), name
        policy = page.all("meta")[1]["content"]
        assert policy.startswith("default-src 'none'"), name


def test_the_latest_audit_of_a_model_has_an_address_of_its_own(three, tmp_path):
    site = tmp_path / "site"
    built = build_site(three, site)
    pages = own_pages(site)
    newest = next(page for name, page in pages.items() if re.match(r"models/org-tuned-\w+/latest/", name))
    links = {link["href"] for link in newest.all("a")}
    assert f"../../../audits/{built.audits[0]}/index.html" in links
    assert f"../../../audits/{built.audits[1]}/index.html" not in links
    assert not any(found.get("http-equiv", "").lower() == "refresh" for found in newest.all("meta"))
    undated = next(page for name, page in pages.items() if re.match(r"models/other-\w+/latest/", name))
    assert "which is the latest is not known" in undated.text


def test_the_command_prints_where_the_site_is(three, tmp_path):
    arguments = [*map(str, three), "-o", str(tmp_path / "site"), "--title", "Ours", "--formats", "html"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{tmp_path / 'site' / 'index.html'}\n" in result.output
    assert not list((tmp_path / "site").rglob("report.md"))
