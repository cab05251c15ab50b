"""``fmaudit pack`` and ``fmaudit verify`` as a user sees them: lines, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from fmaudit.pack import verify as verifying
from tests.pack.pack_attacks import files_of, rebag, the_file
from tests.pack.pack_runs import SECRET

UNSIGNED = (
    "fmaudit: the pack is unsigned: whoever changes it can also change its checksums; sign it with --key"
)


@pytest.fixture
def private(key_files):
    return key_files["ed25519"][0]


@pytest.fixture
def public(key_files):
    return key_files["ed25519"][1]


@pytest.mark.parametrize("command", ["pack", "verify"])
def test_help(fmaudit, command):
    done = fmaudit(command, "--help")
    assert (done.code, done.err) == (0, "")
    for option in ("--key", "--json", "--hash-key", "--model SUBJECT=DIR"):
        assert option in done.out
    assert fmaudit(command).code == 2  # Nothing given: the help, as an error.
    assert command in fmaudit("--help").out


def test_help_says_what_each_exit_code_means(fmaudit):
    text = " ".join(fmaudit("verify", "--help").out.split())
    for line in ("0 everything agrees", "1 something was changed", "2 the request is wrong",
                 "3 everything agrees and no signature was checked", "4 a file cannot be read"):  # fmt: skip
        assert line in text


def test_pack_verify_and_prove(fmaudit, run, tmp_path, private, public, signing):
    shown, kept = tmp_path / "shown", tmp_path / "kept"
    done = fmaudit("pack", run, "-o", shown, "--key", private)
    assert (done.code, done.out) == (0, f"{shown}\n")
    assert done.complaint == (
        "fmaudit: the key of the keyed hashes is in shown.hash-key: keep it, and never publish it"
    )
    assert (tmp_path / "shown.hash-key").stat().st_mode & 0o777 == 0o600
    done = fmaudit("pack", run, "-o", kept, "--restricted", "--key", private)
    assert (done.code, done.out, done.err) == (0, f"{kept}\n", "")
    done = fmaudit("verify", shown, "--key", public)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "policy pack-test: pass\n"
        f"shown: public pack, {len(files_of(shown))} files agree; "
        f"signed with key {signing['ed25519'].key_id}, signature verified\n"
    )
    proof = ("--against", kept, "--hash-key", tmp_path / "shown.hash-key")
    done = fmaudit("verify", shown, "--key", public, *proof)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("kept: holds every text that was taken out\n")
    done = fmaudit("verify", shown, "--key", public, *proof, "--json")
    assert json.loads(done.out)["proof"] is True


def test_an_unsigned_pack_says_so_everywhere(fmaudit, run, tmp_path, public):
    done = fmaudit("pack", run, "-o", tmp_path / "pack", "--restricted")
    assert (done.code, done.complaint) == (0, UNSIGNED)
    assert "none, this pack is unsigned" in (tmp_path / "pack/bag-info.txt").read_text()
    done = fmaudit("verify", tmp_path / "pack")
    assert (done.code, done.err) == (3, "")
    assert done.out.endswith("files agree; unsigned: nobody answers for it\n")
    done = fmaudit("verify", tmp_path / "pack", "--key", public)
    assert (done.code, done.out) == (1, "")
    assert "data/attestations/pack.intoto.json: is not signed" in done.err
    assert json.loads(fmaudit("verify", tmp_path / "pack", "--json").out)["signature"] == "unsigned"


def test_a_signed_pack_without_the_key_is_not_called_verified(fmaudit, packs):
    done = fmaudit("verify", packs["restricted"])
    assert (done.code, done.err) == (3, "")
    assert done.out.endswith("signature not checked: give --key\n")


def test_another_key_names_every_statement(fmaudit, packs, key_files):
    done = fmaudit("verify", packs["restricted"], "--key", key_files["other"][1])
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert lines[-1] == "fmaudit: restricted does not verify"
    names = {line.split(": ")[1] for line in lines[:-1]}
    assert names == {name for name in files_of(packs["restricted"]) if "/attestations/" in name}
    assert all("is signed with key" in line and "not with the given" in line for line in lines[:-1])


CHANGED = ["data/audit.json", "data/gate/*.policy.yaml", "data/report/report.html", "data/gate/*.json",
           "data/attestations/pack.dsse.json", "data/attestations/*.scai.dsse.json",
           "data/evidence/base/bias*/part-00000.parquet", "manifest-sha256.txt", "bag-info.txt"]  # fmt: skip


@pytest.mark.parametrize("pattern", CHANGED)
def test_a_changed_file_is_named_and_no_other(fmaudit, copy_of, public, pattern):
    pack = copy_of()
    name = the_file(pack, pattern)
    data = (pack / name).read_bytes()
    (pack / name).write_bytes(data[:9] + bytes([data[9] ^ 1]) + data[10:])
    for key in ((), ("--key", public)):
        done = fmaudit("verify", pack, *key)
        assert (done.code, done.out) == (1, "")
        *lines, last = done.err.splitlines()
        assert {line.split(": ")[1] for line in lines} == {name}
        assert last == "fmaudit: pack does not verify"
        found = json.loads(fmaudit("verify", pack, *key, "--json").out)
        assert (found["exit_code"], {fault["file"] for fault in found["faults"]}) == (1, {name})


def test_a_truncated_pack(fmaudit, copy_of, public):
    pack = copy_of()
    (pack / "tagmanifest-sha256.txt").unlink()
    path = pack / "manifest-sha256.txt"
    path.write_bytes(path.read_bytes()[:-30])
    done = fmaudit("verify", pack, "--key", public)
    assert done.code == 1
    assert "tagmanifest-sha256.txt: is missing: the pack is cut off, or no pack" in done.err
    assert "manifest-sha256.txt: ends in the middle of a line: it is cut off" in done.err


def test_many_faults_are_counted(fmaudit, copy_of):
    pack = copy_of()
    for number in range(30):
        (pack / "data" / f"more-{number:02d}").write_text("x")
    lines = fmaudit("verify", pack).err.splitlines()
    assert lines[-2:] == ["fmaudit: and 10 more", "fmaudit: pack does not verify"]
    assert len(json.loads(fmaudit("verify", pack, "--json").out)["faults"]) == 30


def test_a_clock_in_the_past(fmaudit, packs, public, monkeypatch):
    class Early(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(2020, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(verifying, "datetime", Early)
    done = fmaudit("verify", packs["restricted"], "--key", public)
    assert (done.code, done.out) == (4, "")
    assert done.complaint == (
        "fmaudit: this machine's clock (2020-01-01T00:00:00Z) is before the run ended in data/run.json "
        "(2026-03-01T12:00:30Z): set the clock; if it is right, do not trust the pack"
    )
    found = json.loads(fmaudit("verify", packs["restricted"], "--key", public, "--json").out)
    assert (found["exit_code"], "is before the run ended" in found["clock"]) == (4, True)


def test_json_of_pack(fmaudit, run, tmp_path, private, signing):
    done = fmaudit("pack", run, "-o", tmp_path / "pack", "--key", private, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    content = found.pop("content")
    names = found.pop("statements")
    record = json.loads((tmp_path / "pack/data/redactions.json").read_bytes())
    assert found == {
        "schema": "fmaudit/packed/1",
        "kind": "public",
        "files": sum(name.startswith("data/") for name in files_of(tmp_path / "pack")),
        "signature": f"DSSE, key {signing['ed25519'].key_id}",
        "texts_taken_out": sum(entry["texts"] for entry in record["evidence"]),
        "hash_key": "pack.hash-key",
    }
    assert len(names) == 3
    found = json.loads(fmaudit("verify", tmp_path / "pack", "--json").out)
    assert found == {
        "schema": "fmaudit/verification/1",
        "exit_code": 3,
        "kind": "public",
        "signature": "not checked",
        "key": signing["ed25519"].key_id,
        "content": content,
        "clock": None,
        "gates": [{"policy": "pack-test", "verdict": "pass"}],
        "faults": [],
        "proof": None,
    }


def test_the_passphrase_comes_from_the_environment(fmaudit, run, tmp_path, private, public, monkeypatch):
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", private, "-aes256", "-passout", "pass:sesame", "-out", locked],
        check=True,
        capture_output=True,
    )
    locked.chmod(0o600)
    ask = ("pack", run, "-o", tmp_path / "pack", "--restricted", "--key", locked)
    assert "put its passphrase into FMAUDIT_KEY_PASSPHRASE" in fmaudit(*ask).complaint
    monkeypatch.setenv("FMAUDIT_KEY_PASSPHRASE", "sesame")
    assert fmaudit(*ask).code == 0
    assert fmaudit("verify", tmp_path / "pack", "--key", public).code == 0


def test_the_day_of_packing_comes_from_the_environment(fmaudit, run, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1775001600")
    assert fmaudit("pack", run, "-o", tmp_path / "pack", "--restricted").code == 0
    assert "Bagging-Date: 2026-04-01\n" in (tmp_path / "pack/bag-info.txt").read_text()
    for wrong in ("yesterday", "-1", "1" * 12, "1.5"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        done = fmaudit("pack", run, "-o", tmp_path / "other", "--restricted")
        assert (done.code, "wants whole seconds since 1970" in done.complaint) == (2, True)


def test_wrong_requests(fmaudit, run, packs, tmp_path, private, public):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    new = ("-o", tmp_path / "new")
    for arguments, reason in (
        (("pack", run), "Missing option '-o' / '--output'"),
        (("pack", tmp_path / "nowhere", *new), "nowhere has no run.json: it is not a run directory"),
        (("pack", run, "-o", tmp_path / "full"), "folder full is not empty: choose another with -o"),
        (("pack", run, *new, "--key", public), "is a public key: signing needs the private one"),
        (("pack", run, *new, "--model", "adapted"), "--model wants SUBJECT=DIR, got 'adapted'"),
        (("pack", run, *new, "--model", "a=x", "--model", "a=y"), "--model a is given twice"),
        (("pack", run, *new, "--model", "nobody=x"), "--model nobody: no such subject; this run has"),
        (("pack", run, *new, "--restricted", "--hash-key", "x"), "--hash-key belongs to a public pack"),
        (("verify", tmp_path / "nowhere"), "there is no pack nowhere"),
        (("verify", run), "is no evidence pack"),
        (("verify", packs["public"], "--key", private), "is a private key: give the public one"),
        (("verify", packs["public"], "--hash-key", packs["hash_key"]), "belong together: give both"),
        (("verify", packs["public"], "--model", "nobody=x"), "no such subject; this pack has"),
        (("verify", packs["public"], "--model", "base=nowhere"), "there is no folder or file nowhere"),
    ):
        done = fmaudit(*arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert reason in done.err, done.err
        assert "Traceback" not in done.err
        assert not (tmp_path / "new").exists()


def test_a_proof_that_fails(fmaudit, packs, copy_of, public, tmp_path):
    proof = ("--hash-key", packs["hash_key"], "--key", public)
    broken = copy_of("restricted")
    name = the_file(broken, "data/evidence/base/bias*/part-00000.parquet")
    (broken / name).write_bytes((broken / name).read_bytes() + b" ")
    done = fmaudit("verify", packs["public"], "--against", rebag(broken), *proof)
    assert done.code == 1
    assert f"{name}: was changed" in done.err
    assert "pack is not the pack whose texts were taken out" in done.err
    done = fmaudit("verify", packs["public"], "--against", packs["public"], *proof)
    assert (done.code, "public is no restricted pack" in done.complaint) == (2, True)


def test_what_cannot_be_written_or_read(fmaudit, run, tmp_path, packs, monkeypatch):
    (tmp_path / "file").write_text("x")
    done = fmaudit("pack", run, "-o", tmp_path / "file" / "pack", "--restricted")
    assert (done.code, done.complaint) == (
        2,
        "fmaudit: file is a file and no folder: choose another place with -o",
    )
    done = fmaudit("pack", run, "-o", tmp_path / "pack", "--hash-key", tmp_path / "file" / "key")
    assert (done.code, "cannot write --hash-key key: " in done.complaint) == (4, True)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fmaudit.pack.build.shutil.copyfile", full)
        done = fmaudit("pack", run, "-o", tmp_path / "pack", "--restricted")
    assert done.code == 4
    assert done.complaint == "fmaudit: cannot write pack: No space left on device; choose another with -o"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def broken(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(verifying, "check_files", broken)
    done = fmaudit("verify", packs["public"])
    assert (done.code, "cannot read public: Input/output error; copy it again" in done.complaint) == (4, True)


def test_texts_are_in_no_output(fmaudit, run, tmp_path, private):
    for options in ((), ("--json",)):
        done = fmaudit("pack", run, "-o", tmp_path / f"pack{len(options)}", "--key", private, *options)
        shown = fmaudit("verify", tmp_path / f"pack{len(options)}", *options)
        assert SECRET not in done.out + done.err + shown.out + shown.err


def test_verifying_loads_no_model_library(packs):
    """A pack is checked on a laptop without torch."""
    code = (
        "import sys; from pathlib import Path; from fmaudit.pack.verify import verify_pack\n"
        f"assert not verify_pack(Path({str(packs['public'])!r})).faults\n"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'peft', 'sigstore')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
