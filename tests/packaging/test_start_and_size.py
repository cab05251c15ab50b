import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("fmaudit", "probes", "tests", "benchmarks", "notebooks", "templates")
SUFFIXES = (".py", ".j2", ".html", ".css", ".js")
LIMIT = 400
REASON = "Long because"
HEAVY = {"torch", "transformers", "peft", "sklearn", "scipy", "pandas", "datasets", "matplotlib", "pyarrow"}
HELP = "import sys; from fmaudit.cli import main; sys.argv = ['fmaudit', '--help']; main()"


def help_seconds():
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    return time.perf_counter() - start


def test_help_answers_under_a_second():
    # The least of several: a busy machine slows some starts, never speeds one up.
    seconds = 9.0
    for _ in range(6):
        seconds = min(seconds, help_seconds())
        if seconds < 1:
            return
    pytest.fail(f"fmaudit --help took {seconds:.2f} s")


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", HELP], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line
    }
    assert "click" in imported
    assert not imported & HEAVY


def test_statistics_and_inheritance_import_without_torch():
    code = (
        "import sys, fmaudit.statistics, fmaudit.inheritance, fmaudit.analysis.build, fmaudit.report.write; "
        "print(sorted({'torch', 'transformers', 'peft', 'fmaudit_probes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def long_without_reason(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return len(lines) > LIMIT and REASON not in "\n".join(lines[:5])


def test_no_file_is_long_without_a_reason():
    files = [
        path
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts
    ]
    assert len(files) > 50
    assert not [str(path.relative_to(ROOT)) for path in files if long_without_reason(path)]


def test_long_file_needs_its_reason_at_the_head(tmp_path):
    path = tmp_path / "long.py"
    body = "x = 1\n" * LIMIT
    path.write_text(body)
    assert not long_without_reason(path)
    path.write_text(body + "y = 2\n")
    assert long_without_reason(path)
    path.write_text("# Long because it is a table.\n" + body)
    assert not long_without_reason(path)
