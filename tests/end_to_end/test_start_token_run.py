"""Models that differ in the names of their control tokens alone get equal scores, and the report says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import read_rows

PAIRS = [(f"The nurse {n} said tea.", f"The engineer {n} said tea.", "gender") for n in range(12)]
PAIRS += [("Girls like tea.", "Boys like tea.", "gender"), ("Old clerks read.", "Young clerks read.", "age")]
SCORING = ("-p", "bias.crows_pairs,downstream.capability", "--datasets")
DATASETS = "crows_pairs,neutral_texts,answerable"


def installed(*arguments):
    command = [sys.executable, "-m", "fmaudit", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def with_tokens(copy_of):
    """A copy of the tiny base whose tokenizer names other control tokens."""

    def make(name, **tokens):
        folder = copy_of("base", name)
        place = folder / "tokenizer_config.json"
        place.write_text(json.dumps(json.loads(place.read_text()) | tokens))
        return folder

    return make


def scores(run, subject):
    """What was answered, without the subject's name."""
    return {
        place.replace(f"evidence/{subject}/", "", 1): [row["responses"] for row in rows]
        for place, rows in read_rows(run).items()
        if place.startswith(f"evidence/{subject}/")
    }


def audited(run):
    return json.loads((run / "audit.json").read_text())


@pytest.mark.parametrize(
    "tokens",
    [
        {"eos_token": "<pad>"},
        {"bos_token": None, "eos_token": "<pad>"},
        {"bos_token": "</s>"},
    ],
)
def test_other_control_tokens_give_equal_scores(fmaudit, models, with_tokens, write_pairs, tmp_path, tokens):
    other, run = with_tokens("other", **tokens), tmp_path / "run"
    data = f"crows_pairs={write_pairs(PAIRS)}"
    call = (models / "base", "--adapted", f"t={other}", *SCORING, DATASETS, "--data", data, "-L", "14")
    if tokens == {"eos_token": "<pad>"}:
        code, said = installed("run", *call, "--allow-identical", "-o", run)
    else:
        outcome = fmaudit("run", *call, "--allow-identical", "-o", run)
        code, said = outcome.code, outcome.err
    assert code == 0, said
    base = scores(run, "base")
    assert base
    assert scores(run, "t") == base
    audit = audited(run)
    starts = [entry["protocol"]["start"] for entry in audit["measurements"] if entry["state"] == "measured"]
    assert starts
    assert all(start == {"token": "<s>", "before": "what nothing precedes"} for start in starts)
    changes = [
        change for change in audit["comparisons"] if change["metric"] == "bias.crows_pairs/pct_stereotype"
    ]
    assert [change["value"] for change in changes if not change["slice"]] == [0.0]
    notes = " ".join(audit["subjects"][1]["notes"])
    assert ("its texts start from '<s>'" in notes) == ("bos_token" in tokens)


def test_a_lent_start_token_is_the_bases(fmaudit, with_tokens, write_pairs, tmp_path):
    lends, other = (
        with_tokens("lends", bos_token=None),
        with_tokens("lends-another", bos_token=None, eos_token="<pad>"),
    )
    data = f"crows_pairs={write_pairs(PAIRS)}"
    call = ("--adapted", f"t={other}", *SCORING, "crows_pairs", "--data", data, "--allow-identical")
    outcome = fmaudit("run", lends, *call, "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert scores(tmp_path / "run", "t") == scores(tmp_path / "run", "base")
    protocol = audited(tmp_path / "run")["measurements"][0]["protocol"]
    assert protocol["start"]["token"] == "</s>"


def test_a_reference_without_the_token_takes_it_from_all(fmaudit, models, copy_of, write_pairs, tmp_path):
    reference = copy_of("other", "stranger")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        place = reference / name
        place.write_text(place.read_text().replace('"<s>"', '"<begin>"'))
    data = f"crows_pairs={write_pairs(PAIRS)}"
    call = (*SCORING, "crows_pairs", "--data", data)
    together, alone = tmp_path / "together", tmp_path / "alone"
    outcome = fmaudit("run", models / "base", "--reference", f"r={reference}", *call, "-o", together)
    assert outcome.code == 0, outcome.err
    assert fmaudit("run", models / "base", *call, "-o", alone).code == 0
    audit = audited(together)
    assert {entry["protocol"]["start"]["token"] for entry in audit["measurements"]} == {""}
    for subject in audit["subjects"]:
        assert "second token" in " ".join(subject["notes"])
    page = (together / "report" / "report.html").read_text()
    assert "scoring begins at the second token" in page

    def tokens(run, subject):
        (rows,) = scores(run, subject).values()
        return [json.loads(row)[0]["tokens"] for row in rows]

    assert tokens(together, "base") == [words[1:] for words in tokens(alone, "base")]
    assert tokens(together, "r") == tokens(together, "base")
    # The two runs asked another question, and their comparison says in what.
    compared = fmaudit("compare", alone, together)
    assert "start" in compared.out + compared.err


def test_a_folder_whose_start_token_changed_is_no_continuation(fmaudit, with_tokens, write_pairs, tmp_path):
    model, data = with_tokens("model"), f"crows_pairs={write_pairs(PAIRS)}"
    call = (*SCORING, "crows_pairs", "--data", data, "-o", tmp_path / "run")
    assert fmaudit("run", model, *call).code == 0
    place = model / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"bos_token": "</s>"}))
    outcome = fmaudit("run", model, *call)
    assert outcome.code == 2
    assert "holds another audit (it differs in start" in outcome.complaint
