"""Whatever a user can get wrong: one clear line, the right exit code, and nothing measured is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

CROWS = ("-p", "bias.crows_pairs", "-L", "2")


def refused(fmaudit, tmp_path, *arguments, probes=CROWS):
    """The complaint of a command that is refused before anything is spent."""
    run = tmp_path / "run"
    outcome = fmaudit("run", *arguments, *probes, "-o", run)
    assert outcome.code == 2, outcome.err
    assert not outcome.stdout
    assert not (run / "evidence").exists()
    assert not (run / "audit.json").exists()
    return outcome.complaint


def with_adapter(models, adapter, base="base"):
    return f"{models / base}::adapter={models / adapter}"


def test_unknown_directory(fmaudit, models, tmp_path):
    line = refused(fmaudit, tmp_path, tmp_path / "nowhere")
    assert "nowhere" in line
    assert "no such directory" in line


def test_unknown_hub_id(fmaudit, tmp_path):
    line = refused(fmaudit, tmp_path, "nobody/no-such-model")
    assert "'nobody/no-such-model'" in line
    assert "check the name" in line


def test_unknown_adapted_model_is_refused_before_the_base_is_asked(fmaudit, models, tmp_path):
    line = refused(fmaudit, tmp_path, models / "base", "--adapted", tmp_path / "gone")
    assert "gone" in line


def test_half_written_checkpoint(fmaudit, copy_of, tmp_path):
    model = copy_of("base")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    line = refused(fmaudit, tmp_path, model)
    assert "model.safetensors" in line
    assert "half-written" in line


def test_half_written_config(fmaudit, copy_of, tmp_path):
    model = copy_of("base")
    config = model / "config.json"
    config.write_text(config.read_text()[:40])
    assert "config.json" in refused(fmaudit, tmp_path, model)


@pytest.mark.parametrize("adapter", ["foreign-lora", "wide-lora"])
def test_adapter_of_another_base(fmaudit, models, tmp_path, adapter):
    line = refused(fmaudit, tmp_path, models / "base", "--adapted", with_adapter(models, adapter))
    assert f"adapter '{adapter}'" in line
    assert "name the model that it was trained on" in line


def test_adapter_that_cannot_fit_and_names_no_base_at_hand(fmaudit, models, copy_of, tmp_path):
    adapter = copy_of("wide-lora", "moved-lora")
    place = adapter / "adapter_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"base_model_name_or_path": "gone/model"}))
    line = refused(fmaudit, tmp_path, models / "base", "--adapted", f"{models / 'base'}::adapter={adapter}")
    assert "adapter 'moved-lora' does not belong to the base 'base'" in line
    assert "size mismatch" in line


def test_zeroed_adapter_stops_before_any_probe(fmaudit, models, tmp_path, monkeypatch):
    def asked(*_):
        raise AssertionError("a probe was asked")

    monkeypatch.setattr("fmaudit.engines.transformers_engine.TransformersEngine.run", asked)
    line = refused(fmaudit, tmp_path, models / "base", "--adapted", with_adapter(models, "untrained-lora"))
    assert "adapter 'untrained-lora' changes nothing" in line
    assert not (tmp_path / "run").exists()


def test_zeroed_adapter_as_the_installed_command_says_it(models, tmp_path):
    command = [sys.executable, "-m", "fmaudit", "run", str(models / "base"), "--adapted"]
    command += [with_adapter(models, "untrained-lora"), *CROWS, "-o", str(tmp_path / "run")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "adapter 'untrained-lora' changes nothing" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_zeroed_adapter_can_be_allowed_and_the_audit_says_so(fmaudit, models, tmp_path):
    adapted = with_adapter(models, "untrained-lora")
    run = tmp_path / "run"
    outcome = fmaudit("run", models / "base", "--adapted", adapted, *CROWS, "--allow-identical", "-o", run)
    assert outcome.code == 0, outcome.err
    subjects = json.loads((run / "audit.json").read_text())["subjects"]
    assert any("changes nothing" in note for note in subjects[1]["notes"])


def crows_file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return f"crows_pairs={path}"


HEADER = "sent_more,sent_less,stereo_antistereo,bias_type\n"
GOOD = "Girls like tea.,Boys like tea.,stereo,gender\n"
BAD_FILES = {
    "empty file": ("p.csv", b"", "empty file"),
    "header alone": ("p.csv", HEADER, "no rows"),
    "a column too few": ("p.csv", HEADER + GOOD + "Girls like tea.,stereo,gender\n", "line 3"),
    "an open quote": ("p.csv", HEADER + GOOD + GOOD + '"Girls like tea.\n', "line 4"),
    "a missing value": ("p.jsonl", '{"sent_more": null, "sent_less": "b"}\n', "column"),
    "broken JSON": ("p.jsonl", '{"sent_more": "a",\n', "line 1"),
    "no such column": ("p.csv", "text\nGirls like tea.\n", "sent_more"),
    "not UTF-8": ("p.csv", (HEADER + GOOD).encode() + b"Caf\xe9,b,stereo,x\n", "not UTF-8 at byte"),
    "unknown suffix": ("p.xyz", GOOD, ".xyz"),
    "no Parquet": ("p.parquet", b"PAR1 nothing", "not readable as Parquet"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_data_file(fmaudit, models, tmp_path, case):
    name, content, said = BAD_FILES[case]
    line = refused(fmaudit, tmp_path, models / "base", "--data", crows_file(tmp_path, name, content))
    assert name in line
    assert said in line


def test_not_utf8_names_the_line(fmaudit, models, tmp_path):
    name, content, _ = BAD_FILES["not UTF-8"]
    assert "(line 3)" in refused(
        fmaudit, tmp_path, models / "base", "--data", crows_file(tmp_path, name, content)
    )


def test_data_file_that_is_not_there(fmaudit, models, tmp_path):
    line = refused(fmaudit, tmp_path, models / "base", "--data", f"crows_pairs={tmp_path / 'gone.csv'}")
    assert "gone.csv" in line


def test_data_option_of_another_form(fmaudit, models, tmp_path):
    assert "NAME=PATH" in refused(fmaudit, tmp_path, models / "base", "--data", "pairs.csv")


def test_unknown_data_name_lists_the_known_ones(fmaudit, models, two_pairs, tmp_path):
    line = refused(fmaudit, tmp_path, models / "base", "--data", f"crows={two_pairs}")
    assert "--data crows:" in line
    assert "crows_pairs" in line


def test_unknown_probe_names_near_matches(fmaudit, models, tmp_path):
    line = refused(fmaudit, tmp_path, models / "base", probes=("-p", "bias.crow_pairs"))
    assert "unknown probe 'bias.crow_pairs'" in line
    assert "did you mean bias.crows_pairs" in line


def test_unknown_probe_as_the_installed_command_says_it(models, tmp_path):
    command = [sys.executable, "-m", "fmaudit", "run", str(models / "base"), "-p", "toxicity.promted"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("fmaudit: unknown probe 'toxicity.promted': did you mean toxicity.prompted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--dtype", "float12", "float12"), ("--device", "abacus", "abacus"), ("-b", "many", "--batch-tokens")],
)
def test_unknown_option_values(fmaudit, models, tmp_path, option, value, said):
    assert said in refused(fmaudit, tmp_path, models / "base", option, value)


def test_unknown_option_is_a_usage_error(fmaudit, models):
    outcome = fmaudit("run", models / "base", "--no-such-option")
    assert outcome.code == 2
    assert "no-such-option" in outcome.err
    assert "Traceback" not in outcome.err


def test_pickled_weights_are_refused_and_can_be_allowed(fmaudit, copy_of, tmp_path):
    import torch
    from safetensors.torch import load_file

    model = copy_of("base")
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    line = refused(fmaudit, tmp_path, model)
    assert "pytorch_model.bin is a pickle" in line
    assert "--allow-pickle" in line
    outcome = fmaudit("run", model, *CROWS, "--allow-pickle", "-o", tmp_path / "allowed")
    assert outcome.code == 0, outcome.err
    assert "pickled weights were allowed" in (tmp_path / "allowed" / "report" / "report.html").read_text()


def test_remote_code_is_refused_and_does_not_run(fmaudit, copy_of, tmp_path):
    model = copy_of("base")
    mark = tmp_path / "ran"
    (model / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}})
    )
    line = refused(fmaudit, tmp_path, model)
    assert "modeling_own.py" in line
    assert "--allow-remote-code" in line
    assert not mark.exists()


def poison(model, rows):
    """Put NaN into the embedding of these token ids; ``slice(None)`` breaks the whole model."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    tensors["model.embed_tokens.weight"][rows] = float("nan")
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def test_model_that_returns_nan(fmaudit, copy_of, tmp_path):
    model = copy_of("base", "broken")
    poison(model, slice(None))
    line = refused(fmaudit, tmp_path, model)
    assert "model 'broken' answers with NaN or infinity" in line


def measured(run, probe="bias.crows_pairs", dataset="crows_pairs"):
    audit = json.loads((run / "audit.json").read_text())
    (found,) = (
        entry
        for entry in audit["measurements"]
        if entry["probe"] == probe and entry["dataset"] and entry["dataset"]["id"] == dataset
    )
    return found


def test_nan_on_one_text_alone_costs_that_row(fmaudit, copy_of, write_pairs, rows_of, tmp_path):
    from transformers import AutoTokenizer

    model = copy_of("base", "half-broken")
    poison(model, AutoTokenizer.from_pretrained(model).convert_tokens_to_ids("~"))
    pairs = write_pairs([("Girls like tea.", "Boys like tea.", "gender"), ("A ~ b.", "A b.", "gender")])
    run = tmp_path / "run"
    outcome = fmaudit(
        "run", model, "-p", "bias.crows_pairs", "-L", "2", "--data", f"crows_pairs={pairs}", "-o", run
    )
    assert outcome.code == 0, outcome.err
    found = measured(run)
    assert found["coverage"] == 0.5
    (rows,) = (rows for part, rows in rows_of(run).items() if "@crows_pairs" in part)
    assert {row["item_id"]: row["outcome.valid"] for row in rows} == {"pair-00000": True, "pair-00001": False}
    (broken,) = (row for row in rows if row["item_id"] == "pair-00001")
    assert broken["outcome"] is None
    assert broken["outcome.reason"]


def test_prompt_longer_than_the_context(fmaudit, models, write_pairs, rows_of, tmp_path):
    pairs = write_pairs(
        [("Girls like tea. " * 200, "Boys like tea. " * 200, "gender"), ("He sat.", "She sat.", "gender")]
    )
    run = tmp_path / "run"
    outcome = fmaudit(
        "run", models / "base", "-p", "bias.crows_pairs", "--data", f"crows_pairs={pairs}", "-o", run
    )
    assert outcome.code == 0, outcome.err
    assert measured(run)["coverage"] == 0.5
    (rows,) = (rows for part, rows in rows_of(run).items() if "@crows_pairs" in part)
    (long,) = (row for row in rows if row["item_id"] == "pair-00000")
    assert long["outcome"] is None
    assert "context holds 128" in long["outcome.reason"]
    assert "context holds 128" in (run / "report" / "report.html").read_text()
    assert "context holds 128" in outcome.err


def test_interrupted_run_keeps_what_was_measured_and_goes_on(fmaudit, models, tmp_path, rows_of, monkeypatch):
    from fmaudit.evidence.directory import RunDirectory

    arguments = ("run", models / "base", "-p", "bias.crows_pairs", "-o")
    assert fmaudit(*arguments, tmp_path / "whole").code == 0
    write, written = RunDirectory.write_block, []

    def interrupted(self, *block):
        if written:
            raise KeyboardInterrupt
        write(self, *block)
        subject, key, *_ = block
        written.append(self.evidence(subject, key))

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_block", interrupted)
        stopped = fmaudit(*arguments, run)
    assert stopped.code == 4
    assert "interrupted" in stopped.complaint
    assert "the same command continues" in stopped.complaint
    (part,) = written[0].glob("*.parquet")
    kept = part.read_bytes(), part.stat().st_mtime_ns
    assert not (run / "audit.json").exists()

    resumed = fmaudit(*arguments, run)
    assert resumed.code == 0, resumed.err
    assert (part.read_bytes(), part.stat().st_mtime_ns) == kept
    assert rows_of(run) == rows_of(tmp_path / "whole")
    assert (run / "audit.json").read_bytes() == (tmp_path / "whole" / "audit.json").read_bytes()


def test_full_disk_keeps_what_was_measured_and_goes_on(fmaudit, models, tmp_path, rows_of, monkeypatch):
    arguments = ("run", models / "base", "-p", "bias.crows_pairs", "-o")
    run = tmp_path / "run"

    def full(descriptor):
        if len(list(run.rglob("*.parquet"))) >= 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("fmaudit.evidence.atomic.os.fsync", full)
        stopped = fmaudit(*arguments, run)
    assert stopped.code == 4
    assert "no space left" in stopped.complaint
    assert len(rows_of(run)) == 1
    assert fmaudit(*arguments, run).code == 0
    assert len(rows_of(run)) > 1


def test_another_command_in_the_same_folder_is_refused(fmaudit, models, tmp_path, rows_of):
    run = tmp_path / "run"
    assert fmaudit("run", models / "base", *CROWS, "-o", run).code == 0
    before = rows_of(run)
    other = fmaudit("run", models / "other", *CROWS, "-o", run)
    assert other.code == 2
    assert "holds another audit" in other.complaint
    assert rows_of(run) == before


def test_folder_with_other_things_in_it_is_refused(fmaudit, models, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    outcome = fmaudit("run", models / "base", *CROWS, "-o", mine)
    assert outcome.code == 2
    assert "not empty" in outcome.complaint
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]


def test_nothing_evaluated_is_exit_code_5(fmaudit, models, tmp_path):
    outcome = fmaudit("run", models / "classifier", *CROWS, "-o", tmp_path / "run")
    assert outcome.code == 5
    assert "nothing could be measured" in outcome.complaint


@pytest.mark.parametrize("command", [["show"], ["report"], ["rows"], ["gate"]])
def test_commands_on_a_folder_without_a_run(fmaudit, tmp_path, command):
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "schema: fmaudit/policy/1\nid: p\n"
        "rules: [{id: r, metric: bias.crows_pairs/pct_stereotype, within: 0.5}]\n"
    )
    more = {"rows": ["bias.crows_pairs"], "gate": ["--policy", policy]}.get(command[0], [])
    outcome = fmaudit(*command, tmp_path / "nothing", *more)
    assert outcome.code == 2
    assert "nothing" in outcome.complaint
