"""A probe that breaks is unmeasured with its reason; the others are measured, and the command says so."""

import json
import sys

from fmaudit.testing.tiny import tiny_causal


def exit_code(main):
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_the_others_are_measured_and_the_exit_code_is_4(tmp_path, monkeypatch, capsys):
    from fmaudit.cli import main
    from fmaudit_probes.bias.crows_pairs import CrowsPairs

    def broken(self, item, responses):
        raise ZeroDivisionError("inside")

    base = tiny_causal(tmp_path / "base")
    output = tmp_path / "run"
    command = ["fmaudit", "run", str(base), "-p", "bias.crows_pairs", "-L", "2", "-o", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    with monkeypatch.context() as breaking:
        breaking.setattr(CrowsPairs, "observe", broken)
        assert exit_code(main) == 4
    said = capsys.readouterr().err
    assert "could not observe item" in said
    assert "Traceback" not in said
    measurements = json.loads((output / "audit.json").read_text())["measurements"]
    states = {entry["probe"]: (entry["state"], entry["reason"]) for entry in measurements}
    state, reason = states.pop("bias.crows_pairs")
    assert state == "unmeasured"
    assert "ZeroDivisionError" in reason
    assert {state for state, _ in states.values()} == {"measured"}
    # Repaired, the same command measures what failed.
    assert exit_code(main) == 0
    measurements = json.loads((output / "audit.json").read_text())["measurements"]
    assert {entry["state"] for entry in measurements} == {"measured"}
