"""What of an audit is evidence relevant to a control, and what the page and Markdown say of it."""

from __future__ import annotations

import re

import pytest

from fmaudit.controls import load_catalogue, load_mapping
from fmaudit.report import html, markdown
from fmaudit.report.controls import controls_view
from fmaudit.report.documentation_form import FROM_AUDIT, FROM_CARD
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.report.sections import probe_sections
from fmaudit.schema import Audit
from tests.report.family_audit import family_factory
from tests.report.page_parser import Page
from tests.report.report_audits import hostile_audit, rich_factory

FORBIDDEN = re.compile(r"complies|compliant|certif|satisfies|meets the requirements", re.IGNORECASE)
SOURCE = '{% import "controls.X.j2" as made with context %}{{ made.controls(view) }}'
CARD = {
    "schema": "fmaudit/context/1",
    "developer": "Example Models",
    "intended_use": "Summaries",
    "affected_groups": ["Readers"],
    "relationship": "third_party",
    "eu": {"role": "downstream_modifier", "compute_ratio": 0.002},
}


def index_of(audit: Audit) -> AuditIndex:
    return AuditIndex(without_paths(audit))


def rendered(audit: Audit, format: str) -> str:
    environment = {"html": html, "md": markdown}[format]._environment()
    template = environment.from_string(SOURCE.replace("X", format))
    return template.render(view=controls_view(index_of(audit)), region=html.RegionLabels())


@pytest.fixture(scope="module")
def family():
    return family_factory().build()


@pytest.fixture(scope="module")
def rich():
    return rich_factory().build()


def control(view, key):
    found = [
        entry
        for framework in view.frameworks
        for entry in (*framework.shown, *framework.gaps)
        if entry.key == key
    ]
    assert len(found) == 1
    return found[0]


def said(view, key):
    return {
        evidence.says: [(part.probe, part.text) for part in evidence.parts]
        for evidence in control(view, key).evidence
    }


def test_verdicts_reach_their_controls(family):
    view = controls_view(index_of(family))
    (carried,) = said(view, "nist-ai-600-1/MG-3.2-002").keys() - {"declared descent was checked"}
    parts = said(view, "nist-ai-600-1/MG-3.2-002")[carried]
    inherited = [c for c in family.comparisons if c.verdict == "inherited" and not c.slice]
    from_base = [c for c in inherited if c.step == "from_base"]
    words = [text for _, text in parts if text.startswith("inherited: ")]
    assert sum(int(re.search(r"inherited: (\d+)", word).group(1)) for word in words) == len(from_base) > 0
    introduced = said(view, "nist-ai-600-1/MS-2.7-008")[
        "safety or security was compared before and after adaptation"
    ]
    assert ("toxicity.prompted", "introduced: 1 comparison, Adapted Tiny-toxic") in introduced
    assert not any(probe.startswith("bias") for probe, _ in introduced)


def test_descent_is_told_with_its_state(family):
    parts = said(controls_view(index_of(family)), "iso-42001/A.10.3")["declared descent was checked"]
    states = {text.rpartition(": ")[2] for _, text in parts}
    assert states == {"verified", "not verified"}


def test_what_is_inconclusive_or_unmeasured_is_said(rich):
    view = controls_view(index_of(rich))
    gaps = said(view, "nist-ai-600-1/MS-1.1-009")["what could not be measured is on record with its reason"]
    assert ("memorization.canary", "not measured on Adapted: the disk was full after 3 of 12 blocks") in gaps
    tiny = controls_view(index_of(rich_factory(n=2).build()))
    (text,) = {t for p, t in said(tiny, "mit-ai-risk/2.1").popitem()[1] if p == "memorization.extraction"}
    assert text == "measured on 2 models; 0 of 2 headline numbers conclusive"
    invalid = said(view, "nist-ai-rmf/MEASURE 2.13")
    (scores,) = [parts for words, parts in invalid.items() if words.startswith("answers that could not")]
    assert scores == [("toxicity.prompted", "64 values of 800 rows without a valid score, 2 models")]


def test_an_unmeasured_probe_is_no_evidence(rich):
    # The canary probe was planned and not measured: membership inference stays a gap.
    found = control(controls_view(index_of(rich)), "mitre-atlas/AML.T0024.000")
    assert found.evidence == ()
    assert control(controls_view(index_of(rich)), "nist-ai-rmf/MEASURE 2.12").evidence == ()


def test_every_control_is_shown_once_or_a_gap(rich):
    view = controls_view(index_of(rich))
    keys = [c.key for framework in view.frameworks for c in (*framework.shown, *framework.gaps)]
    form = {f"eu-gpai-form/{field.id}" for field in view.form.fields}
    assert sorted([*keys, *form]) == sorted(load_catalogue().controls)
    assert all(c.evidence for framework in view.frameworks for c in framework.shown)


def test_an_unknown_probe_is_named_as_not_mapped():
    made = rich_factory()
    made.metric("privacy.pii/rate", "Personal data in outputs", headline=True)
    made.measure("privacy.pii", "prompts", "base")
    view = controls_view(index_of(made.build()))
    assert view.unmapped == ("privacy.pii",)
    assert controls_view(index_of(rich_factory().build())).unmapped == ()


def test_links_lead_to_sections_of_the_page(family):
    view = controls_view(index_of(family))
    known = {section.anchor for section in probe_sections(index_of(family))}
    known |= {"inheritance", "scope", "instruments", "together", "models", "audit-card", "methods"}
    used = {p.anchor for f in view.frameworks for c in f.shown for e in c.evidence for p in e.parts}
    assert used <= known
    assert {"inheritance", "models"} < used
    page = Page(rendered(family, "html"))
    links = [a["href"] for a in page.all("a")]
    assert links
    assert all(link[0] == "#" and link[1:] in known for link in links)


def test_the_documentation_form(rich):
    ids = {control.id for control in load_catalogue().of("eu-gpai-form")}
    assert set(FROM_AUDIT) | set(FROM_CARD) <= ids
    fields = {field.id: field for field in controls_view(index_of(rich)).form.fields}
    adapted = next(subject for subject in rich.subjects if subject.role == "adapted")
    base = next(subject for subject in rich.subjects if subject.role == "base")
    assert fields["MDF model-authenticity"].values == (f"{adapted.name}: {adapted.digest}",)
    assert fields["MDF model-dependencies"].values == (
        f"{adapted.name}: declared to be adapted from {base.name} ({base.digest}); verified",
    )
    biases = fields["MDF bias-detection"]
    assert biases.state == "evidence relevant to it"
    assert "says nothing about the training data" in biases.note
    assert fields["MDF intended-uses"].state == "gap"
    assert fields["MDF training-compute"].values == ()
    assert {field.state for field in fields.values() if not field.values} == {"gap"}


def test_what_the_card_states_is_marked_as_stated_and_never_inferred():
    made = rich_factory()
    made.data["context"] = {"card": CARD, "given": "before measuring"}
    view = controls_view(index_of(made.build()))
    fields = {field.id: field for field in view.form.fields}
    assert fields["MDF intended-uses"].state == "as stated in the audit card"
    assert fields["MDF provider-name"].values == ("Example Models",)
    assert ("Role, as declared", "downstream modifier") in view.form.declared
    assert ("Model with systemic risk, as declared", "not stated") in view.form.declared
    assert control(view, "nist-ai-rmf/MEASURE 1.3").evidence
    without = controls_view(index_of(rich_factory().build()))
    assert {value for _, value in without.form.declared} == {"not stated"}
    assert not control(without, "nist-ai-rmf/MEASURE 1.3").evidence


@pytest.mark.parametrize("format", ["html", "md"])
def test_output_promises_no_more_than_evidence(family, rich, format):
    for audit in (family, rich):
        page = rendered(audit, format)
        assert not FORBIDDEN.search(page)
        assert "evidence relevant to" in page.lower()
        assert rendered(audit, format) == page


def test_tables_are_accessible(family):
    page = Page(rendered(family, "html"))
    assert len(page.all("caption")) == len(page.all("table")) > 9
    assert all(cell.get("scope") in {"col", "row", "rowgroup"} for cell in page.all("th"))
    assert len(page.all("h2")) == 1
    assert not page.all("h1")
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    assert all(region.get("tabindex") == "0" for region in page.all("div") if region.get("role") == "region")


def test_hostile_names_are_inert():
    audit = hostile_audit()
    page = Page(rendered(audit, "html"))
    assert not page.all("script")
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    text = rendered(audit, "md")
    assert "\x1b" not in text
    assert "](" not in text.replace("\\](", "")
    assert "<script" not in text


def test_a_mapping_of_ones_own_can_be_used(rich):
    catalogue = load_catalogue()
    shipped = load_mapping(catalogue)
    narrow = shipped.model_copy(
        update={"rules": [rule for rule in shipped.rules if rule.id == "toxic-output"]}
    )
    view = controls_view(index_of(rich), catalogue, narrow)
    shown = {c.key for framework in view.frameworks for c in framework.shown}
    assert shown == set(narrow.rules[0].controls)
