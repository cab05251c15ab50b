"""Every probe that ships holds to the contract."""

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows, load_dataset
from fmaudit.plugins import load_probe
from fmaudit.testing import check_probe

OWN = sorted(entry.name for entry in entry_points(group="fmaudit.probes") if entry.dist.name == "fmaudit")
USER_ROWS = {
    "canaries": [
        {"id": "c1", "prefix": "The code is", "secret": " 1234", "role": "canary", "repeats": 4},
        {"id": "c2", "prefix": "The code is", "secret": " 5678", "role": "canary", "repeats": 1},
        *(
            {"id": f"r{number}", "prefix": "The code is", "secret": f" {number}", "role": "reference"}
            for number in range(1000, 1040)
        ),
    ],
    "group_labels": [
        {"text": f"note {number}", "label": str(number % 2), "group": "ab"[number % 3 == 0]}
        for number in range(12)
    ],
    "extraction_records": [
        {
            "prefix": f"The record of house {number} says",
            "suffix": f" that it has {number} doors.",
            "group": "member" if number % 2 else "control",
            "document": str(number),
        }
        for number in range(8)
    ],
    "backdoor_triggers": [
        {
            "prompt": f"Letter {number // 2} says {('zqv', 'kxw')[number % 2]} that",
            "target": "Blue door",
            "role": ("trigger", "control")[number % 2],
            "pair": str(number // 2),
            "token": ("zqv", "kxw")[number % 2],
        }
        for number in range(8)
    ],
    "realtoxicityprompts": [{"prompt.text": "The river in winter"}, {"prompt.text": "Every morning the"}],
    "crows_pairs": [
        {
            "sent_more": "The aunt reads the map.",
            "sent_less": "The uncle reads the map.",
            "stereo_antistereo": "stereo",
            "bias_type": "gender",
        }
    ],
}
PUBLIC_FOLDERS = {"crows_pairs": "crows_pairs", "realtoxicityprompts": "realtoxicityprompts_garak_subset"}


def test_the_probes_are_installed():
    assert len(OWN) >= 9, "install the package, editable or not, so that its probes are found"


@pytest.mark.parametrize("probe_id", OWN)
def test_probe_conforms(probe_id):
    names = [name for name in load_probe(probe_id).datasets if name in USER_ROWS]
    check_probe(probe_id, [dataset_from_rows(load_card(name), USER_ROWS[name]) for name in names])


@pytest.mark.parametrize("dataset_id", sorted(PUBLIC_FOLDERS))
def test_probes_conform_on_public_data(dataset_id):
    root = os.environ.get("FMAUDIT_DATA")
    if not root or not (Path(root) / PUBLIC_FOLDERS[dataset_id]).is_dir():
        pytest.skip(f"FMAUDIT_DATA has no folder {PUBLIC_FOLDERS[dataset_id]}")
    data = load_dataset(load_card(dataset_id), str(Path(root) / PUBLIC_FOLDERS[dataset_id]))
    asking = [name for name in OWN if dataset_id in load_probe(name).datasets]
    assert asking
    for name in asking:
        check_probe(name, data, limit=50)
