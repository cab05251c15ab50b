"""Measuring with an engine that needs no model: blocks, plans, failures, near ties."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from fmaudit.cards import Card
from fmaudit.data import dataset_from_rows
from fmaudit.engines.base import BackoffLog
from fmaudit.errors import DataError, DataUnavailable, ProbeError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import read_parts
from fmaudit.plan import BLOCK_ITEMS, plan_measurements
from fmaudit.probe import Binary, Item, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Failure, Score
from fmaudit.running.measure import Target, measure, pending_blocks
from fmaudit.testing import fake_responses

CARD = Card.model_validate(
    {
        "id": "tea_lines",
        "title": "Tea",
        "licence": "CC0-1.0",
        "origin": "written for a test",
        "source": {"kind": "local"},
        "columns": {"text": {}},
        "how_to_get": "write it",
    }
)
N_ITEMS = BLOCK_ITEMS * 2 + 5


@probe("tea.likely", version=1, dataset="tea_lines")
class TeaLines(Probe):
    """How likely is tea?"""

    needs = ("score",)
    measures = (Binary("outcome"), Real("severity", unit="nats"))
    metrics = (Rate("rate"),)

    def items(self, data):
        for number, row in enumerate(data.rows):
            yield Item(f"t{number}", dict(row))

    def requests(self, item):
        return (Score(item.payload["text"]),)

    def observe(self, item, responses):
        return Observation({"outcome": int(responses[0].total > -6), "severity": responses[0].total})


class Broken(TeaLines):
    def observe(self, item, responses):
        raise KeyError("secret payload")


class Ties(TeaLines):
    def observe(self, item, responses):
        severity = 0.5e-4 if item.id in ("t0", "t1") else 2e-4
        return Observation({"outcome": 1, "severity": severity})


class FakeEngine:
    """Answers in batches of ten; the items of ``failing`` cannot be asked."""

    def __init__(self, failing=(), events_at=()):
        self.backoff = BackoffLog()
        self.asked = []
        self._failing, self._events_at = failing, events_at

    def plan(self, asks):
        return [tuple(range(start, min(start + 10, len(asks)))) for start in range(0, len(asks), 10)]

    def run(self, asks, tick=None):
        for batch in reversed(self.plan(asks)):
            for position in batch:
                ask = asks[position]
                self.asked.append(ask.item)
                if ask.item in self._events_at:
                    self.backoff.events.append({"batch": 0, "size": 1, "tokens": 1})
                failed = ask.item in self._failing
                yield position, Failure("too long") if failed else fake_responses([ask.request])[0]
            tick(len(batch))


def lines(number=N_ITEMS):
    return dataset_from_rows(CARD, [{"text": f"tea number {n} is warm"} for n in range(number)])


def planned(cls=TeaLines, limit=None, seed=0, data=None):
    (entry,) = plan_measurements([cls()], lambda probe, name: data or lines(), limit=limit, seed=seed)
    return entry


def target(path):
    return Target(RunDirectory(path), "base", "tea")


def parts(path):
    return {part.name: part.read_bytes() for part in sorted(path.rglob("*.parquet"))}


def test_a_plan_is_a_pure_function_of_command_and_data():
    one, other = planned(), planned()
    assert one.text_protocol() == other.text_protocol()
    assert [item.id for item in one.items] == [item.id for item in other.items]
    assert planned(seed=1).items != one.items
    assert planned(seed=1).text_protocol()["items"] != one.text_protocol()["items"]


@pytest.mark.parametrize(("levels", "said"), [(40, 0), (41, 1), (1, 0)])
def test_a_column_with_too_many_levels_for_slices_is_named(levels, said):
    class Sliced(TeaLines):
        def items(self, data):
            for number, row in enumerate(data.rows):
                yield Item(
                    f"t{number}", dict(row), slices={"town": f"town {number % levels}", "tea": "black"}
                )

    entry = planned(Sliced)
    assert (entry.slices() == {}) == (levels != 40)
    assert len(entry.notes) == said
    if said:
        (note,) = entry.notes
        assert note == "Column town has 41 levels, more than 40: there are no numbers by its levels."


def test_the_order_of_the_rows_plays_no_part():
    class Named(TeaLines):
        def items(self, data):
            for row in data.rows:
                yield Item(row["text"], dict(row))

    rows = [{"text": f"tea {n}"} for n in range(9)]
    forth, back = (dataset_from_rows(CARD, order) for order in (rows, rows[::-1]))
    assert planned(Named, data=forth).items == planned(Named, data=back).items


def test_a_limit_takes_the_head_of_the_same_order():
    whole, part = planned(), planned(limit=7)
    assert part.items == whole.items[:7]
    assert (part.partial, part.available) == (True, N_ITEMS)
    assert not whole.partial


def test_blocks_cover_the_order_once():
    entry = planned()
    blocks = list(entry.blocks())
    assert [block.start for block in blocks] == [0, BLOCK_ITEMS, 2 * BLOCK_ITEMS]
    assert tuple(item for block in blocks for item in block.items) == entry.items


def test_the_key_names_probe_data_set_and_variant():
    entry = planned()
    assert entry.key == "tea.likely@tea_lines"
    entry.probe.variant = "cold"
    assert entry.key == "tea.likely@tea_lines+cold"


def test_data_not_at_hand_is_planned_with_the_reason():
    def absent(probe, name):
        raise DataUnavailable("give it with --data")

    (entry,) = plan_measurements([TeaLines()], absent, limit=None, seed=0)
    assert (entry.dataset, entry.items, entry.reason) == (None, (), "give it with --data")
    assert entry.key == "tea.likely"


def test_probes_without_items_or_with_equal_ids_are_refused():
    class Empty(TeaLines):
        def items(self, data):
            return iter(())

    class Twice(TeaLines):
        def items(self, data):
            return iter([Item("same", {"text": "a"}), Item("same", {"text": "b"})])

    with pytest.raises(DataError, match=r"gives probe .* no item"):
        planned(Empty)
    with pytest.raises(ProbeError, match="two items the id 'same'"):
        planned(Twice)


def test_every_item_is_written_at_its_place(tmp_path):
    entry, engine, ticks = planned(), FakeEngine(), []
    log = measure(entry, target(tmp_path), engine, None, ticks.append)
    table = read_parts(target(tmp_path).run.evidence("base", "tea"))
    assert table["item_id"].to_pylist() == [item.id for item in entry.items]
    assert table["position"].to_pylist() == list(range(N_ITEMS))
    assert table["block"].to_pylist() == [place // BLOCK_ITEMS for place in range(N_ITEMS)]
    assert sum(ticks) == N_ITEMS
    assert [plan["batches"] for plan in log.batches] == [7, 7, 1]
    assert (log.backoff_events, log.rows_near_tie) == (0, 0)


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_only_missing_blocks_are_asked_and_the_whole_plan_is_recorded(tmp_path, missing):
    entry = planned()
    log = measure(entry, target(tmp_path), FakeEngine(), None, lambda steps: None)
    before = parts(tmp_path)
    for block in missing:
        (tmp_path / "evidence" / "base" / "tea" / f"part-{block:05d}.parquet").unlink()
    pending = pending_blocks(entry, target(tmp_path))
    assert [block.index for block in pending] == list(missing)
    engine = FakeEngine()
    again = measure(entry, target(tmp_path), engine, None, lambda steps: None)
    assert sorted(engine.asked) == sorted(item.id for block in pending for item in block.items)
    assert parts(tmp_path) == before
    assert again.batches == log.batches


def test_a_request_that_fails_costs_its_row(tmp_path):
    measure(planned(), target(tmp_path), FakeEngine(failing={"t3"}), None, lambda steps: None)
    rows = read_parts(target(tmp_path).run.evidence("base", "tea")).to_pylist()
    lost = [row for row in rows if not row["outcome.valid"]]
    assert [row["item_id"] for row in lost] == ["t3"]
    assert lost[0]["outcome.reason"] == lost[0]["severity.reason"] == "too long"


def test_a_probe_that_breaks_is_named_without_the_payload(tmp_path):
    with pytest.raises(ProbeError, match=r"could not observe item 't\d+': KeyError") as caught:
        measure(planned(Broken), target(tmp_path), FakeEngine(), None, lambda steps: None)
    assert "secret" not in str(caught.value)
    assert parts(tmp_path) == {}


def test_near_ties_count_from_the_first_back_off_on(tmp_path):
    entry = planned(Ties)
    place = {item.id: number // BLOCK_ITEMS for number, item in enumerate(entry.items)}
    quiet = measure(entry, target(tmp_path / "quiet"), FakeEngine(), None, lambda steps: None)
    assert (quiet.backoff_events, quiet.rows_near_tie) == (0, 0)
    first = entry.items[0].id
    all_of_it = measure(
        entry, target(tmp_path / "early"), FakeEngine(events_at={first}), None, lambda steps: None
    )
    assert (all_of_it.backoff_events, all_of_it.rows_near_tie) == (1, 2)
    last = entry.items[-1].id
    late = measure(entry, target(tmp_path / "late"), FakeEngine(events_at={last}), None, lambda steps: None)
    assert late.backoff_events == 1
    assert late.rows_near_tie == sum(place[name] == 2 for name in ("t0", "t1"))


def test_a_request_never_answered_is_a_failure(tmp_path):
    class Forgetful(FakeEngine):
        def run(self, asks, tick=None):
            yield from (pair for pair in super().run(asks, tick) if pair[0] != 0)

    measure(planned(limit=4), target(tmp_path), Forgetful(), None, lambda steps: None)
    (part,) = tmp_path.rglob("*.parquet")
    reasons = [row["outcome.reason"] for row in pq.read_table(part).to_pylist()]
    assert reasons == ["the engine gave no answer", "", "", ""]
