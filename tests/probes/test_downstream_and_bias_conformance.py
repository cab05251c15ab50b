import pytest

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows
from fmaudit.testing import check_probe
from fmaudit_probes.bias.crows_pairs import CrowsPairs
from fmaudit_probes.bias.occupations import Occupations
from fmaudit_probes.downstream.capability import Capability
from fmaudit_probes.downstream.group_fairness import GroupFairness


@pytest.mark.parametrize("probe", [CrowsPairs, Occupations, Capability])
def test_probe_with_embedded_data_keeps_the_contract(probe):
    check_probe(probe, limit=60)


@pytest.mark.parametrize("column", ["group", "group_region"])
def test_group_fairness_keeps_the_contract(column):
    rows = [{"text": f"text {n}", "label": n % 2, column: "ab"[n % 3 == 0]} for n in range(20)]
    check_probe(GroupFairness, dataset_from_rows(load_card("group_labels"), rows), labels=("no", "yes"))
