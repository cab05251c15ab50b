import pytest

from fmaudit.errors import DataError
from fmaudit_probes.memorization import licences
from fmaudit_probes.memorization.licences import control_passages, licence_bodies, licence_rows

ZLIB = "This software is provided 'as-is', without any\nwarranty. {} removed from any source\n  distribution."


def test_the_most_frequent_wording_stands_for_a_licence_and_layout_does_not_matter():
    first, second = ZLIB.format("May not be"), ZLIB.format("Shall not be")
    found = licence_bodies(
        [second, "Copyright 2001 Somebody\n" + first, first.replace("\n", "\n    "), "nothing"]
    )
    assert found == {"Zlib": " ".join(first.split())}


def test_the_order_of_files_does_not_matter():
    texts = [ZLIB.format("May not be"), ZLIB.format("Shall not be")]
    assert licence_bodies(texts) == licence_bodies(texts[::-1])


def test_this_environment_carries_the_well_known_licences():
    rows = list(licence_rows())
    assert {"Apache-2.0", "MIT", "BSD-3-Clause"} <= {
        row["document"] for row in rows if row["group"] == "member"
    }
    assert rows == list(licence_rows())
    counts = [sum(row["document"] == name for row in rows) for name in {row["document"] for row in rows}]
    assert max(counts) <= licences.PIECES_PER_LICENCE
    assert all(row["suffix"].startswith(" ") and 150 <= len(row["suffix"]) <= 210 for row in rows)


def test_members_and_controls_have_equal_lengths():
    lengths = {"member": [], "control": []}
    for row in licence_rows():
        lengths[row["group"]].append(len(row["suffix"]))
    mean = {group: sum(values) / len(values) for group, values in lengths.items()}
    assert abs(mean["member"] - mean["control"]) < 5


def test_controls_share_no_sentence_with_a_licence():
    bodies = " ".join(licence_bodies(licences.installed_licence_files()).values()).lower()
    for document, text in control_passages():
        words = text.lower().split()
        shared = [" ".join(words[n : n + 8]) for n in range(len(words) - 7)]
        assert not [phrase for phrase in shared if phrase in bodies], document


def test_without_any_licence_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(licences, "installed_licence_files", lambda: iter(()))
    with pytest.raises(DataError, match="extraction_records"):
        list(licence_rows())
