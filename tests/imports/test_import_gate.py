from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from fmaudit.cli import cli
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RUN_FILE, RunDirectory
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.policy import parse_policy
from fmaudit.gate.run_evidence import RunEvidence
from fmaudit.imports import import_logs
from fmaudit.report.imported import imported_notice

RULE = "schema: fmaudit/policy/1\nid: t\nrules:\n  - {id: r, metric: lm-eval.toy/acc, %s}\n"


@pytest.fixture
def imported(accuracy_log, tmp_path):
    base, tuned = accuracy_log("one", 0.9, n=300, seed=1), accuracy_log("two", 0.8, n=300, seed=2)
    return import_logs(base, {"tuned": tuned}, tmp_path / "run")


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("min: 0.5", "inconclusive"),
        ("min: 0.5, accept_imported: false", "inconclusive"),
        ("min: 0.5, accept_imported: true", "pass"),
        ("min: 0.95", "fail"),
        ("min: 0.95, accept_imported: true", "fail"),
        ("vs_base: {max_decrease: 0.5}", "inconclusive"),
        ("vs_base: {max_decrease: 0.5}, accept_imported: true", "pass"),
    ],
)
def test_an_imported_number_passes_only_where_the_policy_says_so(imported, rule, verdict):
    evidence = RunEvidence(RunDirectory(imported.path), imported.audit, "fixed", 0)
    (finding,) = evaluate(imported.audit, parse_policy(RULE % rule), evidence).findings
    assert finding.verdict == verdict
    if verdict == "inconclusive":
        assert "imported" in finding.reason
        assert "accept_imported" in finding.action


def test_the_new_line_leaves_digests_of_older_policies_as_they_were():
    plain, refusing = (parse_policy(RULE % text) for text in ("min: 0.5", "min: 0.5, accept_imported: false"))
    accepting = parse_policy(RULE % "min: 0.5, accept_imported: true")
    assert plain.digest == refusing.digest != accepting.digest
    assert "accept_imported" not in json.dumps(plain.policy.model_dump(exclude_defaults=True))


def test_the_notice_is_there_for_imports_alone(imported):
    text = imported_notice(imported.audit)
    assert "Imported, not measured. Everything" in text
    assert "never inherited" in text
    measured = imported.audit.model_copy(
        update={
            "measurements": [
                m.model_copy(update={"assurance": "measured"}) for m in imported.audit.measurements
            ]
        }
    )
    assert imported_notice(measured) == ""


def test_a_broken_declaration_is_one_line(imported, tmp_path):
    from fmaudit.api import finish

    copy = shutil.copytree(imported.path, tmp_path / "copy")
    state = json.loads((copy / RUN_FILE).read_text())
    state["measurements"][0]["declaration"]["metrics"][0]["kind"] = "verdict"
    (copy / RUN_FILE).write_text(json.dumps(state))
    with pytest.raises(ExecutionError, match=r"declaration.metrics.0.kind"):
        finish(RunDirectory(copy))


def test_the_command(accuracy_log, tmp_path):
    base, tuned = accuracy_log("one", 0.9, seed=1), accuracy_log("two", 0.3, seed=2)
    call = [
        "import",
        str(base),
        "--adapted",
        f"ft={tuned}",
        "--slice",
        "subject",
        "-o",
        str(tmp_path / "run"),
    ]
    done = CliRunner().invoke(cli, [*call, "--json"])
    assert done.exit_code == 0, done.output
    audit = json.loads(done.stdout)
    assert {m["assurance"] for m in audit["measurements"]} == {"imported"}
    assert {c["verdict"] for c in audit["comparisons"]} <= {
        "changed, size unresolved",
        "inconclusive",
        "association",
    }
    prose = CliRunner().invoke(cli, call)
    assert prose.stdout.strip().endswith("report.html")
    assert "95 % interval" in prose.stderr
    rows = CliRunner().invoke(cli, ["rows", str(tmp_path / "run"), "lm-eval.toy"])
    assert rows.exit_code == 0
    assert "answer 0" not in rows.stdout


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--adapted", "nameless"], "name the log as NAME=LOG"),
        (["--higher", "acc", "--lower", "acc"], "choose one"),
        (["--slice", "absent"], "no plain field 'absent'"),
        (["--format", "inspect"], "x"),
    ],
)
def test_wrong_options(accuracy_log, tmp_path, extra, message):
    call = ["import", str(accuracy_log("one", 0.9)), *extra, "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(cli, call)
    assert done.exception is not None
    if message != "x":
        assert message in str(done.exception)
    assert not (tmp_path / "run").exists()
