"""The context file: read strictly, with the line of what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fmaudit.canonical import canonical_bytes
from fmaudit.context import Context, card_of, is_stated
from fmaudit.context.record import read_context
from fmaudit.errors import UsageError

ROOT = Path(__file__).parents[2]
HEAD = "schema: fmaudit/context/1\n"


@pytest.fixture
def read(tmp_path):
    def inner(text):
        path = tmp_path / "context.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_context(path)

    return inner


def example():
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "context.md").read_text(), re.M | re.S)
    return block


def leaves(model):
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if hasattr(value, "model_fields"):
            yield from leaves(value)
        elif name != "schema_":
            yield name, field, value


def test_the_published_example_is_valid_and_fills_every_field(read):
    found = read(example())
    assert found.auditor.name == "Ada Example"
    assert found.eu.compute_ratio == 0.002
    assert found.eu.systemic_risk is False
    assert [name for name, _, value in leaves(found) if not is_stated(value)] == []


def test_a_context_survives_the_audit_document(read):
    import json

    found = read(example())
    plain = json.loads(canonical_bytes({"card": found.plain()}))
    assert card_of(plain) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "context.yaml: wants fields with values"),
        ("- a\n- b\n", "context.yaml: wants fields with values"),
        ("auditor: {name: A}\n", "context.yaml, line 1: schema: missing"),
        ("schema: fmaudit/context/2\n", "context.yaml, line 1: schema: "),
        (HEAD + "auditor:\n  name: A\n  age: 7\n", "context.yaml, line 4: auditor.age: unknown field"),
        (HEAD + "\nintended_use: 7\n", "context.yaml, line 3: intended_use: wants text; put it in quotes"),
        (HEAD + "funding: no\n", "context.yaml, line 2: funding: wants text; put it in quotes"),
        (HEAD + "relationship: friends\n", "line 2: relationship: Input should be 'first_party'"),
        (HEAD + "limitations: one seed\n", "line 2: limitations: wants a list"),
        (HEAD + "limitations:\n  - a\n  - 2026\n", "line 4: limitations.1: wants text; put it in quotes"),
        (HEAD + "eu:\n  compute_ratio: -1\n", "line 3: eu.compute_ratio: "),
        (HEAD + "eu:\n  compute_ratio: .nan\n", "line 3: eu.compute_ratio: "),
        (HEAD + "eu:\n  compute_ratio: '0.1'\n", "line 3: eu.compute_ratio: "),
        (HEAD + "auditor: Ada\n", "line 2: auditor: wants fields of its own"),
        (HEAD + "review: a\nreview: b\n", "line 3: review is given twice"),
        (HEAD + "review: &a x\nfunding: *a\n", "anchors and aliases are not read"),
        (HEAD + "review: [a\n", "context.yaml, line 3: "),
        (HEAD + "review: !!python/object:os.system x\n", "context.yaml, line 2: "),
        (HEAD + 'review: "\\ud800"\n', "line 2: review: holds half a character"),
        (HEAD + f"review: {'x' * 10_001}\n", "line 2: review: "),
        (HEAD.encode() + b"review: \xff\n", "context context.yaml is not UTF-8 (byte 34)"),
        (HEAD + "review: " + "x" * (1 << 20) + "\n", "larger than 1 MB"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(read, text, complaint):
    with pytest.raises(UsageError) as found:
        read(text)
    assert complaint in str(found.value)
    assert "\n" not in str(found.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read context none\.yaml: No such file.*--context"):
        read_context(tmp_path / "none.yaml")


def test_empty_fields_are_not_statements(read):
    bare = read(HEAD)
    blank = read(
        HEAD + "auditor:\n  name: '  '\nreview: ''\nfunding:\nlimitations: ['', ' ']\neu: {role: }\n"
    )
    assert bare.plain() == blank.plain() == {"schema": "fmaudit/context/1"}
    assert read(HEAD + "eu: {systemic_risk: false, compute_ratio: 0}\n").plain()["eu"] == {
        "systemic_risk": False,
        "compute_ratio": 0.0,
    }


@pytest.mark.parametrize(
    "context", [{}, {"card": None}, {"card": "<b>"}, {"card": {"schema": "x"}}, {"seed": 0}]
)
def test_an_audit_without_a_readable_card_has_none(context):
    assert card_of(context) is None
    assert card_of({"card": Context(schema="fmaudit/context/1").plain()}) is not None
