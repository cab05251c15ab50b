"""Times that a pack records and that have not come yet by this machine's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import ExitCode
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.clock import TOLERANCE, clock_fault
from fmaudit.pack.verify import Trust, verify_pack

ENDED = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def test_a_clock_behind_the_run_is_one_line_with_the_place(packs, trust):
    found = verify_pack(packs["restricted"], replace(trust["ed25519"], now=datetime(2026, 2, 1, tzinfo=UTC)))
    assert found.exit_code is ExitCode.EXECUTION
    assert found.faults == ()
    assert found.clock == (
        "this machine's clock (2026-02-01T00:00:00Z) is before the run ended in data/run.json "
        "(2026-03-01T12:00:30Z): set the clock; if it is right, do not trust the pack"
    )


def test_clocks_may_differ_a_little(packs):
    for slack, wrong in ((TOLERANCE - timedelta(seconds=1), False), (TOLERANCE + timedelta(seconds=1), True)):
        assert bool(verify_pack(packs["unsigned"], Trust(now=ENDED - slack)).clock) is wrong


def test_a_changed_file_is_worse_than_a_clock(copy_of, trust):
    pack = copy_of()
    (pack / "data/audit.json").write_bytes(b"{}")
    found = verify_pack(pack, replace(trust["ed25519"], now=datetime(2020, 1, 1, tzinfo=UTC)))
    assert found.exit_code is ExitCode.GATE_FAILED


def test_the_day_of_packing(run, tmp_path):
    pack = build_pack(run, tmp_path / "pack", PackOptions(restricted=True, date="2026-05-02"), str).path
    assert "Bagging-Date: 2026-05-02\n" in (pack / "bag-info.txt").read_text()
    before = verify_pack(pack, Trust(now=datetime(2026, 5, 1, 9, tzinfo=UTC)))
    assert "is before the day of packing in bag-info.txt" in before.clock
    # At UTC+14 the day has begun.
    assert verify_pack(pack, Trust(now=datetime(2026, 5, 1, 10, 1, tzinfo=UTC))).clock == ""


def test_packing_with_a_clock_behind_says_so(run, tmp_path):
    notices = []
    build_pack(run, tmp_path / "pack", PackOptions(restricted=True, date="2999-01-01"), notices.append)
    assert any("is before the day of packing" in notice for notice in notices)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026", "x" * 99, None, 7]
)
def test_times_that_are_none(text):
    assert clock_fault({"sessions": [{"begun": text}]}, {"Bagging-Date": "0001-01-01"}, ENDED) == ""


@given(st.text(), st.text())
def test_any_text_is_a_time_or_none(begun, day):
    found = clock_fault({"sessions": [{"begun": begun}]}, {"Bagging-Date": day}, ENDED)
    assert found == "" or "is before" in found
