from __future__ import annotations

from pathlib import Path

import pytest

from fmaudit.errors import UsageError
from fmaudit.gate.policy import load_policy, parse_policy

HEAD = "schema: fmaudit/policy/1\nid: p\nrules:\n"
RULE = "  - id: a\n    metric: toy.probe/rate\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "policy is empty"),
        ("# only a comment\n", "policy is empty"),
        (HEAD, "line 3: rules: Input should be a valid list"),
        (HEAD.rstrip() + " []\n", "line 3: rules: List should have at least 1 item"),
        (HEAD + RULE, "line 4: rules.0: no limit"),
        (
            HEAD + RULE + "    min: 0.5\n    max: 0.1\n",
            "line 4: rules.0: contradictory limits: min 0.5 is above max 0.1",
        ),
        (HEAD + RULE + "    max: 1\n    colour: red\n", "line 7: rules.0.colour: unknown field"),
        (HEAD + RULE + "    max: lots\n", "line 6: rules.0.max: Input should be a valid number"),
        (HEAD + RULE + "    max: 1\n    max: 2\n", "line 7: max is given twice"),
        (HEAD + RULE + "    max: 1\n" + RULE + "    max: 1\n", "two rules have the id 'a'"),
        (HEAD + RULE + "    vs_base: {}\n", "line 6: rules.0.vs_base: give max_increase"),
        (HEAD + RULE + "    vs_base: {max_increase: -1}\n", "line 6: rules.0.vs_base.max_increase"),
        (
            HEAD + RULE + "    subject: base\n    vs_base: {max_increase: 1}\n",
            "vs_base needs an adapted subject",
        ),
        (HEAD + RULE + "    max: 1\n    tier: maybe\n", "line 7: rules.0.tier"),
        (
            HEAD + RULE + "    max: 1\nmargins: {toy.probe/rate: {eps: 2}}\n",
            "line 7: margins.toy.probe/rate.eps",
        ),
        (HEAD + "  - id: a\n    metric: rate\n    max: 1\n", "line 5: rules.0.metric"),
        ("schema: other\nid: p\nrules: [{id: a, metric: a/b, max: 1}]\n", "line 1: schema"),
        ("schema: [\n", "line 2"),
        ("just words\n", "line 1"),
    ],
)
def test_broken_policies_name_the_line(text, problem):
    with pytest.raises(UsageError) as caught:
        parse_policy(text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digest_is_of_the_meaning_not_the_layout():
    one = parse_policy(HEAD + RULE + "    max: 1.0\n")
    same = parse_policy(
        "# note\nid: p\nschema: fmaudit/policy/1\nrules: [{metric: toy.probe/rate, id: a, max: 1.0}]\n"
    )
    other = parse_policy(HEAD + RULE + "    max: 0.9\n")
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read policy none\.yaml"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"id: \xe9\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_policy(tmp_path / "latin.yaml")


def test_shipped_policy_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_policy(Path("release")).policy.rules


def test_unknown_policy_name_says_what_to_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="check --policy"):
        load_policy(Path("relaese"))


def test_margins_of_a_metric_nobody_knows_are_refused():
    policy = parse_policy(HEAD + RULE + "    max: 1\nmargins:\n  toy.probe/rat: {eps: 0.1}\n", "p.yaml")
    policy.check_margins({"toy.probe/rat"})
    with pytest.raises(UsageError, match="line 8: margins of unknown metric 'toy") as caught:
        policy.check_margins({"toy.probe/rate"})
    assert "its probe has toy.probe/rate" in str(caught.value)


def test_the_shipped_policys_margins_are_of_installed_metrics():
    from fmaudit.plugins import known_metrics

    policy = load_policy(Path("release"))
    assert policy.policy.margins
    policy.check_margins(known_metrics())


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "a: &a [*a]\n",
    ],
)
def test_aliases_without_end_are_refused_at_once(text):
    with pytest.raises(UsageError, match=r"aliases unfold to more than 100,000 values"):
        parse_policy(text)
