"""The paired change of a number between two audits: what it is, and when there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit import statistics
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.releases import Refusal, ReleaseRows, release_change, release_contrast_change
from fmaudit.canonical import digest_file
from fmaudit.evidence.directory import RunDirectory
from fmaudit.schema import Numbers
from tests.analysis.release_runs import (
    EXTRACTION,
    GAP,
    GREEDY,
    OCCUPATIONS,
    TOXICITY,
    Asked,
    change_audit,
    write_release,
)

N = 160
LEVEL = Settings()


def outcomes(seed, share, n=N):
    return (np.random.default_rng(seed).random(n) < share).astype(int).tolist()


EARLIER = Asked({"base": outcomes(0, 0.2), "tuned": outcomes(1, 0.3)})
LATER = Asked({"base": outcomes(0, 0.2), "tuned": outcomes(2, 0.5)})
SHARES = [np.random.default_rng(seed).uniform(0.1, 0.9, 64).tolist() for seed in (3, 4)]


def rows(path):
    return ReleaseRows(RunDirectory(path))


def changed(older, newer, subject="tuned", key=EXTRACTION, metric=GREEDY, levels=None, at=LEVEL):
    return release_change(rows(older), rows(newer), subject, subject, key, metric, levels or {}, at)


def moved(older, newer, contrast=GAP):
    return release_contrast_change(rows(older), rows(newer), "tuned", "tuned", EXTRACTION, contrast, LEVEL)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    sampled = [np.random.default_rng(seed).random((40, 3)).tolist() for seed in (5, 6)]
    return [
        write_release(
            root / name,
            {
                EXTRACTION: asked,
                OCCUPATIONS: Asked({"tuned": SHARES[place]}),
                TOXICITY: Asked({"tuned": sampled[place]}),
            },
        )
        for place, (name, asked) in enumerate((("first", EARLIER), ("second", LATER)))
    ]


@pytest.fixture
def copies(pair, tmp_path):
    """The two runs, to be changed."""
    return [shutil.copytree(run, tmp_path / run.name) for run in pair]


def members(values):
    return np.array([float(value) for place, value in enumerate(values) if place % 4 != 3])


def test_the_change_of_a_rate_is_the_paired_one_on_the_items_it_counts(pair):
    found = changed(*pair)
    old, new = members(EARLIER.values["tuned"]), members(LATER.values["tuned"])
    truth = statistics.rate_change(old, new)
    assert isinstance(found, Numbers)
    assert (found.n, found.method, found.p) == (120, truth.method, truth.p)
    assert (found.value, found.lower, found.upper) == (truth.value, truth.lower, truth.upper)
    assert found.worst_interval == (truth.lower, truth.upper)
    assert found.conclusive


def test_the_interval_is_at_the_level_that_was_asked(pair):
    wide, narrow = (changed(*pair, at=Settings(level=level)) for level in (0.99, 0.8))
    assert (wide.level, narrow.level) == (0.99, 0.8)
    assert wide.lower < narrow.lower < narrow.value < narrow.upper < wide.upper


def test_a_slice_is_compared_on_its_own_items(pair):
    found = changed(*pair, levels={"group": "control"})
    old, new = (
        np.array([float(value) for value in asked.values["tuned"][3::4]]) for asked in (EARLIER, LATER)
    )
    assert found.n == 40
    assert found.value == pytest.approx((new - old).mean())


def test_a_statistic_is_recomputed_on_both(pair):
    metric = "bias.occupations/share_slope"
    found = changed(*pair, key=OCCUPATIONS, metric=metric)
    stated = [
        next(one.value for one in rows(run).audit.estimates if one.metric == metric and not one.slice)
        for run in pair
    ]
    assert found.value == pytest.approx(stated[1] - stated[0])
    assert found.lower < found.value < found.upper


def test_samples_are_reduced_before_items_are_paired(pair):
    found = changed(*pair, key=TOXICITY, metric="toxicity.prompted/expected_max_toxicity")
    assert (found.n, found.samples_per_item) == (40, 3)


def test_a_contrast_moves_by_the_difference_of_differences(pair):
    found = moved(*pair)
    before, after = np.array(EARLIER.values["tuned"]), np.array(LATER.values["tuned"])
    change, control = after - before, np.arange(N) % 4 == 3
    assert found.value == pytest.approx(change[~control].mean() - change[control].mean())
    items = np.array([f"record-{place}" for place in range(N)], dtype=object)
    truth = statistics.contrast_of_changes(
        before, after, ~control, control, None, {"item": items}, low=0.0, high=1.0
    )
    assert (found.lower, found.upper, found.p) == pytest.approx((truth.lower, truth.upper, truth.p))


def test_missing_answers_are_counted_both_ways(tmp_path):
    earlier, later = list(EARLIER.values["tuned"]), list(LATER.values["tuned"])
    earlier[:6] = [None, None, 0, 0, 0, 0]
    later[:6] = [1, 1, None, None, 1, 0]
    runs = [
        write_release(tmp_path / name, {EXTRACTION: Asked({"tuned": values})})
        for name, values in (("first", earlier), ("second", later))
    ]
    found = changed(*runs)
    # Items 0, 1, 2 are members without an answer on one side; item 3 is a control.
    assert found.n == 117
    assert found.coverage == pytest.approx(117 / 120)
    both = members([-1 if None in pair else 0 for pair in zip(earlier, later, strict=True)]) == 0
    kept = (members([one or 0 for one in later]) - members([one or 0 for one in earlier]))[both].sum()
    # Missing earlier answers: the later is 1, so the change is 0 or 1. Missing later: earlier 0, so 0 or 1.
    assert found.worst == pytest.approx((kept / 120, (kept + 3) / 120))
    assert found.worst_interval[0] < found.lower
    assert found.worst_interval[1] > found.upper


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dtype", "bfloat16"),
        ("seed", 7),
        ("format", "chat"),
        ("decoding", [{"kind": "score", "temperature": 1.0}]),
    ],
)
def test_a_differing_protocol_field_is_named(pair, tmp_path, field, value):
    other = write_release(tmp_path / "other", {EXTRACTION: replace(LATER, protocol={field: value})})
    found = changed(pair[0], other)
    assert isinstance(found, Refusal)
    assert found.fields == (field,)
    assert found.text == f"the protocols differ in {field}"


def test_nested_fields_are_named_by_their_path(pair, tmp_path):
    protocols = [{"instruments": {"profanity": digest}} for digest in ("sha256:1", "sha256:2")]
    runs = [
        write_release(tmp_path / f"run{place}", {EXTRACTION: replace(LATER, protocol=protocol)})
        for place, protocol in enumerate(protocols)
    ]
    assert changed(*runs).fields == ("instruments.profanity",)


def test_equal_fields_of_unequal_digest_are_refused(copies):
    def other_digest(audit):
        for record in audit["measurements"]:
            record["protocol"]["digest"] = "sha256:0"

    change_audit(copies[1], other_digest)
    found = changed(*copies)
    assert (found.fields, found.reason) == (("digest",), "the protocols differ in their digest")


def test_runs_cut_at_different_limits_say_what_each_asked(pair, tmp_path):
    short = Asked({"tuned": LATER.values["tuned"][:80]}, asked=N)
    cut = write_release(tmp_path / "cut", {EXTRACTION: short})
    found = changed(pair[0], cut)
    assert found.fields == ("items", "requests")
    assert "the earlier audit asked 160 of 160 items, the later 80 of 160" in found.text


def test_runs_cut_at_one_limit_are_compared_and_conclude_nothing(tmp_path):
    runs = [
        write_release(tmp_path / f"cut{place}", {EXTRACTION: Asked({"tuned": asked.values["tuned"][:80]}, N)})
        for place, asked in enumerate((EARLIER, LATER))
    ]
    for found in (changed(*runs), moved(*runs)):
        assert isinstance(found, Numbers)
        assert found.value is not None
        assert not found.conclusive
    assert changed(*runs).reason == "a run was cut short (-L)"


def test_what_one_audit_did_not_measure_is_refused_with_its_reason(pair, tmp_path):
    broken = write_release(
        tmp_path / "broken",
        {
            EXTRACTION: replace(LATER, failed={"tuned": "out of memory"}),
            OCCUPATIONS: Asked({"tuned": SHARES[0]}),
        },
    )
    found = changed(pair[0], broken)
    assert (found.text, found.audit) == ("unmeasured in the later audit: out of memory", "later")
    assert changed(broken, pair[1]).audit == "earlier"
    assert changed(pair[0], broken, key=TOXICITY).text == "the later audit did not ask it"
    assert changed(*pair, subject="nobody").text == "the earlier audit did not ask it"


def test_an_unknown_number_slice_or_contrast_is_refused(pair):
    assert "does not have this number" in changed(*pair, metric="memorization.extraction/none").text
    assert changed(*pair, levels={"group": "none"}).text == "the earlier audit does not hold this number"
    assert moved(*pair, contrast="none").text == "the earlier audit does not hold this contrast"


def test_rows_of_other_items_are_not_paired(copies):
    part = sorted((copies[1] / "evidence" / "tuned" / EXTRACTION).glob("part-*.parquet"))[0]
    table = pq.read_table(part)
    names = [f"other-{name}" for name in table["item_id"].to_pylist()]
    at = table.schema.get_field_index("item_id")
    pq.write_table(table.set_column(at, table.schema.field("item_id"), [names]), part)
    assert changed(*copies).text == "the rows of evidence are not of the same items"


def test_the_same_items_in_another_order_are_paired_by_id(copies, pair):
    """The order of asking is no part of the question."""
    folder = copies[1] / "evidence" / "tuned" / EXTRACTION
    for part in folder.glob("part-*.parquet"):
        table = pq.read_table(part)
        at = table.schema.get_field_index("position")
        turned = [N - place for place in table["position"].to_pylist()]
        column = table.schema.field("position")
        pq.write_table(table.set_column(at, column, [np.array(turned, dtype=np.int32)]), part)
    assert changed(*copies) == changed(*pair)


@pytest.mark.parametrize("place", [0, 1])
def test_rows_that_do_not_give_the_number_of_their_audit_are_refused(copies, place):
    def shift(audit):
        for record in [*audit["estimates"], *audit["contrasts"]]:
            if record.get("subject", "tuned") == "tuned" and record["value"] is not None:
                record["value"] += 1e-6

    change_audit(copies[place], shift)
    word = ("earlier", "later")[place]
    for found in (changed(*copies), changed(*copies, levels={"group": "control"}), moved(*copies)):
        assert found.text == f"the rows of evidence do not give the {word} audit's own number"
        assert found.audit == word


def test_a_value_that_the_audit_does_not_hold_is_refused(copies):
    def blank(audit):
        for record in audit["estimates"]:
            record |= {"value": None, "state": "unmeasured", "reason": "no row"}

    change_audit(copies[0], blank)
    assert "the earlier audit's own number" in changed(*copies).text


def test_missing_and_damaged_rows_are_told_apart(copies):
    shutil.rmtree(copies[0] / "evidence")
    for part in (copies[1] / "evidence" / "tuned" / EXTRACTION).glob("part-*.parquet"):
        part.write_bytes(b"no parquet")
    gone = changed(*copies)
    assert (gone.text, gone.detail) == ("the rows of evidence of the earlier audit are not at hand", "")
    whole = shutil.copytree(copies[1], copies[1].with_name("again"))
    shutil.rmtree(whole / "evidence")
    damaged = changed(copies[1], whole)
    assert "cannot be read" in damaged.detail
    assert damaged.text.startswith("the rows of evidence of the earlier audit are not at hand: evidence of")


def test_a_lone_audit_file_has_a_digest_and_no_rows(pair, tmp_path):
    lone = shutil.copy(pair[1] / "audit.json", tmp_path / "lone.json")
    assert rows(lone).digest == digest_file(lone)
    assert changed(pair[0], lone).text == "the rows of evidence of the later audit are not at hand"


def test_a_run_whose_state_does_not_know_the_measurement_is_refused(copies):
    directory = RunDirectory(copies[1])
    state = directory.read_state()
    directory.write_state(state | {"measurements": []})
    assert "does not say that it was measured" in changed(*copies).detail


def test_what_depends_on_the_tokenizer_needs_one_tokenizer(copies):
    def other(audit):
        for subject in audit["subjects"]:
            subject["parts"]["tokenizer"] = "sha256:other"

    metric = "memorization.extraction/matched_token_share"
    assert isinstance(changed(*copies, metric=metric), Numbers)
    change_audit(copies[1], other)
    assert "depends on the tokenizer" in changed(*copies, metric=metric).text
    assert isinstance(changed(*copies), Numbers)


def test_rows_are_read_once(copies):
    older, newer = (rows(run) for run in copies)
    first = release_change(older, newer, "tuned", "tuned", EXTRACTION, GREEDY, {}, LEVEL)
    for run in copies:
        shutil.rmtree(run / "evidence")
    assert release_change(older, newer, "tuned", "tuned", EXTRACTION, GREEDY, {}, LEVEL) == first
    older.forget()
    gone = release_change(older, newer, "tuned", "tuned", EXTRACTION, GREEDY, {}, LEVEL)
    assert isinstance(gone, Refusal)


def test_models_of_two_names_are_compared(tmp_path, pair):
    renamed = write_release(tmp_path / "renamed", {EXTRACTION: Asked({"v2": LATER.values["tuned"]})})
    found = release_change(rows(pair[0]), rows(renamed), "tuned", "v2", EXTRACTION, GREEDY, {}, LEVEL)
    assert found == changed(*pair)


answers = st.lists(st.tuples(*[st.sampled_from([0, 1, 1, None])] * 2), min_size=24, max_size=24)


@settings(max_examples=12, deadline=None)
@given(answers)
def test_turning_the_releases_round_turns_the_change_round(tmp_path_factory, drawn):
    root = tmp_path_factory.mktemp("turned")
    runs = [
        write_release(root / f"run{side}", {EXTRACTION: Asked({"base": [one[side] for one in drawn]})})
        for side in (0, 1)
    ]
    there, back = (changed(*order, subject="base") for order in (runs, runs[::-1]))
    assert (there.n, there.coverage, there.state) == (back.n, back.coverage, back.state)
    if there.value is None:
        assert back.value is None
        return
    assert there.value == pytest.approx(-back.value)
    assert there.lower == pytest.approx(-back.upper)
    assert there.worst == pytest.approx((-back.worst[1], -back.worst[0]))
    stated = [
        next(one for one in rows(run).audit.estimates if one.metric == GREEDY and not one.slice)
        for run in runs
    ]
    if all(one.coverage == 1 for one in stated):
        assert there.value == pytest.approx(stated[1].value - stated[0].value)


def test_neither_torch_nor_the_report_is_needed():
    lines = (
        "import sys, json",
        "import fmaudit.analysis.releases, fmaudit.analysis.release_table, fmaudit.analysis.release_plain",
        "print(json.dumps([n for n in sys.modules if n.split('.')[0] in ('torch', 'transformers')"
        " or n.startswith('fmaudit.report')]))",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
