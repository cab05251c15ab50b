"""Numbers of a run as sequences and tidy frames, beside audit.json itself."""

import copy
import pickle

import numpy as np
import pytest

from fmaudit.api import Run
from fmaudit.errors import UsageError
from tests.report.family_audit import changed, family_factory

ID = "chat/bias.occupations@questions+sum/bias.occupations/pct_stereotype"


@pytest.fixture(scope="module")
def audit():
    return family_factory().build()


@pytest.fixture(scope="module")
def run(audit, tmp_path_factory):
    return Run(tmp_path_factory.mktemp("family"), audit)


def unmeasured(audit):
    data = audit.model_dump(mode="json", by_alias=True)
    data["estimates"][0] |= {"state": "unmeasured", "reason": "the scorer failed", "value": None}
    data["estimates"][0] |= {"lower": None, "upper": None, "n": 0, "coverage": 0.0, "worst": None}
    return type(audit).model_validate(data)


def test_views_are_the_records_in_order(run, audit):
    assert [view.record for view in run.estimates] == audit.estimates
    assert [view.record for view in run.comparisons] == audit.comparisons
    first = run.comparisons[0]
    for name in ("value", "lower", "verdict", "table", "copy_fraction", "margins", "n"):
        assert getattr(first, name) == getattr(audit.comparisons[0], name)
        assert name in dir(first)
    with pytest.raises(AttributeError):
        first.nothing_like_it  # noqa: B018


def test_frame_has_one_row_an_estimate_and_its_numbers(run, audit):
    frame = run.estimates.to_frame()
    assert list(frame["id"]) == [estimate.id for estimate in audit.estimates]
    for name in ("value", "lower", "upper", "level", "coverage", "n_eff", "p", "mde"):
        expected = [getattr(estimate, name) for estimate in audit.estimates]
        np.testing.assert_array_equal(frame[name].to_numpy(float), np.array(expected, dtype=float))
    assert list(frame["n"]) == [estimate.n for estimate in audit.estimates]
    assert set(frame["role"]) == {"base", "adapted", "reference"}


def test_what_is_not_known_is_missing_and_never_zero(audit):
    frame = Run(".", unmeasured(audit)).estimates.to_frame()
    row = frame.iloc[0]
    assert row["state"] == "unmeasured"
    assert row["reason"] == "the scorer failed"
    assert frame.loc[0, ["value", "lower", "upper", "worst_low", "worst_high"]].isna().all()
    assert frame["value"].dtype == float
    assert frame["value"].notna().sum() == len(frame) - 1


def test_comparison_frame_has_change_table_and_copy_fraction(run, audit):
    frame = run.comparisons.to_frame()
    for place, found in enumerate(audit.comparisons):
        row = frame.iloc[place]
        assert (row["verdict"], row["change"], row["step"]) == (found.verdict, found.value, found.step)
        assert [row[name] for name in ("n11", "n10", "n01", "n00")] == list(found.table.model_dump().values())
        assert row["copy_fraction"] == found.copy_fraction.value
        assert row["copy_lower"] == found.copy_fraction.verdict_interval.lower
        assert row["retention_upper"] == found.retention.upper
    assert frame["items_needed"].isna().sum() == sum(
        found.items_needed is None for found in audit.comparisons
    )


def test_a_comparison_without_table_has_none(audit):
    first = audit.comparisons[0].id
    bare = changed(audit, first, table=None, copy_fraction=None, retention=None, severity=None)
    row = Run(".", bare).comparisons.to_frame().iloc[0]
    assert row[["n11", "n10", "copy_fraction", "copy_lower", "retention", "severity_change"]].isna().all()


def test_an_empty_frame_has_its_columns(run):
    whole = run.comparisons.to_frame()
    frame = run.comparisons[:0].to_frame()
    assert len(frame) == 0
    assert set(frame.columns) == {name for name in whole.columns if not name.startswith("slice.")}
    assert frame["change"].dtype == float


def test_slices_have_columns_of_their_own(audit):
    data = audit.model_dump(mode="json", by_alias=True)
    sliced = {**data["estimates"][0], "id": "sliced", "slice": {"value": "odd", "topic": "age"}}
    data["estimates"].append(sliced)
    views = Run(".", type(audit).model_validate(data)).estimates
    row = views.to_frame().set_index("id").loc["sliced"]
    assert (row["slice.topic"], row["slice.value"]) == ("age", "odd")
    assert row["value"] == sliced["value"]
    assert [view.id for view in views.where(**{"slice.topic": "age"})] == ["sliced"]
    assert len(views.overall) == len(views) - 1


@pytest.mark.parametrize(
    "name", ["bias.occupations", "bias", "bias.occupations/pct_stereotype", "pct_stereotype"]
)
def test_selection_by_probe_family_or_metric(run, name):
    found = run.estimates[name]
    assert 0 < len(found) < len(run.estimates)
    assert {view.metric for view in found} == {"bias.occupations/pct_stereotype"}
    assert type(found) is type(run.estimates)


def test_an_unknown_name_says_what_there_is(run):
    with pytest.raises(UsageError, match=r"no estimate of 'bias.nothing'; probes here: .*bias\.occupations"):
        run.estimates["bias.nothing"]
    with pytest.raises(UsageError, match="no column 'colour'; choose among id, metric"):
        run.estimates.where(colour="red")
    with pytest.raises(UsageError, match="no comparison has verdict 'inherit'; there is inherited"):
        run.comparisons.where(verdict="inherit")


def test_where_takes_all_conditions(run):
    found = run.comparisons.where(verdict="mitigated", step="from_base")
    assert {(view.verdict, view.step) for view in found} == {("mitigated", "from_base")}
    assert len(found) == 2


def test_one_view_is_one_row(run):
    one = run.comparisons[2].to_frame()
    assert len(one) == 1
    assert one["id"].item() == run.comparisons[2].id
    assert run.estimates[1].to_frame()["value"].item() == run.estimates[1].value


def test_views_can_be_copied_and_stored(run):
    view = run.comparisons[0]
    assert copy.copy(view).record == view.record
    assert pickle.loads(pickle.dumps(view)).record == view.record


def test_rows_are_the_evidence_with_text_left_out(small_run):
    rows = small_run.rows("bias.crows_pairs", subject="base")
    estimate = small_run.estimates["pct_stereotype"].where(subject="base").overall[0]
    assert len(rows) == estimate.n == 128
    assert rows["outcome"].mean() == pytest.approx(estimate.value)
    assert "responses" not in rows
    assert rows["text"].isna().all()
    everyone = small_run.rows("bias.crows_pairs")
    assert set(everyone["subject"]) == {"base", "clean", "new-defect", "reference-1"}
    assert "responses" in small_run.rows("bias.crows_pairs", subject="base", reveal=True)


def test_rows_that_are_not_there_are_named(small_run, tmp_path, audit):
    with pytest.raises(UsageError, match=r"no rows of probe 'bias'; probes here: bias\.crows_pairs"):
        small_run.rows("bias")
    with pytest.raises(UsageError, match=r"for 'nobody'.*subjects: base, clean"):
        small_run.rows("bias.crows_pairs", subject="nobody")
    with pytest.raises(UsageError, match=r"no run\.json"):
        Run(tmp_path, audit).rows("bias.crows_pairs")
