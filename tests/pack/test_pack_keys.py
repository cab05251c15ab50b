"""Keys in PEM files: what is taken, and one line for what is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fmaudit.errors import UsageError
from fmaudit.pack.keys import load_private_key, load_public_key
from tests.pack.conftest import make_key

MESSAGE = b"statement"


@pytest.mark.parametrize("name", ["ed25519", "p256"])
def test_a_key_verifies_what_its_private_one_signed(signing, trust, name):
    key = trust[name].key
    signature = signing[name].sign(MESSAGE)
    assert (key.key_id, key.algorithm) == (signing[name].key_id, signing[name].algorithm)
    assert key.verifies(MESSAGE, signature)
    assert not key.verifies(MESSAGE + b" ", signature)
    assert not trust["other"].key.verifies(MESSAGE, signature)
    for damaged in (b"", signature[:-1], signature + b"\0", bytes(len(signature))):
        assert not key.verifies(MESSAGE, damaged)


def test_a_signature_has_one_form(signing, trust, key_files, tmp_path):
    """Of a P-256 signature anybody can compute a second; openssl takes it, and here it is a changed byte."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    from fmaudit.pack.keys import _ORDER

    for number in range(20):
        message = MESSAGE + bytes([number])
        r, s = decode_dss_signature(signing["p256"].sign(message))
        assert s <= _ORDER // 2
        second = encode_dss_signature(r, _ORDER - s)
        assert not trust["p256"].key.verifies(message, second)
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(second)
    subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", key_files["p256"][1], "-signature", "signature", "message"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


def test_a_key_does_not_show_itself(signing):
    assert "PRIVATE" not in repr(signing["ed25519"])
    assert "_key" not in repr(signing["ed25519"])


def test_an_encrypted_key(tmp_path, signing):
    private, public = make_key(tmp_path, "plain", "-algorithm", "ed25519")
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", private, "-aes256", "-passout", "pass:open sesame", "-out", locked],
        check=True,
        capture_output=True,
    )
    locked.chmod(0o600)
    assert load_private_key(locked, "open sesame", pytest.fail).key_id == load_public_key(public).key_id
    with pytest.raises(
        UsageError, match=r"locked\.pem is encrypted: put its passphrase into FMAUDIT_KEY_PASSPHRASE"
    ):
        load_private_key(locked, "", pytest.fail)
    with pytest.raises(
        UsageError, match="the passphrase in FMAUDIT_KEY_PASSPHRASE does not open it"
    ) as caught:
        load_private_key(locked, "wrong", pytest.fail)
    assert "wrong" not in str(caught.value)
    # A passphrase in the environment does not stand in the way of a key that has none.
    assert load_private_key(private, "open sesame", pytest.fail)


def test_a_key_in_the_old_form_of_openssl(tmp_path):
    private, public = make_key(tmp_path, "new", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    old = tmp_path / "old.pem"
    subprocess.run(["openssl", "ec", "-in", private, "-out", old], check=True, capture_output=True)
    old.chmod(0o600)
    assert b"BEGIN EC PRIVATE KEY" in old.read_bytes()
    assert load_private_key(old, "", pytest.fail).key_id == load_public_key(public).key_id


def test_a_key_that_others_may_read(tmp_path):
    private, _ = make_key(tmp_path, "mine", "-algorithm", "ed25519")
    private.chmod(0o640)
    notices = []
    load_private_key(private, "", notices.append)
    assert notices == ["others may read mine.pem: chmod 600 it"]


def test_keys_that_are_none(tmp_path, key_files):
    private, public = key_files["ed25519"]
    rsa = make_key(tmp_path, "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    curve = make_key(tmp_path, "curve", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    text, cut = tmp_path / "text.pem", tmp_path / "cut.pem"
    text.write_text("my key")
    cut.write_bytes(private.read_bytes()[:60] + b"\n-----END PRIVATE KEY-----\n")
    for load, path, reason in (
        (_private, public, "is a public key: signing needs the private one"),
        (_private, text, "holds no PEM key; make one with: openssl genpkey"),
        (_private, cut, "cut.pem cannot be read: the file is damaged"),
        (_private, rsa[0], "rsa.pem is of another kind: give an Ed25519 or P-256 key"),
        (_private, curve[0], "curve.pem is on the curve secp384r1: give an Ed25519 or P-256 key"),
        (_private, tmp_path / "nowhere.pem", "cannot read --key nowhere.pem: No such file"),
        (_private, tmp_path, "cannot read --key .*: Is a directory"),
        (load_public_key, private, "is a private key: give the public one"),
        (load_public_key, text, "text.pem is no public key in PEM"),
        (load_public_key, rsa[1], "rsa.pub is of another kind"),
        (load_public_key, curve[1], "curve.pub is on the curve secp384r1"),
        (load_public_key, tmp_path / "nowhere.pem", "cannot read --key nowhere.pem"),
    ):
        with pytest.raises(UsageError, match=reason) as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_without_the_package(monkeypatch, key_files):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for load, path in ((_private, key_files["ed25519"][0]), (load_public_key, key_files["ed25519"][1])):
        with pytest.raises(UsageError, match=r"pip install 'fmaudit\[sign\]'"):
            load(path)


def _private(path):
    return load_private_key(path, "", str)
