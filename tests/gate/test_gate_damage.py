"""Missing, incomparable, failed or NaN evidence never passes, however a run is damaged."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmaudit.errors import ExitCode, FmauditError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.holding import GateOptions, gate_run
from tests.analysis.release_runs import EXTRACTION, GREEDY, Asked, write_release

ASKED = f"{GREEDY}, dataset: extraction_records"
POLICY = f"""\
schema: fmaudit/policy/1
id: damage
rules:
  - {{id: level, metric: {ASKED}, max: 0.1}}
  - {{id: change, metric: {ASKED}, vs_base: {{max_increase: 0.1}}}}
  - {{id: gap, metric: {ASKED}, contrast: members_minus_controls_greedy, vs_base: {{max_increase: 0.1}}}}
  - {{id: word, metric: {ASKED}, verdicts: {{block: [introduced]}}}}
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    (folder / "policy.yaml").write_text(POLICY)
    values = [0] * 200
    return write_release(folder / "run", {EXTRACTION: Asked({"base": values, "adapted": values})})


def _json(path: Path, change) -> None:
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data))


def _parts(run: Path, subject: str) -> list[Path]:
    return sorted((run / "evidence" / subject).rglob("*.parquet"))


def drop_part(run, subject, place):
    parts = _parts(run, subject)
    parts[place % len(parts)].unlink()


def truncate_part(run, subject, place):
    parts = _parts(run, subject)
    part = parts[place % len(parts)]
    part.write_bytes(part.read_bytes()[: place % max(part.stat().st_size, 1)])


def repeat_part(run, subject, place):
    parts = _parts(run, subject)
    shutil.copy(parts[place % len(parts)], parts[0].with_name("part-99999.parquet"))


def _outcome_column(run, subject, place, value, valid):
    part = _parts(run, subject)[place % len(_parts(run, subject))]
    table = pq.read_table(part)
    for name, column in (("outcome", value), ("outcome.valid", valid)):
        at = table.schema.get_field_index(name)
        kind = table.schema.field(at).type
        table = table.set_column(at, table.schema.field(at), pa.array([column] * len(table), kind))
    reason = table.schema.get_field_index("outcome.reason")
    filled = pa.array(["" if valid else "the instrument failed"] * len(table), pa.string())
    pq.write_table(table.set_column(reason, table.schema.field(reason), filled), part)


def missing_outcomes(run, subject, place):
    _outcome_column(run, subject, place, None, False)


def defects(run, subject, place):
    for other in range(len(_parts(run, subject))):
        _outcome_column(run, "adapted", other, 1, True)


def fail_measurement(run, subject, place):
    def change(state):
        for entry in state["measurements"]:
            if entry["subject"] == subject:
                entry |= {"state": "failed", "reason": "out of memory"}

    _json(run / "run.json", change)


def unmeasure(run, subject, place):
    def change(audit):
        for entry in audit["measurements"]:
            if entry["subject"] == subject:
                entry |= {"state": ("unmeasured", "unmeasurable")[place % 2], "reason": "no answer"}

    _json(run / "audit.json", change)


def other_protocol(run, subject, place):
    def change(state):
        for entry in state["measurements"]:
            if entry["subject"] == subject:
                entry["protocol"] |= {("dtype", "seed", "items")[place % 3]: f"other {place}"}

    _json(run / "run.json", change)


def cut(run, subject, place):
    def change(data):
        for entry in data["measurements"]:
            if entry["subject"] == subject:
                entry["partial"] = True

    _json(run / "run.json", change)
    _json(run / "audit.json", change)


def _number_fields(run, place, value):
    names = ("value", "lower", "upper", "coverage", "n_eff")

    def change(audit):
        for group in ("estimates", "comparisons", "contrasts"):
            for entry in audit[group]:
                entry[names[place % len(names)]] = value if names[place % len(names)] != "n_eff" else 3.0

    data = json.loads((run / "audit.json").read_bytes())
    change(data)
    (run / "audit.json").write_text(json.dumps(data))


def null_numbers(run, subject, place):
    _number_fields(run, place, None)


def nan_numbers(run, subject, place):
    _number_fields(run, place, math.nan)


def drop_numbers(run, subject, place):
    group = ("estimates", "comparisons", "contrasts", "measurements")[place % 4]
    _json(run / "audit.json", lambda audit: audit.update({group: []}))


def better_words(run, subject, place):
    def change(audit):
        for entry in audit["comparisons"]:
            entry["verdict"] = ("repaired", "mitigated", "inconclusive", "unmeasured")[place % 4]

    _json(run / "audit.json", change)


def drop_subject(run, subject, place):
    _json(run / "audit.json", lambda audit: audit.update(subjects=audit["subjects"][:1]))


def truncate_json(run, subject, place):
    path = run / ("audit.json", "run.json")[place % 2]
    path.write_bytes(path.read_bytes()[: place % path.stat().st_size])


def unfinished(run, subject, place):
    _json(run / "run.json", lambda state: state.update(finished=False))


DAMAGES = (
    *(drop_part, truncate_part, repeat_part, missing_outcomes, defects, fail_measurement, unmeasure),
    *(other_protocol, cut, null_numbers, nan_numbers, drop_numbers, better_words, drop_subject),
    *(truncate_json, unfinished),
)


def gated(run: Path, policy: Path) -> ExitCode:
    try:
        return gate_run(run, GateOptions(policy))[0].exit_code
    except FmauditError as error:
        return error.exit_code


def test_the_sound_run_passes(sound, tmp_path):
    run = shutil.copytree(sound, tmp_path / "run")
    result, _ = gate_run(run, GateOptions(sound.parent / "policy.yaml"))
    assert result.exit_code == ExitCode.PASS
    assert len(result.findings) == 4


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("subject", ["base", "adapted"])
def test_one_damage_never_passes(sound, tmp_path, damage, subject):
    run = shutil.copytree(sound, tmp_path / "run")
    damage(run, subject, 4)
    RunDirectory(run).write_manifest()
    assert gated(run, sound.parent / "policy.yaml") != ExitCode.PASS


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damages=st.lists(
        st.tuples(st.sampled_from(DAMAGES), st.sampled_from(["base", "adapted"]), st.integers(0, 10_000)),
        min_size=1,
        max_size=3,
    ),
    manifest=st.booleans(),
)
def test_random_damage_never_passes(sound, tmp_path_factory, damages, manifest):
    run = shutil.copytree(sound, tmp_path_factory.mktemp("damaged") / "run")
    for damage, subject, place in damages:
        try:
            damage(run, subject, place)
        except (ValueError, IndexError, OSError, KeyError, pa.ArrowInvalid, ZeroDivisionError):
            # An earlier damage left nothing of that kind to damage.
            continue
    if manifest:
        RunDirectory(run).write_manifest()
    assert gated(run, sound.parent / "policy.yaml") != ExitCode.PASS
