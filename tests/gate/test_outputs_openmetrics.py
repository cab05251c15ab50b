from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fmaudit.gate.outputs.openmetrics import metrics, openmetrics
from tests.gate.gate_records import finding, missing, mixed, nothing_evaluated, number, passing, record


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text, family):
    return {sample.labels["rule"]: sample.value for sample in families(text)[family].samples}


@pytest.mark.parametrize("render", [openmetrics, metrics])
@pytest.mark.parametrize("make", [mixed, nothing_evaluated, record])
def test_the_reference_parser_reads_it(render, make):
    text = render(make())
    assert text.endswith("# EOF\n")
    for family in families(text).values():
        assert family.documentation
        assert family.type in {"gauge", "stateset", "info"}


def test_the_reference_parser_would_refuse_a_wrong_exposition():
    broken = openmetrics(mixed()).replace("# EOF\n", "")
    with pytest.raises(ValueError, match="EOF"):
        families(broken)


def test_a_value_comes_with_interval_level_n_and_coverage():
    text = openmetrics(record(finding("x", number=number(0.1, 0.02, coverage=0.75, level=0.975))))
    read = {name: samples(text, f"fmaudit_finding_{name}")["x"] for name in ("value", "lower", "upper")}
    assert read == pytest.approx({"value": 0.1, "lower": 0.08, "upper": 0.12})
    assert samples(text, "fmaudit_finding_level") == {"x": 0.975}
    assert samples(text, "fmaudit_finding_n") == {"x": 1200}
    assert samples(text, "fmaudit_finding_coverage") == {"x": 0.75}
    assert samples(text, "fmaudit_finding_limit_max") == {"x": 0.05}
    assert families(text)["fmaudit_finding_limit_min"].samples == []


def test_what_was_not_measured_has_a_verdict_and_no_value():
    text = openmetrics(
        record(missing("x"), finding("empty", number=number() | {"value": None, "lower": None}))
    )
    for name in ("value", "lower", "upper", "level", "n", "coverage"):
        assert families(text)[f"fmaudit_finding_{name}"].samples == []
    assert samples(text, "fmaudit_finding_blocks") == {"x": 1.0, "empty": 1.0}


def test_exactly_one_verdict_holds():
    text = openmetrics(mixed())
    states = {}
    for sample in families(text)["fmaudit_finding_verdict"].samples:
        states.setdefault(sample.labels["rule"], {})[sample.labels["fmaudit_finding_verdict"]] = sample.value
    for entry in mixed()["findings"]:
        wanted = {word: float(word == entry["verdict"]) for word in ("pass", "fail", "inconclusive")}
        assert states[entry["rule"]] == wanted


def test_gate_and_sources():
    text = openmetrics(mixed())
    (sample,) = families(text)["fmaudit_gate_exit_code"].samples
    assert (sample.labels, sample.value) == ({"policy": "release"}, 1.0)
    sources = {
        sample.labels["rule"]: sample.labels for sample in families(text)["fmaudit_finding_source"].samples
    }
    assert sources["accepted"]["waiver"] == "W-1"
    assert sources["good"]["model_digest"].startswith("sha256:")
    assert sources["warned"]["tier"] == "warn"


def test_labels_come_back_as_they_were():
    text = 'a "b" \\ c # {d}=e,f'
    made = record(finding(text, subject=text, slice={"x": text}))
    (sample,) = families(openmetrics(made))["fmaudit_finding_value"].samples
    assert (sample.labels["rule"], sample.labels["subject"]) == (text, text)
    assert sample.labels["slice"] == f"x={text}"


def test_findings_of_one_fingerprint_are_two_series():
    text = openmetrics(record(finding("x"), finding("x"), passing("x")))
    marks = [sample.labels["finding"] for sample in families(text)["fmaudit_finding_value"].samples]
    assert len(set(marks)) == 3
