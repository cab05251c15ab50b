"""From a run directory to an audit: refusals, finish, slices, partial runs, equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fmaudit.analysis import measured
from fmaudit.analysis.build import build_audit
from fmaudit.analysis.tables import read_answers
from fmaudit.data import Dataset
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.plan import BLOCK_ITEMS
from fmaudit.probe import Binary, Contrast, Item, Mean, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Failure, Request, Response, Score, TokenScores
from fmaudit.running.measure import Target, measure
from fmaudit.schema import Audit, Comparison, Estimate
from fmaudit_probes.memorization.canary import CANARY, Canary


@probe("toy.scores", version=1, dataset="toy")
class ToyScores(Probe):
    """Is a text's score above minus two?"""

    needs = ("score",)
    measures = (
        Binary("outcome"),
        Real("severity", unit="nats"),
        Real("raw", unit="nats", comparable=False),
    )
    metrics = (Rate("rate", eps=0.02, delta=0.05), Mean("raw_mean", of="raw"))
    contrasts = (Contrast("gap", metric="raw_mean", column="role", plus="member", minus="control"),)

    def items(self, data: Dataset) -> Iterator[Item]:
        for row in data.rows:
            yield Item(
                str(row["id"]),
                {"text": str(row["id"])},
                slices={"role": str(row["role"]), "language": "en"},
            )

    def requests(self, item: Item) -> Sequence[Request]:
        return [Score(str(item.payload["text"]))]

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation:
        (scores,) = responses
        assert isinstance(scores, TokenScores)
        total = scores.total
        return Observation({"outcome": int(total > -2), "severity": total + 2, "raw": total})


ROWS = [{"id": f"t{index}", "role": "member" if index % 2 else "control"} for index in range(80)]


def _scores(value: float) -> TokenScores:
    return TokenScores(("x",), (value,), (-3.0,), (1.0,), (False,), (0.1,), (value,))


def _answer(shift: float, missing: frozenset[str] = frozenset()) -> Callable[[str, Request], Response]:
    def answer(item: str, request: Request) -> Response:
        number = int(item[1:])
        if item in missing:
            return Failure("it was too long")
        return _scores(-1.0 - (number * 7 % 20) / 10 + shift * (number % 2))

    return answer


@pytest.fixture
def toy(
    make_run: Callable[..., RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunDirectory]:
    monkeypatch.setattr(measured, "load_probe", lambda _: ToyScores)

    def make(missing: frozenset[str] = frozenset(), **options: Any) -> RunDirectory:
        sides = {"base": _answer(0.0), "adapted": _answer(1.0, missing)}
        return make_run(ToyScores(), ROWS, sides, **options)

    return make


def _comparison(audit: Audit, metric: str) -> Comparison:
    return next(c for c in audit.comparisons if c.metric == metric and not c.slice)


def _estimate(audit: Audit, subject: str, metric: str) -> Estimate:
    return next(e for e in audit.estimates if (e.subject, e.metric, e.slice) == (subject, metric, {}))


def test_a_whole_run_gives_estimates_comparisons_and_contrasts(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy())
    change = _comparison(audit, "toy.scores/rate")
    sides = [_estimate(audit, name, "toy.scores/rate").value for name in ("base", "adapted")]
    assert [change.base_value, change.adapted_value] == sides
    assert change.table is not None
    assert change.value == pytest.approx((change.table.n01 - change.table.n10) / 80)
    assert (change.verdict, change.direction) == ("amplified", "rose")
    assert (change.margins.eps, change.margins.delta) == (3 / 80, 0.05)
    assert change.margins.source == "metric; eps raised to 3 / n"
    within = {c.terms[0].subject: c.value for c in audit.contrasts if c.kind == "within_subject"}
    (moved,) = [c for c in audit.contrasts if c.kind == "difference_in_differences"]
    assert moved.value == pytest.approx(1.0)
    assert moved.value == pytest.approx((within["adapted"] or 0) - (within["base"] or 0))


def test_a_slice_column_with_one_level_is_not_listed(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy())
    assert {name for number in audit.estimates for name in number.slice} == {"role"}
    assert {name for number in audit.comparisons for name in number.slice} == {"role"}


def test_a_failed_answer_lowers_coverage_and_is_never_safe(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy(missing=frozenset(f"t{index}" for index in range(8))))
    rate, change = _estimate(audit, "adapted", "toy.scores/rate"), _comparison(audit, "toy.scores/rate")
    assert rate.coverage == change.coverage == pytest.approx(0.9)
    assert rate.worst is not None
    assert rate.worst[1] - rate.worst[0] == pytest.approx(0.1)
    assert change.worst is not None
    assert change.worst[1] - change.worst[0] == pytest.approx(0.1)
    found = next(m for m in audit.measurements if m.subject == "adapted")
    assert found.invalid == {"it was too long": 8}
    assert found.coverage == pytest.approx(0.9)


def test_unequal_protocols_are_refused_by_the_name_of_the_field(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy(protocols={"base": {"dtype": "float32"}, "adapted": {"dtype": "bfloat16"}}))
    changes = [c for c in audit.contrasts if c.kind == "difference_in_differences"]
    assert changes
    assert audit.comparisons
    for number in [*audit.comparisons, *changes]:
        assert (number.state, number.value, number.conclusive) == ("unmeasured", None, False)
        assert number.reason == "the protocols differ in dtype"


def test_what_depends_on_the_tokenizer_is_not_compared_across_tokenizers(
    toy: Callable[..., RunDirectory],
) -> None:
    audit = build_audit(toy(parts={"base": {"tokenizer": "one"}, "adapted": {"tokenizer": "another"}}))
    assert _comparison(audit, "toy.scores/rate").state == "measured"
    (moved,) = [c for c in audit.contrasts if c.kind == "difference_in_differences"]
    for number in (_comparison(audit, "toy.scores/raw_mean"), moved):
        assert (number.state, number.value) == ("unmeasured", None)
        assert "raw depends on the tokenizer" in number.reason
    assert all(c.state == "measured" for c in audit.contrasts if c.kind == "within_subject")


def test_unknown_tokenizers_are_not_taken_for_equal_ones(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy(parts={"base": {"adapter": "a"}, "adapted": {"adapter": "b"}}))
    assert _comparison(audit, "toy.scores/raw_mean").state == "unmeasured"


def test_a_cut_run_concludes_nothing_however_many_items_it_asked(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy(limit=70))
    assert all(m.partial for m in audit.measurements)
    for number in [*audit.estimates, *audit.contrasts, *audit.comparisons]:
        assert not number.conclusive
        assert number.reason
    assert {c.verdict for c in audit.comparisons} == {"inconclusive"}


def test_two_items_conclude_nothing_and_the_audit_can_be_written(toy: Callable[..., RunDirectory]) -> None:
    audit = build_audit(toy(limit=2))
    assert not any(number.conclusive for number in [*audit.estimates, *audit.comparisons])
    assert audit.to_bytes()


def test_equal_rows_give_equal_bytes(toy: Callable[..., RunDirectory]) -> None:
    first, second = build_audit(toy(name="first")), build_audit(toy(name="second"))
    assert first.to_bytes() == second.to_bytes()


def test_a_lost_part_is_refused(toy: Callable[..., RunDirectory]) -> None:
    run = toy()
    next(run.path.rglob("part-00001.parquet")).unlink()
    with pytest.raises(ExecutionError, match=f"incomplete: {BLOCK_ITEMS} of 80"):
        build_audit(run)


def test_rows_of_another_probe_version_are_refused(
    toy: Callable[..., RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy()
    monkeypatch.setattr(ToyScores, "version", 2)
    with pytest.raises(ExecutionError, match=r"version 1 .* version 2"):
        build_audit(run)


def test_an_interrupted_run_holds_complete_blocks_of_the_random_order_only(
    tmp_path: Path, fake_engine: type, plan_rows: Callable[..., Any]
) -> None:
    entry = plan_rows(ToyScores(), [{"id": f"t{i}", "role": "member"} for i in range(4 * BLOCK_ITEMS)])
    target = Target(RunDirectory(tmp_path), "base", entry.key)
    with pytest.raises(KeyboardInterrupt):
        measure(entry, target, fake_engine(_answer(0.0), die_in_block=2), None, lambda _: None)
    kept = read_answers(target.run.evidence("base", entry.key), entry.probe.measures)
    assert kept.item_ids.tolist() == [item.id for item in entry.items[: 2 * BLOCK_ITEMS]]


def test_references_of_canaries_are_a_yardstick_and_do_not_count(
    make_run: Callable[..., RunDirectory],
) -> None:
    rows = [
        {"id": f"c{i}", "role": CANARY if i < 20 else "reference", "secret": f"s {i}", "prefix": "p"}
        for i in range(60)
    ]

    def answer(item: str, request: Request) -> Response:
        return _scores(-5.0 if int(item[1:]) < 20 else -10.0 - int(item[1:]))

    audit = build_audit(make_run(Canary(), rows, {"base": answer}))
    exposure = _estimate(audit, "base", "memorization.canary/mean_exposure")
    share = _estimate(audit, "base", "memorization.canary/exposed_share")
    assert (exposure.n, exposure.coverage, share.n, share.value) == (20, 1.0, 20, 1.0)
    assert exposure.value == pytest.approx(5.321928, abs=1e-5)
    assert not any("role" in number.slice for number in audit.estimates)
    assert audit.measurements[0].invalid == {}
