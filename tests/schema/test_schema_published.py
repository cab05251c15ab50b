"""The published JSON Schema against an independent validator, and documents of earlier shapes."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from fmaudit.canonical import canonical_bytes
from fmaudit.cli import cli
from fmaudit.errors import UsageError
from fmaudit.schema import SCHEMA, read_audit
from fmaudit.schema.published import FILE_NAME, json_schema, schema_text
from fmaudit.schema.versions import STEPS, upgrade
from tests.report.family_audit import family_factory, hostile_family
from tests.report.report_audits import hostile_audit, rich_factory

HERE = Path(__file__).parent
PUBLISHED = HERE.parents[1] / "docs" / "schema" / FILE_NAME
# Written by the schema's own code as of two earlier states of fmaudit/1.
SHAPES = {"first": HERE / "audit_first_shape.json", "second": HERE / "audit_second_shape.json"}


def plain(audit):
    return json.loads(audit.to_bytes())


def written(folder, document):
    (folder / "audit.json").write_bytes(canonical_bytes(document))
    return folder


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))


@pytest.fixture
def document():
    return plain(rich_factory().build())


def test_the_published_file_is_the_schema_of_the_models():
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), (
        f"docs/schema/{FILE_NAME} is out of date: fmaudit schema -o docs/schema/{FILE_NAME}"
    )


def test_it_is_a_valid_schema_with_an_id_and_the_same_every_time(validator):
    Draft202012Validator.check_schema(json_schema())
    found = json_schema()
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"] == "urn:fmaudit:audit:1"
    assert SCHEMA in found["title"]
    assert schema_text() == schema_text()


@pytest.mark.parametrize(
    "audit",
    [
        rich_factory().build(),
        rich_factory(n=2, partial=True).build(),
        family_factory().build(),
        hostile_audit(),
        hostile_family("<b>: - {}\u0001"),
    ],
    ids=["rich", "cut", "family", "hostile", "hostile-family"],
)
def test_every_audit_is_valid(validator, audit):
    assert [error.message for error in validator.iter_errors(plain(audit))] == []


@pytest.mark.slow
def test_the_audit_of_a_real_run_is_valid(validator, tmp_path):
    from fmaudit.testing.tiny import tiny_causal, tiny_lora

    tiny_causal(tmp_path / "base")
    tiny_lora(tmp_path / "base", tmp_path / "lora")
    adapted = f"{tmp_path / 'base'}::adapter={tmp_path / 'lora'}"
    asked = ["--probes", "downstream.negation", "-L", "40", "--device", "cpu", "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(cli, ["run", str(tmp_path / "base"), "--adapted", adapted, *asked])
    found = json.loads((tmp_path / "run" / "audit.json").read_bytes())
    assert found["estimates"], done.output
    assert [error.message for error in validator.iter_errors(found)] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema",), "fmaudit/7"),
        (("subjects", 0, "role"), "bystander"),
        (("subjects", 0, "unknown"), 1),
        (("measurements", 0, "state"), "fine"),
        (("estimates", 0, "value"), "0.5"),
        (("estimates", 0, "worst"), [0.1]),
        (("comparisons", 0, "verdict"), "harmless"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(validator, tmp_path, document, place, value):
    *path, last = place
    inner = document
    for step in path:
        inner = inner[step]
    inner[last] = value
    assert not validator.is_valid(document)
    if place != ("estimates", 0, "value"):
        with pytest.raises(UsageError):
            read_audit(written(tmp_path, document))


def test_a_missing_schema_field_is_invalid_too(validator, document):
    del document["schema"]
    assert not validator.is_valid(document)


@pytest.mark.parametrize("shape", SHAPES)
def test_earlier_shapes_are_read(validator, shape):
    old = json.loads(SHAPES[shape].read_bytes())
    audit = read_audit(SHAPES[shape])
    assert validator.is_valid(plain(audit))
    assert validator.is_valid(old)
    for kind in ("subjects", "measurements", "metrics", "estimates", "comparisons"):
        now = plain(audit)[kind]
        assert len(now) == len(old[kind])
        for before, after in zip(old[kind], now, strict=True):
            assert {key: after[key] for key in before if key != "lineage"} == {
                key: value for key, value in before.items() if key != "lineage"
            }


def test_the_first_shape_lacks_what_the_steps_add():
    old = json.loads(SHAPES["first"].read_bytes())
    assert "homogenization" not in old
    assert "step" not in old["comparisons"][0]
    new = upgrade(old)
    assert (new["homogenization"], new["calibrations"]) == ([], [])
    assert new["comparisons"][0]["step"] == "from_base"
    adapted = next(entry for entry in new["subjects"] if entry["role"] == "adapted")
    assert adapted["lineage"]["from_base"] is True
    assert adapted["lineage"]["from_base_evidence"] == "adapter applied to this base"
    base = next(entry for entry in new["subjects"] if entry["role"] == "base")
    assert base["lineage"]["from_base"] is None


def test_origin_is_not_claimed_for_a_model_declared_from_another():
    old = json.loads(SHAPES["first"].read_bytes())
    adapted = next(entry for entry in old["subjects"] if entry["role"] == "adapted")
    adapted["lineage"]["declared"] = "somebody"
    new = next(entry for entry in upgrade(old)["subjects"] if entry["role"] == "adapted")
    assert new["lineage"]["from_base"] is None


def test_the_second_shape_gets_calibrations_that_say_what_was_not_recorded():
    old = json.loads(SHAPES["second"].read_bytes())
    assert "sizes" not in old["calibrations"][0]
    (found,) = read_audit(SHAPES["second"]).calibrations
    assert (found.metric, found.sizes, found.margins.source) == ("", [], "not recorded")
    assert found.smallest_dose_found == old["calibrations"][0]["smallest_dose_found"]


@pytest.mark.parametrize("shape", SHAPES)
def test_upgrading_changes_no_input_and_is_done_once(shape):
    old = json.loads(SHAPES[shape].read_bytes())
    before = copy.deepcopy(old)
    once = upgrade(old)
    assert old == before
    assert upgrade(once) == once
    assert not any(step.lacking(once) for step in STEPS)


def test_todays_documents_are_left_alone(document):
    assert upgrade(document) is document


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("fmaudit/7", "written by a newer fmaudit (fmaudit/7): upgrade"),
        ("fmaudit/0", "fmaudit/0 was never published"),
        ("other/1", "its schema is 'other/1'"),
        ("x" * 1_000_000, "its schema is 'xxx"),
        (None, "its schema is None"),
        (["fmaudit/1"], "its schema is ['fmaudit/1']"),
    ],
)
def test_other_schemas_are_one_clear_line(tmp_path, document, schema, said):
    document["schema"] = schema
    with pytest.raises(UsageError) as caught:
        read_audit(written(tmp_path, document))
    message = str(caught.value)
    assert message.startswith("audit.json: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < 200


def test_a_missing_schema_field_is_one_clear_line(tmp_path, document):
    del document["schema"]
    with pytest.raises(UsageError, match="has no field 'schema'"):
        read_audit(written(tmp_path, document))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"fmaudit/1"', b'{"schema": NaN}', b"\xff"])
def test_what_is_no_document_is_one_clear_line(tmp_path, content):
    (tmp_path / "audit.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"audit\.json") as caught:
        read_audit(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["subjects", "comparisons", "calibrations"])
@pytest.mark.parametrize("value", [None, 3, ["x"], [None]])
def test_damaged_records_of_an_old_shape_are_refused(tmp_path, field, value):
    old = json.loads(SHAPES["first"].read_bytes())
    old[field] = value
    with pytest.raises(UsageError, match=field):
        read_audit(written(tmp_path, old))


def test_the_command_prints_the_published_file(tmp_path):
    printed = CliRunner().invoke(cli, ["schema"])
    assert printed.exit_code == 0
    assert printed.output == PUBLISHED.read_text(encoding="utf-8")
    target = tmp_path / "out" / FILE_NAME
    assert CliRunner().invoke(cli, ["schema", "-o", str(target)]).exit_code == 0
    assert target.read_text(encoding="utf-8") == printed.output
