"""The script of docs/evidence-pack.md: a pack checked by bash, coreutils, openssl and Python's library."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pack.pack_attacks import change, files_of, rebag, statement_of, the_file

ROOT = Path(__file__).parents[2]
SCRIPT = re.compile(r"^```bash\n(#!/usr/bin/env bash\n.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    (text,) = SCRIPT.findall((ROOT / "docs" / "evidence-pack.md").read_text(encoding="utf-8"))
    assert "fmaudit" not in text
    script = tmp_path_factory.mktemp("script") / "verify-pack.sh"
    script.write_text(text, encoding="utf-8")

    def run(pack, key):
        # Python without its packages: the script may not lean on what happens to be installed.
        binaries = script.parent / "bin"
        binaries.mkdir(exist_ok=True)
        python = binaries / "python3"
        if not python.exists():
            python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
            python.chmod(0o755)
        environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(script.parent)}
        return subprocess.run(
            ["bash", script, pack, key], capture_output=True, text=True, check=False, env=environment
        )

    return run


@pytest.mark.parametrize(
    ("pack", "key"), [("public", "ed25519"), ("restricted", "ed25519"), ("p256", "p256")]
)
def test_a_pack_verifies(check, packs, key_files, pack, key):
    done = check(packs[pack], key_files[key][1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("OK: every file is the one that the holder of the key signed\n")
    assert "WARNED" in done.stdout
    assert done.stderr == ""


def test_another_key_does_not(check, packs, key_files):
    for pack, key in (("public", "other"), ("public", "p256"), ("p256", "ed25519")):
        done = check(packs[pack], key_files[key][1])
        assert done.returncode == 1
        assert "is not signed with" in done.stderr


def test_an_unsigned_pack_does_not(check, packs, key_files):
    done = check(packs["unsigned"], key_files["ed25519"][1])
    assert done.returncode == 1
    assert "is not signed with a key" in done.stderr


def test_every_changed_file_is_found(check, copy_of, key_files):
    pack = copy_of()
    for name in files_of(pack):
        data = (pack / name).read_bytes()
        (pack / name).write_bytes(bytes([data[0] ^ 1]) + data[1:])
        done = check(pack, key_files["ed25519"][1])
        assert done.returncode == 1, name
        assert name in done.stderr + done.stdout
        (pack / name).write_bytes(data)
    assert check(pack, key_files["ed25519"][1]).returncode == 0


@pytest.mark.parametrize(
    "pattern",
    [
        "data/audit.json",
        "data/gate/*.policy.yaml",
        "data/report/report.html",
        "data/evidence/base/bias*/part-00000.parquet",
    ],
)
def test_checksums_written_anew_do_not_help(check, copy_of, key_files, pattern):
    pack = copy_of()
    name = the_file(pack, pattern)
    data = (pack / name).read_bytes()
    (pack / name).write_bytes(data + b" ")
    done = check(rebag(pack), key_files["ed25519"][1])
    assert done.returncode == 1
    assert name in done.stderr + done.stdout


def test_a_statement_left_out_or_put_in_is_found(check, copy_of, packs, key_files):
    pack = copy_of()
    name = the_file(pack, "data/attestations/*.scai.dsse.json")
    kept = (pack / name).read_bytes()
    (pack / name).unlink()
    assert check(rebag(pack), key_files["ed25519"][1]).returncode == 1
    (pack / name).write_bytes(kept)
    assert check(rebag(pack), key_files["ed25519"][1]).returncode == 0
    # Signed by the same key, but of another pack.
    shutil.copy(packs["public"] / name, pack / name)
    done = check(rebag(pack), key_files["ed25519"][1])
    assert done.returncode == 1
    assert "names other statements than there are" in done.stderr


def test_a_file_put_in_or_a_link_is_found(check, copy_of, key_files):
    pack = copy_of()
    (pack / "data" / "more.txt").write_text("more")
    assert "data/more.txt" in check(pack, key_files["ed25519"][1]).stderr
    assert "data/more.txt" in check(rebag(pack), key_files["ed25519"][1]).stderr
    (pack / "data" / "more.txt").unlink()
    rebag(pack)
    (pack / "data" / "link").symlink_to("/etc/hostname")
    assert "data/link" in check(pack, key_files["ed25519"][1]).stderr
    (pack / "data" / "link").unlink()
    (pack / "data" / "nothing in it").mkdir()
    assert "data/nothing in it" in check(pack, key_files["ed25519"][1]).stderr
    (pack / "data" / "nothing in it").rmdir()
    (pack / "fetch.txt").write_text("https://example.org/x 3 data/x\n")
    assert "fetch.txt" in check(pack, key_files["ed25519"][1]).stderr


def test_names_that_lead_out_are_not_read(check, copy_of, key_files):
    pack = copy_of()
    for name in ("../outside", "data/../../outside", "/etc/hostname", "data/a%0Ab"):
        manifest = pack / "manifest-sha256.txt"
        kept = manifest.read_text()
        manifest.write_text(kept + f"{'0' * 64}  {name}\n")
        done = check(pack, key_files["ed25519"][1])
        assert done.returncode == 1
        assert "manifest-sha256.txt, line" in done.stderr
        manifest.write_text(kept)


def test_a_record_that_was_touched_up_is_found(check, copy_of, key_files):
    pack = copy_of()
    change(pack, the_file(pack, "data/gate/*.json"), b'"verdict":"fail"', b'"verdict":"pass"')
    assert check(pack, key_files["ed25519"][1]).returncode == 1


def test_lines_of_the_manifest_give_the_digests_that_statements_name(packs):
    pack = packs["public"]
    scai = statement_of(pack, Path(the_file(pack, "data/attestations/*.scai.dsse.json")).name)

    def digest_of(command):
        done = subprocess.run(["bash", "-c", command], cwd=pack, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]

    content = digest_of("grep -v '  data/attestations/' manifest-sha256.txt | sha256sum")
    assert content == scai["subject"][-1]["digest"]["sha256"]
    for attribute in scai["predicate"]["attributes"]:
        evidence = attribute["evidence"]
        folders = " ".join(f"-e '  {folder}'" for folder in evidence["annotations"]["folders"])
        assert digest_of(f"grep -F {folders} manifest-sha256.txt | sha256sum") == evidence["digest"]["sha256"]
