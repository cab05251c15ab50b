from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from fmaudit.errors import UsageError
from fmaudit.gate.finding import Finding
from fmaudit.gate.verdict import Limit
from fmaudit.gate.waivers import apply_waivers, load_waivers
from fmaudit.schema import Numbers

TODAY = date(2026, 11, 25)
MODEL = "sha256:" + "a" * 64
LINES = {
    "id": "W-1",
    "rule": "toxic",
    "subject": "adapted",
    "model_digest": MODEL,
    "reason": "the vendor fixes it in the next release",
    "approved_by": "R. Officer",
    "created": "2026-11-01",
    "expires": "2026-12-31",
    "max_value": "0.2",
}


def finding(**changes: object) -> Finding:
    number = Numbers(
        state="measured", value=0.12, lower=0.08, upper=0.16, worst_interval=(0.08, 0.16), n=400, coverage=1.0
    )
    found = Finding(
        rule="toxic", tier="block", kind="level", metric="toy.probe/rate", subject="adapted",
        model_digest=MODEL, variant="plain", dataset="toy", slice={}, contrast="",
        limit=Limit(None, 0.05), verdict="fail",
        reason="beyond", action="mitigate", number=number, protocol="sha256:ab", line=7,
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


@pytest.fixture
def waive(tmp_path: Path):
    def apply(
        *findings: Finding, extra: str = "", days: int = 90, today: date = TODAY, **changes: str | None
    ):
        fields = {name: value for name, value in (LINES | changes).items() if value is not None}
        body = "\n    ".join(f"{name}: {value}" for name, value in fields.items())
        path = tmp_path / "waivers.yaml"
        path.write_text(f"schema: fmaudit/waivers/1\nwaivers:\n  - {body}\n{extra}")
        return apply_waivers(list(findings) or [finding()], load_waivers(path), today, days)

    return apply


def test_a_waived_finding_keeps_its_verdict_and_no_longer_blocks(waive):
    (found,), ((waiver, fingerprint),) = waive()
    assert (found.verdict, found.waiver, found.blocks) == ("fail", "W-1", False)
    assert "waived until 2026-12-31 by R. Officer" in found.reason
    assert fingerprint == found.fingerprint
    assert waiver.max_value == 0.2


def test_it_covers_no_more_than_its_maximum_value(waive):
    # The value lies within, its interval does not.
    (found,), _ = waive(max_value="0.15")
    assert (found.waiver, found.blocks) == ("", True)
    assert (
        "waiver W-1 does not cover it: it covers at most 0.15, the interval is 0.08 to 0.16" in found.reason
    )


def test_an_unmeasured_finding_cannot_be_waived(waive):
    (found,), _ = waive(finding(number=None, missing=True, verdict="inconclusive"))
    assert found.blocks
    assert "what was not measured cannot be waived" in found.reason


def test_a_verdict_is_waived_by_its_word(waive):
    worded = finding(kind="verdict", word="inherited", number=None, limit=Limit(None, None))
    (found,), _ = waive(worded, max_value=None, word="inherited")
    assert not found.blocks
    (found,), _ = waive(worded, max_value=None, word="association")
    assert found.blocks


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expires": "2026-11-24"}, "line 10: waiver 'W-1': expired on 2026-11-24"),
        ({"created": "2026-11-26"}, "line 9: waiver 'W-1': created on 2026-11-26, and this machine's clock"),
        ({"created": "2026-09-01"}, "over-broad: it holds for 121 days, the policy allows 90"),
        ({"model_digest": "sha256:" + "b" * 64}, "line 6: waiver 'W-1': it is of another model"),
        ({"rule": "other"}, "line 4: waiver 'W-1': unused: no finding of rule 'other'"),
        ({"subject": "tuned"}, "unused: no finding of rule 'toxic' is of that subject and slice"),
        ({"rule": "'*'"}, "over-broad: a waiver covers one finding"),
        ({"model_digest": None}, "waivers.0.model_digest: missing"),
        ({"approved_by": None}, "waivers.0.approved_by: missing"),
        ({"reason": "because"}, "waivers.0.reason"),
        ({"max_value": None}, "give max_value"),
        ({"requested_by": "R. Officer"}, "nobody approves a waiver of their own"),
        ({"expires": "2026-10-01"}, "it expires before it was created"),
        ({"colour": "red"}, "waivers.0.colour: unknown field"),
    ],
)
def test_waivers_that_must_not_be_are_one_line_with_their_place(waive, changes, problem):
    with pytest.raises(UsageError) as caught:
        waive(**changes)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unused_waiver_is_an_error(waive):
    with pytest.raises(UsageError, match="unused: the finding passes without it"):
        waive(finding(verdict="pass"))


def test_a_waiver_that_covers_several_findings_is_too_broad(waive):
    several = (finding(), finding(dataset="second"), finding(kind="change"))
    with pytest.raises(UsageError, match=r"over-broad: it covers 3 findings; name one of dataset: second"):
        waive(*several)
    found, _ = waive(*several, dataset="toy", kind="level")
    assert [one.waiver for one in found] == ["W-1", "", ""]


def test_two_waivers_of_one_finding(waive):
    second = "  - " + "\n    ".join(f"{n}: {v}" for n, v in (LINES | {"id": "W-2"}).items()) + "\n"
    with pytest.raises(UsageError, match="covers the same finding"):
        waive(extra=second)
    with pytest.raises(UsageError, match="two waivers have the id"):
        waive(extra=second.replace("W-2", "W-1"))


def test_a_waiver_holds_on_its_last_day(waive):
    assert not waive(today=date(2026, 12, 31))[0][0].blocks
