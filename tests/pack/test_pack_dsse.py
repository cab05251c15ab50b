"""DSSE envelopes: the encoding of the specification, and other implementations that verify them."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from fmaudit.pack.dsse import PAYLOAD_TYPE, open_envelope, pae, seal
from fmaudit.pack.faults import PackFault

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'


def test_the_encoding_of_the_specification():
    """The example of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md#test-vectors."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("", b"") == b"DSSEv1 0  0 "


@given(st.binary())
def test_an_envelope_gives_back_what_was_put_in(payload):
    class Key:
        key_id = "ab" * 32

        def sign(self, data):
            return hashlib.sha256(data).digest()

    envelope = open_envelope(seal(payload, Key()), "x")
    assert (envelope.payload, envelope.key_id) == (payload, Key.key_id)
    assert envelope.signature == hashlib.sha256(pae(PAYLOAD_TYPE, payload)).digest()


def other_key(public, key_id):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()), key_id)


@pytest.mark.parametrize("name", ["ed25519", "p256"])
def test_securesystemslib_verifies_every_envelope(packs, key_files, signing, name):
    pack = packs["restricted" if name == "ed25519" else "p256"]
    key = other_key(key_files[name][1], signing[name].key_id)
    wrong = other_key(key_files["other"][1], signing[name].key_id)
    paths = sorted((pack / "data/attestations").iterdir())
    assert len(paths) == 3
    for path in paths:
        envelope = OtherEnvelope.from_dict(json.loads(path.read_bytes()))
        assert envelope.payload_type == PAYLOAD_TYPE
        assert set(envelope.verify([key], 1)) == {signing[name].key_id}
        with pytest.raises(VerificationError):
            envelope.verify([wrong], 1)
        envelope.payload += b" "
        with pytest.raises(VerificationError):
            envelope.verify([key], 1)


def test_envelopes_of_securesystemslib_are_read(key_files, trust):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    from fmaudit.canonical import canonical_bytes

    signer = CryptoSigner(load_pem_private_key(key_files["ed25519"][0].read_bytes(), None))
    signer.public_key.keyid = trust["ed25519"].key.key_id
    made = OtherEnvelope(STATEMENT, PAYLOAD_TYPE, {})
    made.sign(signer)
    envelope = open_envelope(canonical_bytes(made.to_dict()), "x")
    assert trust["ed25519"].key.verifies(envelope.signed_bytes, envelope.signature)


@pytest.mark.parametrize("name", ["ed25519", "p256"])
def test_openssl_verifies_the_signature(signing, key_files, tmp_path, name):
    envelope = open_envelope(seal(STATEMENT, signing[name]), "x")
    (tmp_path / "signed").write_bytes(envelope.signed_bytes)
    (tmp_path / "signature").write_bytes(envelope.signature)
    public = key_files[name][1]
    command = {
        "ed25519": [
            "openssl",
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            public,
            "-rawin",
            "-in",
            "signed",
            "-sigfile",
            "signature",
        ],
        "p256": ["openssl", "dgst", "-sha256", "-verify", public, "-signature", "signature", "signed"],
    }[name]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], check=True, capture_output=True
    ).stdout
    assert envelope.key_id == hashlib.sha256(der).hexdigest()


def damaged(**fields):
    plain = {
        "payload": base64.b64encode(STATEMENT).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "ab" * 32, "sig": "c2ln"}],
    }
    return json.dumps(plain | fields, sort_keys=True, separators=(",", ":")).encode()


def test_the_undamaged_one_is_read():
    assert open_envelope(damaged(), "x").signature == b"sig"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (damaged(payloadType="text/plain"), "payload type is not"),
        (damaged(signatures=[]), "no signature, or more than one"),
        (damaged(signatures=[{"keyid": "ab" * 32, "sig": "c2ln"}] * 2), "no signature, or more than one"),
        (damaged(signatures=["x"]), "no signature, or more than one"),
        (damaged(signatures=[{"keyid": "mine", "sig": "c2ln"}]), "keyid is not the SHA-256"),
        (damaged(signatures=[{"sig": "c2ln"}]), "keyid is not the SHA-256"),
        (damaged(payload="%%%"), "not base64"),
        (damaged(payload="c2ln\n"), "not base64"),
        (damaged(payload=7), "not in canonical form"),
        (damaged(more=1), "not in canonical form"),
        (damaged() + b"\n", "not in canonical form"),
        (damaged().replace(b'"payloadType"', b'"payload":"","payloadType"'), "gives the key 'payload' twice"),
        (b"[]", "holds no JSON object"),
        (b"\xff", "is not UTF-8"),
        (b"", "is not JSON"),
    ],
)
def test_what_is_no_envelope(data, reason):
    with pytest.raises(PackFault, match=reason) as caught:
        open_envelope(data, "data/attestations/x")
    assert caught.value.fault.file == "data/attestations/x"
