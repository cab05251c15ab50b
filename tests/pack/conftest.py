"""A run, keys and packs of it, made once; copies to be damaged."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.keys import load_private_key, load_public_key
from fmaudit.pack.verify import Trust
from tests.pack.pack_runs import write_run


def make_key(folder, name, *options):
    """A private key and its public one, made by openssl; their paths."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", *options, "-out", private], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True
    )
    private.chmod(0o600)
    return private, public


@pytest.fixture(scope="session")
def key_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    return {
        "ed25519": make_key(folder, "ed25519", "-algorithm", "ed25519"),
        "p256": make_key(folder, "p256", *curve),
        "other": make_key(folder, "other", "-algorithm", "ed25519"),
    }


@pytest.fixture(scope="session")
def signing(key_files):
    return {name: load_private_key(private, "", pytest.fail) for name, (private, _) in key_files.items()}


@pytest.fixture(scope="session")
def trust(key_files):
    return {name: Trust(load_public_key(public)) for name, (_, public) in key_files.items()}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "tuned", reveal=True)


@pytest.fixture(scope="session")
def packs(run, signing, tmp_path_factory):
    """Packs by name: ``public`` and ``restricted`` signed with Ed25519, ``p256``, ``unsigned``."""
    folder = tmp_path_factory.mktemp("packs")
    hash_key = folder / "hash-key"
    options = {
        "public": PackOptions(key=signing["ed25519"], hash_key=hash_key),
        "restricted": PackOptions(restricted=True, key=signing["ed25519"]),
        "p256": PackOptions(restricted=True, key=signing["p256"]),
        "unsigned": PackOptions(restricted=True),
    }
    made = {name: build_pack(run, folder / name, chosen, str).path for name, chosen in options.items()}
    return made | {"hash_key": hash_key}


@pytest.fixture
def copy_of(packs, tmp_path):
    """A pack copied, to be damaged."""

    def copy(name="restricted", to="pack"):
        return shutil.copytree(packs[name], tmp_path / to)

    return copy


@pytest.fixture
def run_copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


@pytest.fixture
def fmaudit(monkeypatch):
    """The command line."""
    from tests.end_to_end.conftest import run_command

    return run_command
