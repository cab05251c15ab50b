"""The Hugging Face model card: metadata as the hub's library reads it, inert body, nothing unsaid."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard as HubCard

from fmaudit.cli import cli
from fmaudit.errors import UsageError
from fmaudit.exports.card_facts import CardOptions
from fmaudit.exports.model_card import model_card
from fmaudit.schema import Audit
from tests.report.family_audit import family_factory
from tests.report.report_audits import rich_factory

FIELDS = ("ci_lower", "ci_upper", "ci_level", "n", "coverage", "method", "protocol", "conclusive")


def family(**names):
    data = family_factory().data
    for subject in data["subjects"]:
        subject["name"] = names.get(subject["id"], subject["name"])
    return Audit.model_validate(data)


def hub(text):
    return HubCard(text, ignore_metadata_errors=False)


def body(text):
    return text.split("\n---\n", 1)[1]


@pytest.fixture(scope="module")
def rich():
    return rich_factory().build()


def test_the_hub_reads_back_every_value_with_its_interval(rich):
    card = model_card(rich)
    results = {(found.dataset_type, found.metric_type): found for found in hub(card.text).data.eval_results}
    estimates = [
        found
        for found in rich.estimates
        if found.subject == "adapted" and not found.slice and found.value is not None
    ]
    assert len(results) == len(estimates) > 3
    measurements = {found.id: found for found in rich.measurements}
    for estimate in estimates:
        measurement = measurements[estimate.measurement]
        found = results[measurement.dataset.id, estimate.metric]
        assert found.metric_value == estimate.value
        args = found.metric_args
        assert (args["ci_lower"], args["ci_upper"], args["ci_level"]) == (
            estimate.lower,
            estimate.upper,
            estimate.level,
        )
        assert (args["n"], args["coverage"], args["method"]) == (
            estimate.n,
            estimate.coverage,
            estimate.method,
        )
        assert args["protocol"] == measurement.protocol["digest"]
        assert found.dataset_revision == measurement.dataset.digest
        assert all(name in args for name in FIELDS)


def test_the_hub_writes_the_same_results_again(rich):
    card = hub(model_card(rich, options=CardOptions(report_url="https://example.org/audit?run=1")).text)
    again = hub(str(card))
    assert again.data.eval_results == card.data.eval_results
    assert {found.source_url for found in again.data.eval_results} == {"https://example.org/audit?run=1"}
    assert {found.source_name for found in again.data.eval_results} == {"fmaudit"}


def test_without_an_address_no_source_is_named(rich):
    assert all(found.source_name is None for found in hub(model_card(rich).text).data.eval_results)


def test_inconclusive_numbers_and_those_without_interval_are_marked():
    made = rich_factory(n=2, partial=True)
    made.data["estimates"][-1] |= {"lower": None, "upper": None, "reason": "one cluster"}
    audit = made.build()
    results = hub(model_card(audit, "adapted").text).data.eval_results
    assert all(found.metric_args["conclusive"] is False for found in results)
    assert all(found.metric_args["partial"] is True for found in results)
    without = [found for found in results if "ci_lower" not in found.metric_args]
    assert [found.metric_args["interval"] for found in without] == ["none: one cluster"]
    assert "inconclusive" in model_card(audit, "adapted").text


def test_gaps_are_in_the_body_and_not_in_model_index(rich):
    card = model_card(rich)
    text = body(card.text)
    gaps = text[text.index("### Gaps") : text.index("### Limitations")]
    assert "memorization.canary" in gaps
    assert "the disk was full after 3 of 12 blocks" in gaps
    assert "unmeasurable; this model cannot answer it" in gaps
    assert {gap.state for gap in card.gaps} >= {"unmeasured", "unmeasurable"}
    assert "canary" not in json.dumps(card.metadata)


def test_a_number_without_value_is_a_gap_and_no_result():
    made = rich_factory()
    found = next(e for e in made.data["estimates"] if e["subject"] == "adapted" and not e["slice"])
    found |= {"state": "unmeasured", "value": None, "lower": None, "upper": None, "reason": "no valid answer"}
    card = model_card(made.build())
    assert found["metric"] not in {m["type"] for r in card.results for m in r["metrics"]}
    assert ("unmeasured", "no valid answer") in {(gap.state, gap.reason) for gap in card.gaps}


def test_imported_numbers_are_said_to_be_imported():
    made = rich_factory()
    for measurement in made.data["measurements"]:
        measurement["assurance"] = "imported"
    card = model_card(made.build())
    assert {m["args"]["assurance"] for r in card.results for m in r["metrics"]} == {"imported"}
    evaluation = card.regions["evaluation"].splitlines()
    rows = [row for row in evaluation if row.startswith("| Greedy") and "interval" in row]
    assert "imported, not measured by the auditor" in rows[0]


def test_a_question_only_others_were_asked_is_a_gap():
    card = model_card(family_factory().build(), "adapter")
    assert [gap.state for gap in card.gaps if "downstream.backdoor" in gap.what] == ["not asked"]


def test_every_section_of_the_hub_template_is_there(rich):
    text = model_card(rich).text
    sections = [
        "## Model Details",
        "## Uses",
        "## Bias, Risks, and Limitations",
        "### Recommendations",
        "## How to Get Started with the Model",
        "### Training Data",
        "## Evaluation",
        "#### Testing Data",
        "#### Factors",
        "#### Metrics",
        "### Results",
        "#### Summary",
        "## Model Examination",
        "## Environmental Impact",
        "## Technical Specifications",
        "## Citation",
        "## Glossary",
        "## Model Card Authors",
        "## Model Card Contact",
    ]
    places = [text.index(f"\n{section}\n") for section in sections]
    assert places == sorted(places)
    assert text.count("Not stated by the auditor.") > 10


def test_examination_has_the_verdicts_with_their_numbers():
    card = model_card(family_factory().build(), "adapter")
    rows = [row for row in card.regions["examination"].splitlines() if row.startswith("| ")]
    (bias,) = (row for row in rows if "gendered" in row and "| base |" in row)
    assert "mitigated" in bias
    assert "62.0 % → 47.0 %" in bias
    assert "−15.0 points (95 % interval −18.0 to −12.0)" in bias
    assert "0.55 (0.31 to 0.79)" in bias
    assert any("| parent |" in row for row in rows)


def test_slices_and_crossed_slices_are_apart():
    made = rich_factory()
    key = "adapted/bias.crows_pairs@crows_pairs"
    made.estimate(
        key, "bias.crows_pairs/pct_stereotype", 0.7, 0.1, slice={"bias_type": "age", "region": "north"}
    )
    text = model_card(made.build()).regions["evaluation"]
    crossed = text[text.index("#### Intersectional") :]
    assert "bias\\_type: age, region: north" in crossed
    assert "bias\\_type: religion" not in crossed
    assert "bias\\_type: religion" in text
    plain = model_card(rich_factory().build()).regions["evaluation"]
    assert "No headline number was measured for groups crossed with each other." in plain


def test_the_base_model_is_named_only_by_a_hub_id():
    card = model_card(family(), "chat")
    assert "base_model" not in card.metadata
    assert "the audited parent has no hub id" in card.text
    named = model_card(family(base="maker/base-15m"), "chat")
    assert hub(named.text).data.base_model == "maker/base-15m"
    given = model_card(family(), "chat", CardOptions(base_model="maker/other", relation="merge"))
    assert (given.metadata["base_model"], given.metadata["base_model_relation"]) == ("maker/other", "merge")
    assert "was given for this card, not audited" in given.text


def test_paths_never_reach_the_card():
    card = model_card(family(base="/srv/models/secret/base-15m"), "chat")
    assert "/srv" not in card.text
    assert "base_model" not in card.metadata
    assert card.origin.parent == "base-15m"


def test_a_refuted_parent_is_no_base_model():
    made = family_factory()
    for subject in made.data["subjects"]:
        if subject["id"] == "chat":
            subject["lineage"]["verified"] = False
        if subject["id"] == "base":
            subject["name"] = "maker/base-15m"
    card = model_card(made.build(), "chat")
    assert "base_model" not in card.metadata
    assert "base_model_relation" not in card.metadata
    assert "refuted: this model does not come from it" in card.text


@pytest.mark.parametrize(
    ("change", "relation"),
    [
        ({}, None),
        ({"parts": {"weights": "sha256:aa", "adapter": "sha256:bb"}}, "adapter"),
        ({"notes": ["quantized GGUF weights were expanded to the compute dtype"]}, "quantized"),
        ({"recipe": "merge"}, "merge"),
        ({"recipe": "a merge of many"}, None),
    ],
)
def test_the_relation_comes_from_evidence(change, relation):
    made = family_factory()
    next(s for s in made.data["subjects"] if s["id"] == "chat").update(change)
    card = model_card(made.build(), "chat")
    assert card.metadata.get("base_model_relation") == relation
    assert ("base\\_model\\_relation is left out" in card.text) is (relation is None)


def test_an_adapter_that_the_parent_has_already_is_no_relation():
    made = family_factory()
    for subject in made.data["subjects"]:
        if subject["id"] in ("adapter", "int8"):
            subject["parts"] = {"weights": "sha256:aa", "adapter": "sha256:bb"}
    assert model_card(made.build(), "int8").metadata.get("base_model_relation") is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (CardOptions(base_model="../etc/passwd"), "--base-model"),
        (CardOptions(base_model="a/b\n- c"), "--base-model"),
        (CardOptions(relation="child"), "--relation"),
        (CardOptions(report_url="javascript:alert(1)"), "--report-url"),
        (CardOptions(report_url="https://example.org/> <img src=x>"), "--report-url"),
        (CardOptions(report_url="https://example.org/\nx: y"), "--report-url"),
    ],
)
def test_options_a_card_cannot_carry_are_refused(rich, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        model_card(rich, options=options)
    assert "\n" not in str(caught.value)


def test_the_subject_is_chosen_or_asked_for(rich):
    assert model_card(rich).subject.id == "adapted"
    assert model_card(rich, "base").subject.id == "base"
    assert model_card(rich, "records-lora").subject.id == "adapted"
    with pytest.raises(UsageError, match=r"4 adapted models.*--subject: chat, toxic, adapter, int8"):
        model_card(family_factory().build())
    with pytest.raises(UsageError, match="no model 'nobody' in this run: choose one of base, adapted"):
        model_card(rich, "nobody")
    alone = rich_factory(names={"base": "Tiny"}).data | {"measurements": [], "estimates": []}
    alone |= {"contrasts": [], "comparisons": []}
    assert model_card(Audit.model_validate(alone)).subject.id == "base"


def test_a_card_without_any_number_has_no_model_index():
    data = rich_factory(names={"base": "Tiny"}).data
    data |= {"measurements": [], "estimates": [], "contrasts": [], "comparisons": []}
    card = model_card(Audit.model_validate(data))
    assert "model-index" not in card.metadata
    assert "No number was measured." in card.text
    assert hub(card.text).data.eval_results is None


def test_what_the_context_states_fills_the_sections_of_the_makers():
    made = rich_factory()
    made.data["context"]["card"] = {
        "schema": "fmaudit/context/1",
        "developer": "The makers",
        "intended_use": "Answering *questions* about gardens.",
        "out_of_scope_use": ["Medical advice"],
        "affected_groups": ["Gardeners"],
        "languages": ["English"],
    }
    text = model_card(made.build()).text
    for said in (
        "Developed by: The makers",
        "Answering \\*questions\\* about gardens.",
        "- Medical advice",
        "as stated: Gardeners",
        "Language(s): English",
    ):
        assert said in text


def test_two_renderings_are_equal(rich):
    again = Audit.model_validate_json(rich.to_bytes())
    assert model_card(rich).text == model_card(again).text


def run_folder(tmp_path, audit):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "audit.json").write_bytes(audit.to_bytes())
    return folder


def test_the_command_writes_to_stdout_or_a_file(tmp_path, rich):
    run = run_folder(tmp_path, rich)
    printed = CliRunner().invoke(cli, ["card", str(run)])
    assert printed.exit_code == 0, printed.output
    assert printed.stdout_bytes.decode("utf-8") == model_card(rich).text
    target = tmp_path / "README.md"
    assert CliRunner().invoke(cli, ["card", str(run), "-o", str(target)]).exit_code == 0
    assert target.read_bytes() == printed.stdout_bytes


def test_json_is_alone_on_stdout(tmp_path, rich):
    run = run_folder(tmp_path, rich)
    said = json.loads(CliRunner().invoke(cli, ["card", str(run), "--json"]).stdout)
    assert said["card"] == model_card(rich).text
    assert said["gaps"]
    assert said["subject"] == "adapted"
    assert said["model_index"][0]["metrics"][0]["args"]["ci_lower"] is not None
