"""One name for what was asked and judged."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import fmaudit
from fmaudit.question import Question, measurement_id, question_of, record_id

NAMES = st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True)
OR_NOTHING = st.just("") | NAMES
QUESTIONS = st.builds(Question, NAMES, OR_NOTHING, OR_NOTHING, st.sampled_from(["raw", "native"]), OR_NOTHING)


def test_a_key_names_only_what_there_is():
    assert Question("bias.crows_pairs").key == "bias.crows_pairs"
    assert Question("bias.crows_pairs", "minimal_pairs").key == "bias.crows_pairs@minimal_pairs"
    assert Question("p", "d", "v").key == "p@d+v"
    assert Question("p", "d", "v", "native", "detoxify").key == "p@d+v,native~detoxify"
    assert Question("p", "", "", "native").key == "p,native"


def test_a_label_leaves_out_the_probe_and_the_plain_format():
    assert Question("p").label == ""
    assert Question("p", "d", "v").label == "v · d"
    assert Question("p", "d", "", "native", "lexicon").label == "d · native · lexicon"


@given(QUESTIONS, QUESTIONS)
def test_two_questions_never_share_a_key(one: Question, other: Question):
    assert (one.key == other.key) == (one == other)


@given(QUESTIONS)
def test_a_key_is_the_name_of_a_folder(asked: Question):
    assert re.fullmatch(r"[A-Za-z0-9_.@+,~-]+", asked.key)


def test_a_record_gives_its_question_back():
    record = {
        "subject": "base",
        "key": "p@d+v",
        "probe": "p",
        "variant": "v",
        "dataset": {"id": "d", "digest": "sha256:0"},
    }
    assert question_of(record) == Question("p", "d", "v")
    assert question_of(record).key == record["key"]
    assert record_id(record) == question_of(record).of("base") == measurement_id("base", "p@d+v")
    assert question_of({"probe": "p", "variant": "", "dataset": None}) == Question("p")


def test_a_key_is_made_in_one_place():
    """Whoever joins probe and data set by hand makes a second name for one thing."""
    package = Path(fmaudit.__file__).parent
    joined = re.compile(r"""f["'][^"']*\}@\{|["']@["'] ?\+|\+ ?["']@["']""")
    makers = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if joined.search(path.read_text(encoding="utf-8"))
    ]
    assert makers == []
