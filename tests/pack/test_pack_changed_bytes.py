"""Any byte of any file of a pack changed, cut off, added or lost: verification fails and names the file."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.errors import ExitCode
from fmaudit.pack.verify import verify_pack
from tests.pack.pack_attacks import files_of

KINDS = ("public", "restricted", "unsigned")


@pytest.fixture(scope="module")
def damaged(packs, trust, tmp_path_factory):
    """Verify a pack with one file's bytes replaced; the pack is whole again afterwards."""
    folder = tmp_path_factory.mktemp("damaged")
    copies = {kind: shutil.copytree(packs[kind], folder / kind) for kind in KINDS}

    def check(kind, name, change):
        path = copies[kind] / name
        data = path.read_bytes()
        changed = change(data)
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        try:
            return verify_pack(copies[kind]), verify_pack(copies[kind], trust["ed25519"])
        finally:
            path.write_bytes(data)

    return check


def assert_named(found, name):
    for verification in found:
        assert verification.exit_code is ExitCode.GATE_FAILED
        assert name in {fault.file for fault in verification.faults}, (name, verification.faults)
        assert verification.signature == "failed"


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_packs_verify(packs, trust, kind):
    assert verify_pack(packs[kind]).faults == ()
    if kind != "unsigned":
        assert verify_pack(packs[kind], trust["ed25519"]).exit_code is ExitCode.PASS


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_is_found_and_the_file_named(packs, damaged, data):
    kind = data.draw(st.sampled_from(KINDS))
    name = data.draw(st.sampled_from(files_of(packs[kind])))
    size = (packs[kind] / name).stat().st_size
    place, mask = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 255))

    def flip(content):
        return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]

    assert_named(damaged(kind, name, flip), name)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_found_and_named(packs, damaged, data):
    kind = data.draw(st.sampled_from(KINDS))
    name = data.draw(st.sampled_from(files_of(packs[kind])))
    size = data.draw(st.integers(0, (packs[kind] / name).stat().st_size - 1))
    assert_named(damaged(kind, name, lambda content: content[:size]), name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_covered(packs, damaged, kind):
    for name in files_of(packs[kind]):
        assert_named(damaged(kind, name, lambda content: content[:-1]), name)
        assert_named(damaged(kind, name, lambda content: content + b"\n"), name)
        assert_named(damaged(kind, name, lambda content: bytes([content[0] ^ 0x20]) + content[1:]), name)
        assert_named(damaged(kind, name, lambda content: None), name)


def test_only_the_changed_file_is_named(packs, damaged):
    for name in files_of(packs["restricted"]):
        if not name.startswith("data/"):
            continue
        for found in damaged("restricted", name, lambda content: content + b" "):
            assert {fault.file for fault in found.faults} == {name}
