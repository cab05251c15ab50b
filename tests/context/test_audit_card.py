"""The audit card: every field stated or a gap, four signals, and inert text."""

from __future__ import annotations

import pytest

from fmaudit.context import Context
from fmaudit.report import html, markdown
from fmaudit.report.audit_card import audit_card_view
from fmaudit.report.index import AuditIndex, without_paths
from tests.context.test_context_file import example, leaves
from tests.report.page_parser import Page
from tests.report.report_audits import HOSTILE, rich_factory

SOURCE = '{% import "audit_card.X.j2" as made with context %}{{ made.card(view) }}'
PROTOCOL = {
    "digest": "sha256:" + "1" * 64,
    "seed": 0,
    "dtype": "float32",
    "items": "sha256:2",
    "requests": "sha256:3",
    "decoding": [{"kind": "generate", "temperature": 0.0, "max_new_tokens": 20}],
}


def view_of(made):
    return audit_card_view(AuditIndex(without_paths(made.build())))


def with_card(card, **more):
    made = rich_factory()
    made.data["context"] = {"card": card, "given": "before measuring"} | more
    return made


def stated(text=None):
    import yaml

    return Context.model_validate(yaml.safe_load(text or example())).plain()


def rendered(made, format):
    environment = {"html": html, "md": markdown}[format]._environment()
    return environment.from_string(SOURCE.replace("X", format)).render(
        view=view_of(made), region=html.RegionLabels()
    )


def signals(made):
    return {signal.name: signal for signal in view_of(made).signals}


def test_the_card_has_every_field_of_the_file():
    view = view_of(rich_factory())
    names = [field.key.rpartition(".")[2] for group in view.groups for field in group.fields]
    assert sorted(names) == sorted(name for name, _, _ in leaves(Context(schema="fmaudit/context/1")))
    assert view.total == len(names)


def test_nothing_stated_is_all_gaps():
    view = view_of(rich_factory())
    assert view.filled == 0
    assert len(view.gaps) == view.total
    assert view.completeness == f"0 of {view.total} fields stated"
    page = rendered(rich_factory(), "html")
    assert page.count("not stated") >= view.total
    assert "Nothing was stated" in page


def test_all_stated_has_no_gap():
    view = view_of(with_card(stated()))
    assert view.gaps == ()
    assert view.filled == view.total
    values = {field.key: field.values for group in view.groups for field in group.fields}
    assert values["relationship"] == ("third party",)
    assert values["access.level"] == ("white box",)
    assert values["eu.systemic_risk"] == ("no",)
    assert values["eu.compute_ratio"] == ("0.002",)
    assert values["limitations"] == ("One seed", "Prompts without a chat template")
    assert 'class="gap"' not in rendered(with_card(stated()), "html")


def test_when_it_was_stated_is_said():
    assert "locked into the run" in view_of(with_card(stated())).provenance[0]
    later = view_of(with_card(stated(), given="after measuring", replaces="sha256:" + "ab" * 32))
    assert later.provenance[:2] == (
        "Stated after the run had been measured.",
        "It replaces an earlier card, abababababab.",
    )
    unknown = view_of(with_card(stated(), given="<b>"))
    assert unknown.provenance[0] == "It is not recorded when this was stated."
    broken = view_of(with_card({"schema": "fmaudit/context/9"}))
    assert broken.filled == 0
    assert "no audit card of this version" in broken.provenance[0]


def test_reproducibility_names_what_is_missing():
    made = rich_factory()
    for measurement in made.data["measurements"]:
        measurement["protocol"] = dict(PROTOCOL)
    count = len(made.build().measurements)
    whole = sum(m.state == "measured" for m in made.build().measurements)
    assert 0 < whole < count
    assert signals(made)["Reproducibility"].word == f"settings recorded: {whole} of {whole}"
    first = made.data["measurements"][0]
    first["protocol"] = PROTOCOL | {"seed": None, "decoding": [{"kind": "generate", "temperature": 0.0}]}
    found = signals(made)["Reproducibility"]
    assert found.word == f"settings recorded: {whole - 1} of {whole}"
    assert found.missing == (f"{first['probe']}: seed, length limit",)
    first["protocol"] = PROTOCOL | {"decoding": [{"kind": "score"}]}
    assert signals(made)["Reproducibility"].word == f"settings recorded: {whole} of {whole}"
    first["protocol"] = PROTOCOL | {"decoding": []}
    assert signals(made)["Reproducibility"].missing == (f"{first['probe']}: decoding",)


def test_provenance_and_comparability():
    made = with_card(stated())
    assert signals(made)["Provenance"].word == "third party"
    assert signals(rich_factory())["Provenance"].word == "unspecified"
    assert signals(made)["Comparability"].word == "one setup"
    made.data["measurements"][0]["protocol"] = {"digest": "sha256:other"}
    made.data["measurements"][0]["assurance"] = "imported"
    found = signals(made)
    assert found["Comparability"].word == "divergent"
    assert found["Comparability"].missing == ("memorization.extraction records",)
    assert "1 imported" in found["Provenance"].text


def test_an_audit_that_measured_nothing_says_so():
    made = rich_factory()
    for measurement in made.data["measurements"]:
        measurement |= {"state": "unmeasured", "reason": "no data"}
    assert {signals(made)[name].word for name in ("Reproducibility", "Comparability")} == {"nothing measured"}


def test_markup_is_accessible():
    page = Page(rendered(with_card(stated()), "html"))
    assert len(page.all("table")) == len(page.all("caption")) == 2
    assert all(cell.get("scope") in {"col", "row", "rowgroup"} for cell in page.all("th"))
    assert [a["id"] for a in page.all("h2")] == ["audit-card-h"]


@pytest.mark.parametrize("text", [part for part in HOSTILE if "\ud800" not in part])
def test_text_of_the_file_is_inert(text):
    card = stated() | {
        "intended_use": text,
        "limitations": [text, text],
        "auditor": {"name": text, "contact": text},
        "eu": {"basis": text},
    }
    page = Page(rendered(with_card(card), "html"))
    assert not {tag for tag, _ in page.elements} & {"script", "img", "a", "svg"}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    plain = rendered(with_card(card), "md")
    for char in "\x1b\x00\u202e\u200b\u2066":
        assert char not in plain
        assert char not in page.text
    assert "<script" not in plain
    assert "](" not in plain.replace("\\](", "")
    assert all(
        len(line.replace("\\|", "").split("|")) == 4 for line in plain.splitlines() if ": Name |" in line
    )
