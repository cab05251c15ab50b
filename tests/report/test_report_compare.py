"""The verdict at the top over a family, and ``fmaudit compare``."""

from __future__ import annotations

import json

from click.testing import CliRunner

from fmaudit.cli.compare import command as compare
from fmaudit.errors import UsageError
from fmaudit.report.pedigree_text import render_pedigree
from fmaudit.report.view import report_view
from tests.report.family_audit import changed


def test_the_verdict_lists_what_is_new_before_what_was_passed_on(family_audit):
    banner = report_view(family_audit).banner
    assert banner.tone == "alert"
    assert banner.title == "Headline defects in the adapted models: 1 introduced, 2 amplified, 4 inherited"
    assert banner.text.index("Introduced: Toxic continuations (Adapted Tiny-toxic)") == 0
    assert banner.text.index("Amplified") < banner.text.index("Inherited: ")
    assert "is an association" in banner.text


def test_a_change_that_the_audit_does_not_show_is_not_in_the_verdict_whatever_its_p(family_audit):
    found = next(c for c in family_audit.comparisons if c.adapted == "toxic" and c.verdict == "introduced")
    unshown = {"p": 1e-6, "p_adjusted": 0.9, "verdict": "inconclusive", "reading": "not shown"}
    banner = report_view(changed(family_audit, found.id, **unshown)).banner
    assert "introduced" not in banner.title.lower()
    assert "Introduced" not in banner.text


def test_an_inherited_defect_alone_is_a_verdict(make_family):
    made = make_family()
    made.data["comparisons"] = [
        found for found in made.data["comparisons"] if found["verdict"] in ("inherited", "clean")
    ]
    banner = report_view(made.build()).banner
    assert (banner.tone, banner.title) == ("alert", "Headline defects in the adapted models: 4 inherited")


def test_compare_prints_tree_matrix_and_families(family_audit, tmp_path):
    (tmp_path / "audit.json").write_bytes(family_audit.to_bytes())
    answer = CliRunner().invoke(compare, [str(tmp_path)])
    assert answer.exit_code == 0
    for part in (
        "LINEAGE",
        "├─ Adapted Tiny-chat",
        "INHERITANCE",
        "■ inherited",
        "FAILING TOGETHER",
        "WORDS",
    ):
        assert part in answer.output


def test_compare_json_is_the_comparisons(family_audit, tmp_path):
    (tmp_path / "audit.json").write_bytes(family_audit.to_bytes())
    answer = CliRunner().invoke(compare, [str(tmp_path), "--json"])
    found = json.loads(answer.stdout)
    assert set(found) == {"comparisons", "homogenization"}
    assert len(found["comparisons"]) == len(family_audit.comparisons)
    assert found["comparisons"][0]["copy_fraction"]["verdict_interval"] == {"lower": 0.6, "upper": 1.08}


def test_compare_without_an_audit_says_what_to_do(tmp_path):
    answer = CliRunner().invoke(compare, [str(tmp_path)])
    assert isinstance(answer.exception, UsageError)


def test_compare_of_a_lone_base_says_that_nothing_is_compared(make_audit):
    made = make_audit({"base": "Lone"})
    made.measure("bias.x", "texts", "base")
    assert "Nothing is compared" in render_pedigree(made.build(), 100)
