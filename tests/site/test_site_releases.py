"""Two audits of one model side by side: what is paired, what is refused, and what is said of it."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from fmaudit import statistics
from fmaudit.analysis.build import build_audit
from fmaudit.evidence.directory import RunDirectory
from fmaudit.schema import read_audit
from fmaudit.site.build import build_site
from fmaudit.site.changes import Rows
from fmaudit.site.entries import read_entries
from fmaudit.site.releases import release_pairs, release_view
from tests.site.conftest import LATER
from tests.site.site_pages import lost_links, own_pages

STEREOTYPE = "Share of pairs whose stereotyping sentence is preferred"


def view_of(runs, said=None):
    entries = read_entries(runs, None, (said if said is not None else []).append)
    (pair,) = release_pairs(entries)
    return release_view(pair, Rows((said if said is not None else []).append))


def rows_of(view, role, probe):
    model = next(found for found in view.models if found.role == role)
    return [row for row in model.rows if row.note.startswith(probe)]


def outcomes(run, subject, key):
    table = pq.read_table(run / "evidence" / subject / key).sort_by("position").to_pylist()
    return {row["item_id"]: (row["outcome"], dict(row["clusters"])) for row in table}


def change_audit(run, to, change, ended="2099-01-01T00:00:00Z"):
    """A copy of a run whose audit.json and run.json were changed."""
    shutil.copytree(run, to)
    audit = json.loads((to / "audit.json").read_bytes())
    state = json.loads((to / "run.json").read_bytes())
    state["sessions"][-1]["ended"] = ended
    change(audit, state)
    (to / "audit.json").write_text(json.dumps(audit))
    (to / "run.json").write_text(json.dumps(state))
    read_audit(to)
    return to


def test_the_change_of_a_rate_is_the_paired_change_of_its_rows(releases):
    view = view_of(releases)
    key = next((releases[0] / "evidence" / "tuned").glob("bias.crows_pairs*causal_sum")).name
    row = next(row for row in rows_of(view, "adapted", "bias.crows_pairs") if "causal_sum" in row.note)
    older, newer = view.pair.older.run, view.pair.newer.run
    old, new = outcomes(older, "tuned", key), outcomes(newer, "tuned", key)
    assert set(old) == set(new)
    names = sorted(old)
    change = statistics.rate_change(
        np.array([float(old[name][0]) for name in names]), np.array([float(new[name][0]) for name in names])
    )
    assert row.change.value == f"{100 * change.value:+.1f} points".replace("-", "−").replace(
        " ", "\u00a0"
    ) or (change.value == 0 and row.change.value == "0.0\u00a0points")
    assert row.change.n == str(len(names))
    assert row.change.plain_interval
    assert row.change.p.endswith(", corrected")


def test_the_unchanged_base_is_named_as_such_and_shows_no_change(releases):
    view = view_of(releases)
    base, adapted = view.models
    assert (base.role, base.same, adapted.same) == ("base", True, False)
    assert [row.reading.word for row in base.rows if row.change and row.change.conclusive]
    assert all(row.reading.word in ("no change shown", "inconclusive") for row in base.rows if row.change)
    assert all(row.verdicts == ("not judged", "not judged") for row in base.rows)


def test_where_protocols_differ_the_field_is_named_and_no_difference_given(releases, tmp_path):
    def other_seed(audit, state):
        for record in audit["measurements"]:
            if record["probe"] == "bias.crows_pairs":
                record["protocol"] |= {"seed": 7, "dtype": "bfloat16"}

    changed = change_audit(releases[1], tmp_path / "changed", other_seed)
    view = view_of([releases[0], changed])
    refused = rows_of(view, "adapted", "bias.crows_pairs")
    assert refused
    for row in refused:
        if row.older is not None:
            assert row.change is None
            assert row.refused == "the protocols differ in dtype, seed"
            assert row.reading.word == "not compared"
    assert any(row.change for row in rows_of(view, "adapted", "downstream.capability"))


def test_without_rows_of_both_nothing_is_subtracted(releases, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(releases[1], bare, ignore=shutil.ignore_patterns("evidence"))
    said = []
    view = view_of([releases[0], bare], said)
    changes = [row for model in view.models for row in model.rows]
    assert changes
    assert all(row.change is None for row in changes)
    assert any(row.refused == "the rows of evidence of the later audit are not at hand" for row in changes)
    assert all(row.older.interval for row in changes if row.older and row.older.has_value)
    assert any("has no rows of evidence" in line for line in said)
    assert view.tests == 0


def test_rows_of_other_items_are_not_paired(releases, tmp_path):
    changed = change_audit(releases[1], tmp_path / "items", lambda audit, state: None)
    folder = next((changed / "evidence" / "tuned").glob("bias.crows_pairs*causal_sum"))
    part = sorted(folder.glob("part-*.parquet"))[0]
    table = pq.read_table(part)
    ids = [f"other-{name}" for name in table["item_id"].to_pylist()]
    renamed = table.set_column(table.schema.get_field_index("item_id"), table.schema.field("item_id"), [ids])
    pq.write_table(renamed, part)
    view = view_of([releases[0], changed])
    row = next(row for row in rows_of(view, "adapted", "bias.crows_pairs") if "causal_sum" in row.note)
    assert (row.change, row.refused) == (None, "the rows of evidence are not of the same items")


@pytest.mark.parametrize("field", ["rose", "fell"])
def test_a_real_change_is_given_a_word_with_the_direction(releases, tmp_path, field):
    """Every outcome of the later adapted model is set; the sign of the change follows."""
    copies = []
    for name, value, run in (("low", 0, releases[0]), ("high", 1, releases[1])):
        copies.append(change_audit(run, tmp_path / name, lambda audit, state: None))
        for part in copies[-1].glob("evidence/tuned/bias.crows_pairs*causal_sum/part-*.parquet"):
            table = pq.read_table(part)
            place = table.schema.get_field_index("outcome")
            column = [[value] * table.num_rows]
            column = [type_cast(table.schema.field("outcome").type, column[0])]
            pq.write_table(table.set_column(place, table.schema.field("outcome"), column), part)
        (copies[-1] / "audit.json").write_bytes(build_audit(RunDirectory(copies[-1])).to_bytes())
    ends = ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]
    for run, ended in zip(copies, ends if field == "rose" else ends[::-1], strict=True):
        state = json.loads((run / "run.json").read_bytes())
        state["sessions"][-1]["ended"] = ended
        (run / "run.json").write_text(json.dumps(state))
    view = view_of(copies)
    row = next(row for row in rows_of(view, "adapted", "bias.crows_pairs") if "causal_sum" in row.note)
    assert row.reading.word == {"rose": "higher", "fell": "lower"}[field]
    assert row.change.value == {"rose": "+100.0\u00a0points", "fell": "−100.0\u00a0points"}[field]


def type_cast(kind, values):
    import pyarrow as pa

    return pa.array(values).cast(kind)


def test_rows_that_do_not_give_the_number_of_their_audit_are_not_subtracted(releases, tmp_path):
    changed = change_audit(releases[1], tmp_path / "swapped", lambda audit, state: None)
    key = next((changed / "evidence" / "tuned").glob("bias.crows_pairs*causal_sum")).name
    parts = sorted((changed / "evidence" / "tuned" / key).glob("part-*.parquet"))
    table = pq.read_table(parts[0])
    turned = [not value for value in table["outcome"].to_pylist()]
    assert sum(turned) * 2 != len(turned)
    place, column = table.schema.get_field_index("outcome"), table.schema.field("outcome")
    pq.write_table(table.set_column(place, column, [type_cast(column.type, turned)]), parts[0])
    view = view_of([releases[0], changed])
    row = next(row for row in rows_of(view, "adapted", "bias.crows_pairs") if "causal_sum" in row.note)
    assert row.change is None
    assert row.refused == "the rows of evidence do not give the later audit's own number"


def test_a_rate_of_some_items_is_compared_on_those_items(releases):
    """Base against itself: the change is of as many items as the estimate."""
    for model in view_of(releases).models:
        for row in model.rows:
            if row.change is not None and row.newer.complete:
                assert row.change.n == row.newer.n == row.older.n


def test_one_click_leads_from_the_index_to_the_comparison(releases, tmp_path):
    site = tmp_path / "site"
    built = build_site(releases, site)
    assert lost_links(site) == []
    (address,) = built.comparisons
    pages = own_pages(site)
    assert f"compare/{address}/index.html" in {link["href"] for link in pages["index.html"].all("a")}
    page = pages[f"compare/{address}/index.html"]
    assert STEREOTYPE in page.text
    assert ", corrected" in page.text
    assert set(address.split("..")) == set(built.audits)


def test_releases_of_other_names_on_one_base_are_compared(make_run):
    runs = [
        make_run("v1", adapted="tuned-v1"),
        make_run("v2", adapted="tuned-v2", ended=LATER),
        make_run("far", base="another", adapted="lonely", ended=LATER),
    ]
    (pair,) = release_pairs(read_entries(runs, None, lambda _: None))
    assert (pair.older.heading, pair.newer.heading) == ("tuned-v1", "tuned-v2")
    view = release_view(pair, Rows(lambda _: None))
    assert [(model.older, model.newer) for model in view.models] == [
        ("org/base",) * 2,
        ("tuned-v1", "tuned-v2"),
    ]


def test_damaged_rows_are_refused_not_crashed_on(releases, tmp_path):
    changed = change_audit(releases[1], tmp_path / "damaged", lambda audit, state: None)
    for part in changed.glob("evidence/tuned/bias*/part-*.parquet"):
        part.write_bytes(b"no parquet")
    said = []
    view = view_of([releases[0], changed], said)
    for row in rows_of(view, "adapted", "bias.crows_pairs"):
        if row.older is not None:
            assert row.refused == "the rows of evidence of the later audit are not at hand"
    assert any("cannot be read" in line for line in said)
    assert RunDirectory(changed).read_state()
