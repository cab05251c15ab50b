"""The published schemas are those of the code, and say what the reader says of real files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from fmaudit.gate.policy import STARTERS, load_policy, starter
from fmaudit.gate.published import file_name, schema_text

DOCS = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize("what", ["policy", "waivers"])
def test_the_published_file_is_of_this_release(what):
    assert (DOCS / file_name(what)).read_text() == schema_text(what)
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(what)))


@pytest.mark.parametrize("name", STARTERS)
def test_starters_are_valid_and_point_their_editor_at_the_schema(name):
    text = starter(name).read_text()
    jsonschema.validate(yaml.safe_load(text), json.loads(schema_text("policy")))
    assert text.startswith(f"# yaml-language-server: $schema={file_name('policy')}\n")
    assert load_policy(Path(name)).policy.id == name


@pytest.mark.parametrize("change", [{"colour": 1}, {"rules": []}, {"defaults": {"confidence": "high"}}])
def test_what_the_reader_refuses_the_schema_refuses(change):
    data = yaml.safe_load(starter("release").read_text()) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json.loads(schema_text("policy")))
