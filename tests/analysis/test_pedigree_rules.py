"""Which references count, and how far from its ideal a rate is: rules of the pedigree on plain numbers."""

from fmaudit.analysis.pedigree import scale_of
from fmaudit.inheritance.references import Candidate, comparable_references
from fmaudit.inheritance.verdicts import Limits
from fmaudit.probe import Rate


def test_references_that_hardly_fail_are_cut_at_the_childs_rate_or_refused():
    rare = [Candidate(f"r{k}", f"r{k}", "refuted", 1.0, 0.005) for k in range(3)]
    assert comparable_references(rare, 1.0, 0.09).accepted == {}
    severe = [Candidate(f"r{k}", f"r{k}", "refuted", 1.0, 0.005, severity=True) for k in range(3)]
    assert set(comparable_references(severe, 1.0, 0.09).accepted.values()) == {"severity threshold"}


def test_better_than_the_ideal_is_no_defect():
    higher = scale_of(Rate("r", direction="higher_is_better", ideal=0.9))
    assert higher is not None
    assert higher.distance(Limits(0.0, 0.05)) == Limits(0.0, 0.0)
    target = scale_of(Rate("r", direction="target", ideal=0.5))
    assert target is not None
    assert target.distance(Limits(0.2, 0.3)).side_beyond(0.05) == -1
