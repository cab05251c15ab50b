"""The feed is Atom 1.0 by the letter of RFC 4287, and the sitemap lists what there is."""

import re
from xml.etree import ElementTree as ET

import pytest

from fmaudit.site.build import SiteOptions, build_site
from tests.exports.export_runs import hostile_run
from tests.site.conftest import EARLIER, LATER

BASE = "https://audits.example/gallery"
ATOM = "{http://www.w3.org/2005/Atom}"
MAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


@pytest.fixture
def runs(make_run):
    return [
        make_run("one"),
        make_run("two", ended=LATER, version="2"),
        make_run("three", base="b", ended=None),
    ]


def required(element, *names):
    for name in names:
        assert len(element.findall(ATOM + name)) == 1, name
        assert (element.find(ATOM + name).text or "").strip() or len(element.find(ATOM + name)), name


def check_atom(feed):
    """The elements RFC 4287 asks for, each once, and their forms."""
    required(feed, "id", "title", "updated", "author")
    entries = feed.findall(ATOM + "entry")
    for entry in entries:
        required(entry, "id", "title", "updated", "summary")
        assert re.fullmatch(
            r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entry.find(ATOM + "id").text
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry.find(ATOM + "updated").text)
        assert [link.get("rel") for link in entry.findall(ATOM + "link")] == ["alternate"]
    ids = [entry.find(ATOM + "id").text for entry in entries]
    assert len(set(ids)) == len(ids)
    return entries


def test_the_feed_holds_the_dated_audits_with_whole_links(runs, tmp_path):
    built = build_site(runs, tmp_path / "site", SiteOptions("Ours & theirs", BASE))
    feed = ET.parse(tmp_path / "site" / "feed.xml").getroot()
    entries = check_atom(feed)
    assert feed.find(ATOM + "title").text == "Ours & theirs"
    assert [entry.find(ATOM + "updated").text for entry in entries] == [LATER, EARLIER]
    assert feed.find(ATOM + "updated").text == LATER
    assert [entry.find(ATOM + "link").get("href") for entry in entries] == [
        f"{BASE}/audits/{address}/" for address in built.audits[:2]
    ]
    assert {link.get("rel"): link.get("href") for link in feed.findall(ATOM + "link")} == {
        "self": f"{BASE}/feed.xml",
        "alternate": f"{BASE}/",
    }


def test_without_an_address_links_are_relative_and_there_is_no_sitemap(runs, tmp_path):
    said = []
    build_site(runs, tmp_path / "site", notice=said.append)
    feed = ET.parse(tmp_path / "site" / "feed.xml").getroot()
    for entry in check_atom(feed):
        assert (tmp_path / "site" / entry.find(ATOM + "link").get("href") / "index.html").is_file()
    assert not (tmp_path / "site" / "sitemap.xml").exists()
    assert any("--base-url" in line for line in said)


def test_ids_outlive_other_audits_and_titles(runs, tmp_path):
    def ids(folder):
        return [
            entry.find(ATOM + "id").text
            for entry in ET.parse(folder / "feed.xml").getroot().findall(ATOM + "entry")
        ]

    build_site(runs[:1], tmp_path / "a", SiteOptions("A"))
    build_site(runs, tmp_path / "b", SiteOptions("B", BASE))
    assert ids(tmp_path / "a")[0] in ids(tmp_path / "b")


def test_nothing_dated_means_no_feed(runs, tmp_path):
    build_site(runs[2:], tmp_path / "site", SiteOptions(base_url=BASE))
    assert not (tmp_path / "site" / "feed.xml").exists()
    assert "feed.xml" not in (tmp_path / "site" / "index.html").read_text()


def test_hostile_text_is_text_to_an_xml_parser(tmp_path):
    build_site([hostile_run(tmp_path / "run")], tmp_path / "site", SiteOptions("<b>\x00]]>&", BASE))
    feed = ET.parse(tmp_path / "site" / "feed.xml").getroot()
    (entry,) = check_atom(feed)
    assert feed.find(ATOM + "title").text == "<b>\\x00]]>&"
    assert {child.tag.removeprefix(ATOM) for child in entry} <= {
        *("id", "title", "updated", "published", "link", "category", "summary")
    }
    assert entry.find(ATOM + "title").get("type", "text") == "text"


def test_the_sitemap_lists_every_page(runs, tmp_path):
    site = tmp_path / "site"
    build_site(runs, site, SiteOptions(base_url=BASE))
    places = [url.findtext(MAP + "loc") for url in ET.parse(site / "sitemap.xml").getroot()]
    assert len(places) == len(set(places)) == len(list(site.rglob("index.html")))
    for place in places:
        assert (site / place.removeprefix(f"{BASE}/") / "index.html").is_file(), place
