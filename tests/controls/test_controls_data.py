"""The rows of the frameworks and the mapping: complete, of the right edition, and wrong ones refused."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from fmaudit.controls import check_probes, load_catalogue, load_mapping, parse_framework, parse_mapping
from fmaudit.controls.model import catalogue as joined
from fmaudit.errors import DataError
from fmaudit.plugins import list_probes

ROOT = Path(__file__).parents[2]
DATA = ROOT / "fmaudit" / "controls" / "data"
FORBIDDEN = re.compile(r"complies|compliant|certif|satisfies|meets the requirements", re.IGNORECASE)
FRAMEWORKS = {
    "eu-ai-act",
    "eu-gpai-form",
    "iso-42001",
    "mit-ai-risk",
    "mitre-atlas",
    "mlcommons",
    "nist-ai-600-1",
    "nist-ai-rmf",
    "owasp-llm",
}


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


@pytest.fixture(scope="module")
def mapping(catalogue):
    return load_mapping(catalogue)


def owasp(**changes):
    plain = yaml.safe_load((DATA / "frameworks" / "owasp-llm.yaml").read_text(encoding="utf-8"))
    plain["controls"][0] |= changes
    return yaml.safe_dump({key: value for key, value in plain.items() if value is not None})


def rule(**changes):
    plain = {
        "id": "r",
        "when": "measured",
        "says": "s",
        "probes": ["bias.*"],
        "controls": ["owasp-llm/LLM02:2025"],
    } | changes
    kept = {name: value for name, value in plain.items() if value is not None}
    return yaml.safe_dump({"schema": "fmaudit/controls-mapping/1", "revision": "1", "rules": [kept]})


def test_every_row_is_complete(catalogue):
    assert {framework.id for framework in catalogue.frameworks} == FRAMEWORKS
    assert len(catalogue.controls) == sum(len(catalogue.of(name)) for name in FRAMEWORKS) > 150
    for key, control in catalogue.controls.items():
        assert key == f"{control.framework}/{control.id}"
        assert control.edition
        assert control.binds
        assert control.own_words.strip()
        assert control.source.startswith("https://"), key
        assert control.checked.how
        assert control.checked.date_checked is None or control.checked.date_checked >= date(2026, 11, 24)
    laws = [framework.id for framework in catalogue.frameworks if framework.kind == "law"]
    assert laws == [catalogue.frameworks[0].id] == ["eu-ai-act"]


def test_traps_of_published_mappings(catalogue, mapping):
    def title(key):
        return catalogue.controls[key].title.lower()

    def rules(key):
        return {rule.id for rule in mapping.rules if key in rule.controls}

    assert "bias" in title("nist-ai-600-1/MS-2.11-001")
    assert "nist-ai-600-1/MS-2.10-002" not in catalogue.controls
    assert "fine-tuning" in title("nist-ai-600-1/MS-2.7-008")
    assert "acted on" in title("eu-ai-act/Art. 10(2)(g)")
    assert "gaps" in title("eu-ai-act/Art. 10(2)(h)")
    assert "eu-ai-act/Art. 52(1)(a)" not in catalogue.controls
    assert "systemic" in catalogue.controls["eu-ai-act/Art. 55(1)(a)"].binds
    assert "membership" in title("mitre-atlas/AML.T0024.000")
    assert "mitre-atlas/AML.T0026" not in catalogue.controls
    assert rules("mitre-atlas/AML.T0024.000") == {"membership"}
    assert "sensitive" in title("owasp-llm/LLM02:2025")
    assert rules("owasp-llm/LLM04:2025") == {"backdoors"}
    assert title("iso-42001/A.6.2.4") == "verification and validation"
    assert title("iso-42001/A.10.3") == "suppliers"


def test_dates_in_force(catalogue):
    high_risk = [c for c in catalogue.of("eu-ai-act") if c.binds == "providers of high-risk systems"]
    assert high_risk
    assert {c.in_force_from for c in high_risk} == {date(2027, 12, 2)}
    general = [c for c in catalogue.of("eu-ai-act") if c.binds.startswith("providers of general-purpose")]
    assert {c.in_force_from for c in general} == {date(2025, 8, 2)}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": "LLM02:2025"}, "given twice: LLM02:2025"),
        ({"id": "LLM01:2023"}, "is no id of OWASP"),
        ({"id": "LLM1:2025"}, "is no id of OWASP"),
        ({"check": "hearsay"}, "unknown check 'hearsay'"),
        ({"own_words": ""}, "own_words"),
        ({"source": ""}, "source"),
        ({"severity": 3}, "severity"),
        ({"in_force_from": "soon"}, "in_force_from"),
        ({"title": 3}, "title"),
    ],
)
def test_a_wrong_row_is_refused(changes, complaint):
    with pytest.raises(DataError, match=re.escape(complaint)) as found:
        parse_framework(owasp(**changes), "owasp.yaml")
    assert str(found.value).startswith("owasp.yaml: ")


@pytest.mark.parametrize("field", ["source", "edition", "id_pattern", "binds", "in_force_from"])
def test_a_framework_without_source_or_edition_is_refused(field):
    plain = yaml.safe_load(owasp())
    del plain["framework"][field]
    with pytest.raises(DataError, match=f"framework.{field}"):
        parse_framework(yaml.safe_dump(plain), "owasp.yaml")


def test_a_framework_given_twice_is_refused():
    file = parse_framework(owasp(), "owasp.yaml")
    with pytest.raises(DataError, match="a framework is given twice: owasp-llm"):
        joined([file, file])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"controls": ["owasp-llm/LLM11:2025"]}, "rule r: unknown control 'owasp-llm/LLM11:2025'"),
        ({"controls": ["owasp-llm/LLM02:2025"] * 2}, "a control is given twice"),
        ({"probes": None}, "rule r: needs probes"),
        ({"verdicts": ["inherited"]}, "rule r: has no use for verdicts"),
        ({"when": "verdict"}, "rule r: needs verdicts"),
        ({"when": "verdict", "verdicts": ["worse"]}, "verdicts"),
        ({"when": "stated", "probes": None}, "rule r: needs fields"),
        ({"when": "guessed"}, "when"),
        ({"says": None}, "says"),
    ],
)
def test_a_wrong_mapping_is_refused(catalogue, changes, complaint):
    with pytest.raises(DataError, match=re.escape(complaint)):
        parse_mapping(rule(**changes), catalogue)


def test_a_mapping_of_a_probe_that_is_not_installed_is_refused(catalogue):
    found = parse_mapping(rule(probes=["bias.*", "privacy.*"]), catalogue)
    with pytest.raises(DataError, match=re.escape("rule r: no installed probe is 'privacy.*'")):
        check_probes(found, ["bias.crows_pairs"])


def test_the_shipped_mapping_names_installed_probes_and_each_of_them(mapping):
    installed = [entry.id for entry in list_probes()]
    check_probes(mapping, installed)
    shipped = [entry.id for entry in list_probes() if entry.distribution == "fmaudit"]
    assert shipped
    assert [probe for probe in shipped if not mapping.names(probe)] == []


def test_fields_of_the_audit_card_exist(mapping):
    from fmaudit.context import Context

    named = {name for rule in mapping.rules for name in rule.fields}
    assert named
    assert named <= set(Context.model_fields)


def test_nothing_ships_that_promises_more_than_evidence():
    places = [
        *DATA.rglob("*.yaml"),
        *(ROOT / "fmaudit" / "controls").glob("*.py"),
        *(ROOT / "fmaudit" / "context").glob("*.py"),
        *(
            (ROOT / "fmaudit" / "report" / name)
            for name in ("controls.py", "documentation_form.py", "audit_card.py")
        ),
        *(ROOT / "templates" / "report").glob("controls.*"),
        *(ROOT / "templates" / "report").glob("audit_card.*"),
        ROOT / "docs" / "controls.md",
        ROOT / "docs" / "context.md",
    ]
    assert len(places) > 20
    said = {place.name: FORBIDDEN.findall(place.read_text(encoding="utf-8")) for place in places}
    assert {name: words for name, words in said.items() if words} == {}
    assert FORBIDDEN.search("This model is EU-compliant")


def test_the_data_ship_in_the_wheel(tmp_path):
    import zipfile

    from hatchling.builders.wheel import WheelBuilder

    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    own = {path.relative_to(ROOT).as_posix() for path in DATA.rglob("*.yaml")}
    assert len(own) == len(FRAMEWORKS) + 1
    assert own <= names


def test_ls_controls():
    import json

    from click.testing import CliRunner

    from fmaudit.cli import cli

    shown = CliRunner().invoke(cli, ["ls", "controls", "--json"])
    rows = {row["id"]: row for row in json.loads(shown.output)}
    assert rows["owasp-llm/LLM02:2025"]["edition"] == "2025"
    assert rows["eu-ai-act/Art. 10(2)(f)"]["in_force_from"] == "2027-12-02"
    assert rows["nist-ai-rmf/GOVERN 6.1"]["date_checked"] is None
    assert "mlcommons/hte" in CliRunner().invoke(cli, ["ls", "controls"]).output
