"""Keyed hashes of a public pack and the file of their key."""

from __future__ import annotations

import json
import stat

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.responses import decode_responses
from fmaudit.evidence.rows import read_parts
from fmaudit.pack.redacted_rows import declared_levels
from fmaudit.pack.redaction import (
    HashKey,
    holds_text,
    is_marker,
    make_hash_key,
    open_hash_key,
    redacted_responses,
)
from tests.pack.pack_runs import ITEMS, SAMPLES

PLACE = {"file": "evidence/a/k/part-00000.parquet", "item": "i", "seed": 0, "sample": 0}


def test_what_is_left_is_read_by_the_projects_own_reader(packs):
    for place in sorted((packs["public"] / "data/evidence/base").iterdir()):
        for text in read_parts(place)["responses"].to_pylist():
            assert decode_responses(text)


def test_every_text_has_a_hash_and_no_two_are_alike(packs):
    hashes = []
    for part in (packs["public"] / "data/evidence").rglob("*.parquet"):
        for text in pq.read_table(part)["responses"].to_pylist():
            answers = [answer for answer in json.loads(text) if answer]
            marks = [answer.get("text") or answer.get("reason") for answer in answers]
            hashes += [mark for mark in marks if is_marker(mark)]
    # Three models of which one is asked twice, and the scored tokens of three.
    assert len(hashes) == len(set(hashes)) == 4 * ITEMS * SAMPLES + 3 * ITEMS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
)
def test_whatever_stands_there_is_free_of_text_afterwards(value):
    secret = "zq" * 20
    extended = {"kind": "generation", "x": secret, "y": value}
    for responses in map(json.dumps, (value, [value], [extended], [{"kind": "tokens", "tokens": [secret]}])):
        after, _ = redacted_responses(responses, PLACE, HashKey(bytes(32)))
        assert not holds_text(after)
        assert secret not in after


def test_a_probe_that_is_not_installed_declares_nothing():
    record = {"subject": "a", "key": "k", "probe": "nobody.knows", "variant": "", "dataset": None}
    assert declared_levels([record]) == {("a", "k"): {}}


def test_a_hash_key_is_made_for_its_owner_alone(tmp_path):
    made = make_hash_key(tmp_path / "folder" / "key")
    assert stat.S_IMODE((tmp_path / "folder" / "key").stat().st_mode) == 0o600
    assert open_hash_key(tmp_path / "folder" / "key", pytest.fail) == made
    assert make_hash_key(tmp_path / "other").secret != made.secret
    assert made.secret.hex() not in repr(made)
    with pytest.raises(ExecutionError, match="cannot write --hash-key key: File exists"):
        make_hash_key(tmp_path / "folder" / "key")


def test_hash_keys_that_are_none(tmp_path):
    for text in ("", "ab" * 31, "xy" * 32, "ab" * 33, f"{'ab' * 32}\n\n"):
        (tmp_path / "key").write_text(text)
        with pytest.raises(UsageError, match="is not 64 hex digits: name a file that fmaudit pack made"):
            open_hash_key(tmp_path / "key", str)
    with pytest.raises(UsageError, match="cannot read --hash-key nowhere"):
        open_hash_key(tmp_path / "nowhere", str)
    notices = []
    (tmp_path / "key").write_text("ab" * 32)
    (tmp_path / "key").chmod(0o644)
    open_hash_key(tmp_path / "key", notices.append)
    assert notices == ["others may read key: chmod 600 it"]
