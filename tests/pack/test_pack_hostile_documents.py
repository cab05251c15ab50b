"""Policies and lists of redactions that mean harm, in packs whose statement names them as they are."""

from __future__ import annotations

import json

import pytest

from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import restate, the_file

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]\n", "&a {x: *a}\n"], ids=["bomb", "ring", "mapping"])
def test_a_policy_that_unfolds_without_end_is_not_read(copy_of, text):
    pack = copy_of("unsigned")
    name = the_file(pack, "data/gate/*.policy.yaml")
    (pack / name).write_text(text)
    restate(pack, name)
    assert f"{name}: unfolds to more than 100,000 values: not read" in map(str, verify_pack(pack).faults)


@pytest.mark.parametrize(
    "text", ["[" * 5000, "- " * 3000, "!!python/object/apply:os.abort []", "a: *b", "", "\0"]
)
def test_a_policy_that_is_none_is_one_line(copy_of, text):
    pack = copy_of("unsigned")
    name = the_file(pack, "data/gate/*.policy.yaml")
    (pack / name).write_text(text)
    restate(pack, name)
    faults = verify_pack(pack).faults
    assert name in {fault.file for fault in faults}
    assert all("\n" not in str(fault) for fault in faults)


REDACTIONS = [
    lambda found: found["evidence"][0].pop("file"),
    lambda found: found["evidence"][0].update(file=["x"]),
    lambda found: found["evidence"][0].update(texts="1"),
    lambda found: found["left_out"].append({"file": 1, "hash": "x"}),
    lambda found: found.update(levels={"a": {"b": [[]]}}),
    lambda found: found.update(levels=[]),
    lambda found: found.pop("key"),
    lambda found: found.update(evidence=None),
]


@pytest.mark.parametrize("damage", REDACTIONS)
def test_redactions_that_say_nothing(run, tmp_path, damage):
    pack = build_pack(run, tmp_path / "pack", PackOptions(), str).path
    name = "data/redactions.json"
    found = json.loads((pack / name).read_bytes())
    damage(found)
    (pack / name).write_text(json.dumps(found))
    restate(pack, name)
    (fault,) = verify_pack(pack).faults
    assert (fault.file, "does not say what was taken out" in fault.text) == (name, True)


def test_numbers_that_have_no_canonical_form(copy_of):
    pack = copy_of("unsigned")
    name = "data/run.json"
    found = json.loads((pack / name).read_bytes())
    for place in ("tool", "environment"):
        (pack / name).write_text(json.dumps(found | {place: found[place] | {"count": 2**70}}))
        restate(pack, name)
        faults = verify_pack(pack).faults
        assert any(fault.file == name and "has no canonical form" in fault.text for fault in faults)
        assert all("\n" not in str(fault) for fault in faults)
