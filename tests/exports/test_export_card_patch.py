"""Patching an existing card: only our results and regions change, every other byte stays."""

from __future__ import annotations

import re

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCard as HubCard

from fmaudit.cli import cli
from fmaudit.errors import UsageError
from fmaudit.exports.card_facts import CardOptions
from fmaudit.exports.card_patch import patch_card
from fmaudit.exports.model_card import REGIONS, begin_marker, end_marker, model_card
from tests.report.family_audit import family_factory
from tests.report.report_audits import rich_factory

OTHERS = """\
---
# Written by hand: keep me.
license:   apache-2.0     # two spaces
tags: [text, 'quoted "tag"']

model-index:   # numbers
- name: "My model"   # the name
  results:
  # a leaderboard
  - task: {type: text-generation}
    dataset: {name: "Some Set", type: some/set}
    metrics:
    - {type: accuracy, value: 0.10}   # keep 0.10
  # another one
  -   task:
        type: text-generation
      dataset:
        name: Other
        type: other/set
      metrics:
      - type: f1
        value: 1.0e-1
        name: >-
          folded
          name
extra: |
  literal
  text

---
# My model

Some *text*, with trailing blanks.BLANKS

```md
<!-- fmaudit:begin risks -->
```

| a | b |
|---|---|
| 1 | 2 |
""".replace("BLANKS", "   ")
FOREIGN_YAML = OTHERS[4 : OTHERS.index("\n---\n# My")].splitlines()


@pytest.fixture(scope="module")
def card():
    return model_card(rich_factory().build())


@pytest.fixture(scope="module")
def other_probe():
    """A card of the same model with other numbers."""
    made = rich_factory()
    for estimate in made.data["estimates"]:
        estimate["value"] = round(estimate["value"] * 0.9, 4)
    return model_card(made.build())


def patched(text, card):
    return patch_card(text.encode("utf-8"), card).decode("utf-8")


def results(text):
    return HubCard(text).data.eval_results


def ours(text):
    return [found for found in results(text) if (found.metric_args or {}).get("tool") == "fmaudit"]


def split(text):
    start, _, rest = text.partition("---\n")
    front, _, body = rest.partition("\n---\n")
    return front, body


def without_ours(text):
    """The text with our results and our section cut out by their own marks, line by line."""
    front, body = split(text)
    body = re.sub(r"\n?<!-- fmaudit:begin audit -->.*<!-- fmaudit:end audit -->\n", "", body, flags=re.DOTALL)
    return front, body


def test_our_results_are_added_and_nothing_else_changes(card):
    text = patched(OTHERS, card)
    front, body = without_ours(text)
    assert body == split(OTHERS)[1]
    place = 0
    lines = front.splitlines()
    for kept in FOREIGN_YAML:
        place = lines.index(kept, place) + 1
    added = len(lines) - len(FOREIGN_YAML)
    block = "\n".join(lines[lines.index("          name") + 1 :][:added])
    assert len(yaml.safe_load(block)) == len(card.results)
    assert [found.metric_value for found in results(text)[:2]] == [0.1, 0.1]
    assert len(ours(text)) == sum(len(found["metrics"]) for found in card.results)


def test_patching_twice_changes_nothing(card):
    once = patched(OTHERS, card)
    assert patched(once, card) == once


def test_patching_with_new_numbers_replaces_the_old_ones(card, other_probe):
    once = patched(OTHERS, card)
    twice = patched(once, other_probe)
    assert [f.metric_value for f in ours(twice)] == [
        m["value"] for r in other_probe.results for m in r["metrics"]
    ]
    assert without_ours(twice)[1] == split(OTHERS)[1]
    assert card.digest not in twice
    assert patched(twice, card) == once


def test_a_card_of_our_own_keeps_what_its_makers_filled_in(card, other_probe):
    assert patched(card.text, card) == card.text
    filled = card.text.replace(
        "## Citation\n\nNot stated by the auditor.", "## Citation\n\n@article{us}  \n<b>ours</b>"
    )
    assert filled != card.text
    text = patched(filled, other_probe)
    assert "@article{us}  \n<b>ours</b>\n" in text
    assert text.count("<!-- fmaudit:begin") == len(REGIONS)
    assert patched(text, card) == filled


def test_order_of_keys_and_comments_survive(card):
    text = patched(OTHERS, card)
    for kept in ("# Written by hand: keep me.", "license:   apache-2.0     # two spaces", "# another one"):
        assert text.count(kept) == 1
    assert list(yaml.safe_load(split(text)[0])) == ["license", "tags", "model-index", "extra"]


def test_our_results_between_others_are_replaced_in_place(card, other_probe):
    text = patched(OTHERS, card)
    tail = "  - task: {type: late}\n    dataset: {name: L, type: l}\n    metrics: [{type: m, value: 3}]\n"
    mixed = text.replace("extra: |", tail + "  # the end\nextra: |")
    again = patched(mixed, other_probe)
    types = [found.task_type for found in results(again)]
    assert types[-1] == "late"
    assert tail + "  # the end\nextra: |" in again
    assert patched(again, card) == mixed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Only a body\n",
        "no line feed at the end",
        "\n\nblank lines first\n",
        "---\nlicense: mit\n---\n",
        "---\nlicense: mit\n---",
        "---\n---\nbody\n",
        "---\n# only a comment\n---\nbody\n",
        "---\nlicense: mit\nmodel-index:\n---\nbody\n",
        "---\nmodel-index: []\nlicense: mit\n---\nbody\n",
        "---\nmodel-index: [{name: x, results: []}]  # flow\nlicense: mit\n---\nbody\n",
        "---\nmodel-index:\n- name: x\n  results:\nlicense: mit\n---\nbody\n",
        "---\nlicense: mit\n\n\n---   \nbody\n\n\n",
        "---\nmodel-index:\n  - results:\n      - metrics:\n          - type: a\n            value: 1\n"
        "        task:\n          type: t\n        dataset: {name: d, type: d}\n    name: x\n---\nbody\n",
        "---\nmodel-index: [{name: x, results: [{task: {type: t}, dataset: {name: d, type: d}, "
        "metrics: [{type: a, value: 1}]}]}]\n---\nbody\n",
    ],
)
def test_every_form_of_card_is_patched_and_stays(card, text):
    once = patched(text, card)
    assert patched(once, card) == once
    assert len(ours(once)) == sum(len(found["metrics"]) for found in card.results)
    assert len(results(once)) - len(ours(once)) == text.count("{type: a") + text.count("type: a\n")
    for kept in ("license: mit", "body", "# only a comment", "# Only a body", "no line feed at the end"):
        assert once.count(kept) == text.count(kept)
    if "license" in text:
        assert HubCard(once).data.license == "mit"


def test_windows_line_ends_and_a_byte_order_mark_stay(card):
    data = ("\ufeff" + OTHERS).replace("\n", "\r\n").encode("utf-8")
    once = patch_card(data, card)
    assert once.startswith("\ufeff---\r\n".encode())
    assert not re.search(rb"(?<!\r)\n", once)
    assert once.decode("utf-8").replace("\r\n", "\n").removeprefix("\ufeff") == patched(OTHERS, card)
    assert patch_card(once, card) == once


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\nlicense: mit\n", "line 1: the front matter that begins here has no closing line"),
        ("---\nlicense: mit\ntags: [a, b\nx: y\n---\n", "line 4: broken YAML"),
        ("\n---\nlicense: mit\n\tx: y\n---\n", "line 4: broken YAML"),
        ("---\na: 1\nb: \x00\n---\n", "line 3: broken YAML"),
        ("---\na: 1\nb: *nobody\n---\n", "line 3: broken YAML"),
        ("---\na: !!python/object:os.system x\n---\n", "line 2: broken YAML"),
        ("---\na: 1\nb: 2\na: 3\n---\n", "line 4: the key 'a' is there twice"),
        ("---\n- a\n---\n", "line 2: the front matter is no mapping"),
        ("---\n{a: 1}\n---\n", "line 2: the front matter is written in braces"),
        ("---\na: 1\nmodel-index: text\n---\n", "line 3: model-index is no list"),
        ("---\nmodel-index:\n- a\n---\n", "model-index is no list"),
        ("a\r\nb\nc", "line 2: the card mixes kinds of line ends"),
        ("a\rb", "line 1: the card mixes kinds of line ends"),
        (f"a\n{begin_marker('risks')}\nb\n", "line 2: region 'risks' begins here and has no end"),
        (f"a\n{end_marker('risks')}\n", "line 2: region 'risks' ends here and never began"),
        (
            f"---\na: 1\n---\n{begin_marker('risks')}\n{begin_marker('audit')}\n",
            "line 5: region 'audit' begins inside 'risks'",
        ),
        (
            f"{begin_marker('risks')}\n{end_marker('risks')}\n" * 2,
            "line 3: region 'risks' is there twice",
        ),
        (f"{begin_marker('nothing')}\n{end_marker('nothing')}\n", "no region named 'nothing'"),
        (
            "---\nx: &a {type: t}\nmodel-index: [{name: x, results: [{task: *a, dataset: {name: d, type: d}, "
            "metrics: []}]}]\n---\n",
            "model-index uses aliases",
        ),
    ],
)
def test_a_broken_card_is_refused_with_its_line(card, text, said):
    with pytest.raises(UsageError) as caught:
        patched(text, card)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(card):
    with pytest.raises(UsageError, match="line 2: the card is not UTF-8 text"):
        patch_card(b"a\nb\xff", card)


def test_an_anchor_inside_our_results_that_others_use_is_refused(card):
    text = patched("---\nlicense: mit\n---\n", card)
    used = text.replace("type: text-generation\n", "type: &t text-generation\n", 1)
    used = used.replace("\n---\n", "\npipeline: *t\n---\n", 1)
    assert yaml.safe_load(split(used)[0])["pipeline"] == "text-generation"
    with pytest.raises(UsageError, match="model-index cannot be merged"):
        patched(used, card)


def test_aliases_that_blow_up_cost_nothing(card):
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    text = patched("---\n" + "\n".join(rows) + "\n---\n", card)
    assert text.count("*a28") == 10


def test_results_of_other_weights_go_and_other_probes_of_the_same_stay(card):
    family = family_factory().build()
    chat, toxic = model_card(family, "chat"), model_card(family, "toxic")
    text = patched(patched(OTHERS, chat), toxic)
    about = {found.metric_args["model"] for found in ours(text)}
    assert about == {toxic.subject.digest}

    made = family_factory()
    made.data["estimates"] = [e for e in made.data["estimates"] if not e["metric"].startswith("toxicity")]
    fewer = model_card(made.build(), "toxic")
    kept = patched(text, fewer)
    assert {found.metric_type for found in ours(kept)} == {found.metric_type for found in ours(text)}
    (old,) = (f for f in ours(kept) if f.metric_type.startswith("toxicity"))
    assert old.metric_args["audit"] == toxic.digest != fewer.digest
    assert patched(kept, fewer) == kept


def test_results_are_ours_by_their_source(card):
    named = model_card(rich_factory().build(), options=CardOptions(report_url="https://example.org/a"))
    text = patched(OTHERS, named)
    assert {f.source_name for f in ours(text)} == {"fmaudit"}
    again = patched(text, card)
    assert {f.source_name for f in ours(again)} == {None}
    assert len(results(again)) == len(results(text))


def test_a_marker_in_the_audit_cannot_end_our_section():
    made = rich_factory()
    for metric in made.data["metrics"]:
        metric["title"] = end_marker("audit") + "\n" + end_marker("audit")
    card = model_card(made.build())
    once = patched(OTHERS, card)
    assert once.count(end_marker("audit")) == 1
    assert patched(once, card) == once


def test_the_command_never_overwrites_unless_told(tmp_path, card):
    run = tmp_path / "run"
    run.mkdir()
    (run / "audit.json").write_bytes(rich_factory().build().to_bytes())
    existing = tmp_path / "README.md"
    existing.write_text(OTHERS, encoding="utf-8")
    printed = CliRunner().invoke(cli, ["card", str(run), "--patch", str(existing)])
    assert printed.exit_code == 0, printed.output
    assert existing.read_text(encoding="utf-8") == OTHERS
    assert printed.stdout_bytes.decode("utf-8") == patched(OTHERS, card)
    named = CliRunner().invoke(cli, ["card", str(run), "--patch", str(existing), "-o", str(existing)])
    assert named.exit_code == 0
    assert existing.read_bytes() == printed.stdout_bytes


def test_the_command_says_which_card_is_broken(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "audit.json").write_bytes(rich_factory().build().to_bytes())
    broken = tmp_path / "README.md"
    broken.write_text("---\na: [\n---\n", encoding="utf-8")
    found = CliRunner().invoke(cli, ["card", str(run), "--patch", str(broken)])
    assert isinstance(found.exception, UsageError)
    assert str(found.exception).startswith("cannot patch README.md: line 2: broken YAML")
    missing = CliRunner().invoke(cli, ["card", str(run), "--patch", str(tmp_path / "none.md")])
    assert "cannot read the card none.md" in str(missing.exception)
