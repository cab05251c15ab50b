"""Two audits side by side: which models, which changes, corrected for how many, and how it reads."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from fmaudit.analysis.reading import NEITHER, Sense
from fmaudit.analysis.release_flips import release_flips
from fmaudit.analysis.release_plain import plain
from fmaudit.analysis.release_records import release_reading
from fmaudit.analysis.release_subjects import match_subjects
from fmaudit.analysis.release_table import compare_releases
from fmaudit.analysis.releases import ReleaseRows, release_pair
from fmaudit.canonical import canonical_bytes, digest_file
from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.report.release_text import render_releases
from fmaudit.schema import Numbers, Subject
from fmaudit.statistics import benjamini_hochberg, holm
from tests.analysis.release_runs import (
    EXTRACTION,
    GAP,
    GREEDY,
    OCCUPATIONS,
    SECRET,
    TOXICITY,
    Asked,
    change_audit,
    write_release,
)

N = 200
PROBES = ("memorization.extraction", "bias.occupations")
HOSTILE = "\x1b[31m<script>alert(1)</script>\n::error::x\u202e"


def outcomes(seed, share, n=N):
    return (np.random.default_rng(seed).random(n) < share).astype(int).tolist()


def rows(path):
    return ReleaseRows(RunDirectory(path))


def compared(pair, named=None, **options):
    return compare_releases(*(rows(run) for run in pair), named, **options)


def model(found, role):
    return next(one for one in found.models if one.newer.role == role)


def cell(found, metric=GREEDY, contrast="", levels=None, role="adapted"):
    return next(
        one
        for one in model(found, role).cells
        if (one.metric, one.contrast, dict(one.slice)) == (metric, contrast, levels or {})
        or (contrast and one.contrast == contrast)
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A release that memorized more; its base is the same, its margins of toxicity were not asked before."""
    root = tmp_path_factory.mktemp("table")
    base = outcomes(0, 0.1)
    scores = np.random.default_rng(7).uniform(0.2, 0.8, 64).tolist()
    old = {
        EXTRACTION: Asked({"base": base, "tuned": outcomes(1, 0.1)}),
        OCCUPATIONS: Asked({"base": scores, "tuned": scores}),
    }
    new = {
        EXTRACTION: Asked({"base": base, "tuned": outcomes(2, 0.7)}),
        OCCUPATIONS: Asked({"base": scores, "tuned": scores}, protocol={"dtype": "bfloat16"}),
        TOXICITY: Asked({"tuned": [[0.1, 0.9]] * 10}),
    }
    newer = {"tuned": "sha256:" + "2" * 64}
    return [write_release(root / "first", old), write_release(root / "second", new, digests=newer)]


@pytest.fixture(scope="module")
def found(pair):
    return compared(pair)


def test_every_number_of_a_question_that_both_asked_has_a_cell(found):
    own = [one for one in model(found, "adapted").cells if one.key == EXTRACTION]
    assert {one.metric.partition("/")[2] for one in own if not one.contrast} == {
        "greedy_match_rate",
        "logprob_per_byte",
        "lcp_share",
        "matched_token_share",
        "extractable_rate",
        "extraction_in_1000",
    }
    assert {one.contrast for one in own} >= {GAP}
    assert all(one.change is not None for one in own)
    assert cell(found).reading == "worse"
    assert cell(found, "memorization.extraction/logprob_per_byte").reading == "higher"


def test_changes_are_corrected_in_families_of_changed_models_alone(pair):
    found = compared(pair, by_slice=True)
    cells = [one for one in model(found, "adapted").cells if one.change is not None]
    families = {family.name: family for family in found.families}
    assert set(families) == {"headline", *(f"{probe}, tuned" for probe in PROBES)}
    assert found.tests == len([one for one in cells if one.change.p is not None])
    for name, family in families.items():
        own = [one.change for one in cells if one.family == name and one.change.p is not None]
        ps = [one.p for one in own] + [None] * (family.size - len(own))
        expected = (holm if name == "headline" else benjamini_hochberg)(ps)
        assert family.size - family.unmeasured == len(own)
        assert [one.p_adjusted for one in own] == expected[: len(own)].tolist()
    base = model(found, "base")
    assert base.same
    assert all(one.change.p_adjusted is None for one in base.cells if one.change is not None)


def test_what_is_displayed_changes_no_p(pair, found):
    """With slices, without them, and the headline alone, as a page of a site has it."""
    sliced, headline = compared(pair, by_slice=True), compared(pair, headline=True)
    full = {place(one): one for one in model(sliced, "adapted").cells}
    plain_cells, first_cells = model(found, "adapted").cells, model(headline, "adapted").cells
    assert len(full) > len(plain_cells) > len(first_cells) > 0
    for one in (*plain_cells, *first_cells):
        assert one == full[place(one)]
    assert found.families == sliced.families
    assert headline.families == tuple(one for one in sliced.families if one.name == "headline")


def place(one):
    return one.key, one.metric, tuple(sorted(one.slice.items())), one.contrast


def test_a_question_that_one_audit_could_not_measure_stays_in_the_family(pair, tmp_path):
    """What fails in one audit never makes another number easier to show."""
    extraction = compared(pair, by_slice=True)

    def failed(audit):
        for one in audit["measurements"]:
            if one["id"] == f"tuned/{OCCUPATIONS}":
                one |= {"state": "unmeasured", "reason": "the disk was full"}

    changed = shutil.copytree(pair[1], tmp_path / "failed")
    change_audit(changed, failed)
    found = compared([pair[0], changed], by_slice=True)
    assert {one.name: one.size for one in found.families} == {
        one.name: one.size for one in extraction.families
    }
    assert cell(found).change.p_adjusted == cell(extraction).change.p_adjusted


def test_a_change_lost_to_the_correction_is_not_read_as_shown():
    worse_up, worse_down, target = Sense(1), Sense(-1), Sense(0, True)
    number = Numbers(
        state="measured", value=0.1, lower=0.01, upper=0.19, p=0.003, p_adjusted=0.03, n=99, coverage=1.0
    )
    assert release_reading(number, worse_up) == "worse"
    assert release_reading(number.model_copy(update={"p_adjusted": 0.06}), worse_up) == "no change shown"
    assert release_reading(number.model_copy(update={"p_adjusted": None}), worse_up) == "unclear"
    assert release_reading(number.model_copy(update={"lower": -0.01}), worse_up) == "no change shown"
    assert release_reading(number.model_copy(update={"conclusive": False}), worse_up) == "inconclusive"
    assert release_reading(number.model_copy(update={"lower": None}), worse_up) == "inconclusive"
    assert release_reading(None, worse_up) == "not compared"
    assert release_reading(number, worse_down) == "better"
    assert release_reading(number, target) == "higher"
    falls = number.model_copy(update={"value": -0.1, "lower": -0.19, "upper": -0.01})
    assert release_reading(falls, NEITHER) == "lower"


def test_flips_are_counted_by_direction_and_add_up(found, pair):
    flips = cell(found).flips
    old, new = (
        [one for place, one in enumerate(values) if place % 4 != 3]
        for values in (outcomes(1, 0.1), outcomes(2, 0.7))
    )
    broken = [place for place in range(150) if (old[place], new[place]) == (0, 1)]
    fixed = [place for place in range(150) if (old[place], new[place]) == (1, 0)]
    assert (flips.words, flips.whole) == (("broken", "fixed"), True)
    assert (len(flips.up), len(flips.down)) == (len(broken), len(fixed))
    assert flips.unchanged + len(flips.up) + len(flips.down) + flips.unanswered == 150
    members = [f"record-{place}" for place in range(N) if place % 4 != 3]
    assert set(flips.up) == {members[place] for place in broken}
    assert cell(found).change.value == pytest.approx((len(broken) - len(fixed)) / 150)


def test_flips_follow_the_direction_of_the_metric(tmp_path):
    key = "downstream.capability@answerable+valid_answers"

    def run(name, values):
        return write_release(tmp_path / name, {key: Asked({"base": values})})

    runs = [run("first", [1, 1, 0, 0, None]), run("second", [1, 0, 1, 0, 1])]
    paired = release_pair(rows(runs[0]), rows(runs[1]), "base", "base", key)
    flips = release_flips(paired, "valid_answer_rate")
    assert (flips.words, flips.up, flips.down) == (("broken", "fixed"), ("record-1",), ("record-2",))
    assert (flips.unchanged, flips.unanswered) == (2, 1)
    assert release_flips(paired, "no_such_metric") is None


def test_a_rate_with_a_target_has_no_broken_items(tmp_path):
    shares = [[0.2] * 64, [0.8] * 64]
    runs = [
        write_release(tmp_path / f"run{place}", {OCCUPATIONS: Asked({"base": values})})
        for place, values in enumerate(shares)
    ]
    paired = release_pair(rows(runs[0]), rows(runs[1]), "base", "base", OCCUPATIONS)
    flips = release_flips(paired, "pct_stereotype")
    assert flips.words == ("risen", "fallen")
    assert flips.up
    assert release_flips(paired, "margin") is None


def test_samples_are_said_to_move_by_chance(tmp_path):
    runs = [
        write_release(tmp_path / f"run{place}", {TOXICITY: Asked({"base": values})})
        for place, values in enumerate(([[0.9, 0.1]] * 4, [[0.9, 0.9]] * 3 + [[0.9, None]]))
    ]
    paired = release_pair(rows(runs[0]), rows(runs[1]), "base", "base", TOXICITY)
    flips = release_flips(paired, "toxic_fraction")
    assert (len(flips.up), flips.whole) == (4, False)


def test_refusals_name_the_field_and_show_both_numbers(found):
    refused = cell(found, "bias.occupations/pct_stereotype")
    assert refused.refusal.fields == ("dtype",)
    assert refused.reading == "not compared"
    assert refused.older.value == refused.newer.value
    assert refused.flips is None


def test_what_only_one_audit_measured_is_listed(found):
    (one,) = model(found, "adapted").one_sided
    assert (one.key, one.measured_in, one.reason) == (TOXICITY, "later", "not asked")


def test_verdicts_that_changed_are_listed_with_what_else_differed(pair, tmp_path):
    def other(audit):
        for one in audit["comparisons"]:
            if one["metric"] == GREEDY and not one["slice"]:
                one |= {"verdict": "introduced", "judged": True, "margins": {"eps": 0.2, "delta": 0.05}}
        for one in audit["subjects"]:
            if one["role"] == "base":
                one["digest"] = "sha256:" + "9" * 64

    changed = shutil.copytree(pair[1], tmp_path / "changed")
    change_audit(changed, other)
    found = model(compared([pair[0], changed]), "adapted")
    own = next(one for one in found.verdicts if one.metric == GREEDY)
    assert (own.newer, own.older != "introduced") == ("introduced", True)
    assert own.note.startswith("the base is not the same model")
    assert "eps was 0.05, is 0.2" in own.note
    assert found.kept_verdicts >= 0
    assert not any(one.older == one.newer for one in found.verdicts)


def test_slices_are_compared_where_they_are_asked_for(pair, found):
    assert not any(one.slice for one in model(found, "adapted").cells)
    sliced = compared(pair, by_slice=True)
    assert sliced.tests == found.tests
    own = cell(sliced, levels={"group": "control"})
    assert own.change.n == 50
    assert own.flips is None


def subject(id, role="adapted", digest="x"):
    return Subject(id=id, role=role, kind="causal", name=id, digest=digest)


def test_models_are_matched_by_id_then_where_each_audit_has_one():
    base, lone = subject("base", "base"), subject("control", "reference")
    found = match_subjects([base, subject("v1"), lone], [base, subject("v2"), lone])
    assert [(old.id, new.id) for old, new in found.pairs] == [("base", "base"), ("v1", "v2")]
    several = match_subjects([base, subject("a"), subject("b")], [base, subject("a"), subject("c")])
    assert [(old.id, new.id) for old, new in several.pairs] == [("base", "base"), ("a", "a")]
    assert [one.id for one in several.only_earlier] == ["b"]
    assert [one.id for one in several.only_later] == ["c"]
    assert several.earlier_of("a").id == "a"
    assert several.earlier_of("c") is None


def test_named_models_come_first_and_are_taken_once():
    old = [subject("a"), subject("b")]
    found = match_subjects(old, old, {"a": "b"})
    assert [(one.id, other.id) for one, other in found.pairs] == [("a", "b")]
    crossed = match_subjects(old, old, {"a": "b", "b": "a"})
    assert len(crossed.pairs) == 2
    with pytest.raises(UsageError, match="named twice"):
        match_subjects(old, old, {"a": "b", "b": "b"})
    with pytest.raises(UsageError, match="the later audit has no model 'c': it has a, b"):
        match_subjects(old, old, {"a": "c"})


def test_audits_without_a_common_model_are_refused(pair, tmp_path):
    def strangers(audit):
        for one in audit["subjects"]:
            one["role"] = "reference"

    strange = shutil.copytree(pair[1], tmp_path / "strange")
    change_audit(strange, strangers)
    with pytest.raises(UsageError, match="--subject EARLIER=LATER"):
        compared([pair[0], strange])
    assert len(compared([pair[0], strange], {"tuned": "tuned"}).models) == 1


def test_the_text_says_all_of_it(found):
    text = " ".join(render_releases(found, 100).split())
    assert "BASE base (org/base): the same model" in text
    assert "! not compared: the protocols differ in dtype" in text
    assert "worse: Greedy match: member suffixes reproduced word for word" in text
    assert f"{found.tests} changes were tested, of models not known to be the same" in text
    assert "Benjamini and Hochberg" in text
    assert f"- {TOXICITY}: only in the later audit; in the other not asked" in text
    assert "VERDICTS AGAINST THE BASE" in text
    assert re.search(r"adjusted p (<|=) 0\.\d+, n 150, coverage 100 %; items: \d+ broken, \d+ fixed", text)


def test_items_are_listed_by_id_only_where_asked(found):
    assert "record-" not in render_releases(found, 100)
    listed = render_releases(found, 100, list_flips=True)
    assert cell(found).flips.up[0] in listed
    assert SECRET not in listed


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_lines_fit_the_terminal(found, width):
    assert max(map(len, render_releases(found, width, list_flips=True).splitlines())) <= max(width, 60)


def test_an_unchanged_model_takes_one_line(pair):
    text = render_releases(compared([pair[0], pair[0]]), 100)
    assert text.count("numbers compared on the same items: none changed.") == 2
    assert "0 changes were tested" in " ".join(text.split())


def test_numbers_that_were_imported_are_marked(pair, tmp_path):
    def imported(audit):
        for one in audit["measurements"]:
            one["assurance"] = "imported"
        for one in audit["subjects"]:
            one["digest"] = ""

    changed = shutil.copytree(pair[1], tmp_path / "imported")
    change_audit(changed, imported)
    found = compared([pair[0], changed])
    assert not any(one.same for one in found.models)
    text = " ".join(render_releases(found, 100).split())
    assert "imported, not verified)" in text
    assert "→ not known" in text
    assert all(one["imported"] for model in plain(found)["models"] for one in model["numbers"])


def test_names_are_inert(pair, tmp_path):
    def rename(audit):
        for one in audit["subjects"]:
            one["name"] = HOSTILE
        for one in audit["metrics"]:
            one["title"] = HOSTILE

    changed = shutil.copytree(pair[1], tmp_path / "hostile")
    change_audit(changed, rename)
    text = render_releases(compared([pair[0], changed]), 100, list_flips=True)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::error") for line in text.splitlines())


def test_the_data_is_canonical_json_that_lists_items_only_where_asked(found, pair):
    brief = json.loads(canonical_bytes(plain(found)))
    assert brief["schema"] == "fmaudit/release-comparison/1"
    assert brief["earlier"]["audit"] == digest_file(pair[0] / "audit.json")
    numbers = next(one for one in brief["models"] if one["later"]["role"] == "adapted")["numbers"]
    own = next(one for one in numbers if one["metric"] == GREEDY and not one["contrast"])
    assert own["change"]["n"] == 150
    assert own["earlier"]["value"] is not None
    assert own["flips"]["broken"] == len(cell(found).flips.up)
    assert "items" not in own["flips"]
    refused = next(one for one in numbers if one["refusal"])
    assert refused["refusal"]["fields"] == ["dtype"]
    assert cell(found).flips.up[0].encode() in canonical_bytes(plain(found, with_items=True))
    assert canonical_bytes(plain(found)) == canonical_bytes(plain(compared(pair)))
