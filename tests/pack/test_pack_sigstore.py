"""Keyless signatures, as far as they can be tested without Sigstore's servers: its library has a stand-in.

Not run: signing with a real identity, and verifying a real bundle.
"""

from __future__ import annotations

import base64
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from fmaudit.errors import ExecutionError, ExitCode, UsageError
from fmaudit.pack.build import PackOptions, build_pack
from fmaudit.pack.dsse import PAYLOAD_TYPE
from fmaudit.pack.sigstore_signing import keyless_signer, keyless_verifier
from fmaudit.pack.verify import Trust, verify_pack
from tests.pack.pack_attacks import files_of, rebag

PARTS = ("dsse", "errors", "models", "oidc", "sign", "verify", "verify.policy")
MODULES = ("sigstore", *(f"sigstore.{part}" for part in PARTS))


def bundle_of(statement: bytes, **fields) -> str:
    """A bundle as Sigstore lays it out, around a statement; its signature is none."""
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [],
    }
    return json.dumps(
        {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope | fields}
    )


def sign(statements):
    return [bundle_of(statement) for statement in statements]


def accept(bundle):
    return base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])


def refuse(bundle):
    raise ValueError("certificate's SANs do not match")


@pytest.fixture
def keyless(run, tmp_path):
    return build_pack(run, tmp_path / "keyless", PackOptions(restricted=True, keyless=sign), str)


def test_statements_are_signed_together(run, packs, tmp_path):
    asked = []

    def signer(statements):
        asked.append(statements)
        return sign(statements)

    build_pack(run, tmp_path / "pack", PackOptions(restricted=True, keyless=signer), str)
    ((first, second, own),) = asked
    assert json.loads(own)["predicateType"] == "urn:fmaudit:attestation:pack:1"
    # One log-in; each bundle lies under the name of its statement.
    folder = tmp_path / "pack/data/attestations"
    found = {path.name: accept(path.read_bytes()) for path in folder.iterdir()}
    assert sorted(found.values()) == sorted((first, second, own))
    assert all(name.endswith(".sigstore.json") for name in found)
    assert found["pack.sigstore.json"] == own


def test_a_pack_signed_through_sigstore(keyless):
    assert keyless.signature == "Sigstore"
    assert "Fmaudit-Signature: Sigstore\n" in (keyless.path / "bag-info.txt").read_text()
    found = verify_pack(keyless.path)
    assert (found.exit_code, found.signature) == (ExitCode.INCONCLUSIVE, "not checked")
    found = verify_pack(keyless.path, Trust(keyless=accept))
    assert (found.exit_code, found.signature, found.key_id) == (ExitCode.PASS, "verified", "")


def test_an_identity_that_did_not_sign(keyless):
    found = verify_pack(keyless.path, Trust(keyless=refuse))
    assert {fault.file for fault in found.faults} == {
        name for name in files_of(keyless.path) if "/attestations/" in name
    }
    assert found.faults[0].text == "Sigstore does not verify it: certificate's SANs do not match"


def test_both_forms_in_one_pack(run, tmp_path, signing, trust):
    options = PackOptions(restricted=True, key=signing["ed25519"], keyless=sign)
    pack = build_pack(run, tmp_path / "both", options, str).path
    assert len(list((pack / "data/attestations").iterdir())) == 6
    for held in (trust["ed25519"], Trust(keyless=accept), Trust(trust["ed25519"].key, accept)):
        assert verify_pack(pack, held).exit_code is ExitCode.PASS
    # Given both, both have to be right.
    for held in (Trust(trust["ed25519"].key, refuse), Trust(trust["other"].key, accept)):
        assert verify_pack(pack, held).exit_code is ExitCode.GATE_FAILED
    (pack / "data/attestations/pack.sigstore.json").unlink()
    assert verify_pack(rebag(pack), trust["ed25519"]).exit_code is ExitCode.GATE_FAILED


def test_what_was_not_signed_in_the_form_that_is_asked_for(keyless, packs, trust):
    (fault,) = verify_pack(keyless.path, trust["ed25519"]).faults
    assert "holds no signature with a key, only Sigstore's: give the identity" in fault.text
    (fault,) = verify_pack(packs["restricted"], Trust(keyless=accept)).faults
    assert "holds no Sigstore bundle, only signatures with a key: give --key" in fault.text


def test_a_bundle_around_another_statement(keyless):
    path = keyless.path / "data/attestations/pack.sigstore.json"
    statement = accept(path.read_bytes())
    (fault,) = verify_pack(keyless.path, Trust(keyless=lambda bundle: statement)).faults[:1]
    assert "its bundle holds another statement than the one that is signed" in fault.text
    path.write_text(bundle_of(statement.replace(b'"kind":"restricted"', b'"kind":"public"')))
    assert verify_pack(rebag(keyless.path), Trust(keyless=accept)).exit_code is ExitCode.GATE_FAILED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "is no Sigstore bundle"),
        ('{"dsseEnvelope": 1}', "is no Sigstore bundle"),
        (bundle_of(b"{}", payloadType="text/plain"), "is no Sigstore bundle"),
        (bundle_of(b"{}", payload="%"), "its payload is not base64"),
        ("[", "is not JSON"),
    ],
)
def test_bundles_that_are_none(keyless, text, reason):
    name = "data/attestations/pack.sigstore.json"
    (keyless.path / name).write_text(text)
    found = verify_pack(rebag(keyless.path), Trust(keyless=accept))
    assert any(fault.file == name and reason in fault.text for fault in found.faults)


def test_without_the_package_one_line_says_what_to_install(monkeypatch, fmaudit, run, packs, tmp_path):
    monkeypatch.setitem(sys.modules, "sigstore", None)
    for name in MODULES[1:]:
        monkeypatch.setitem(sys.modules, name, None)
    for ask in (keyless_signer, lambda: keyless_verifier("me@example.org", "https://example.org")):
        with pytest.raises(
            UsageError, match=r"needs the package sigstore: pip install 'fmaudit\[sigstore\]'"
        ):
            ask()
    done = fmaudit("pack", run, "-o", tmp_path / "pack", "--restricted", "--sigstore")
    assert done.code == 2
    assert done.complaint == "fmaudit: --sigstore needs the package sigstore: pip install 'fmaudit[sigstore]'"
    assert not (tmp_path / "pack").exists()
    identity = ("--sigstore-identity", "me@example.org", "--sigstore-issuer", "https://example.org")
    assert fmaudit("verify", packs["restricted"], *identity).code == 2


class Library:
    """Stands in for sigstore 4: the names and calls of its public interface, answers that a test sets."""

    def __init__(self, monkeypatch):
        self.failure = None
        self.found = "token of the job"
        self.payload_type = PAYLOAD_TYPE
        self.offline = None
        self.identities = []
        modules = {name: ModuleType(name) for name in MODULES}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        self.error = modules["sigstore.errors"].Error = type("Error", (Exception,), {})
        modules["sigstore.dsse"].Statement = bytes
        modules["sigstore.oidc"].detect_credential = lambda: self.found
        modules["sigstore.oidc"].IdentityToken = lambda token: ("token", token)
        modules["sigstore.oidc"].Issuer = lambda url: SimpleNamespace(identity_token=lambda: ("log-in", url))
        config = SimpleNamespace(
            signing_config=SimpleNamespace(get_oidc_url=lambda: "https://oidc.example.org")
        )
        modules["sigstore.models"].ClientTrustConfig = SimpleNamespace(production=lambda: config)
        modules["sigstore.models"].Bundle = SimpleNamespace(from_json=self.parse)
        modules["sigstore.sign"].SigningContext = SimpleNamespace(from_trust_config=lambda config: self)
        modules["sigstore.verify"].Verifier = SimpleNamespace(production=self.production)
        modules["sigstore.verify.policy"].Identity = lambda *, identity, issuer: (identity, issuer)

    def fail(self):
        if self.failure:
            raise self.failure

    def signer(self, identity, *, cache):
        self.identities.append((identity, cache))
        self.fail()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        return None

    def sign_dsse(self, statement):
        return SimpleNamespace(to_json=lambda: bundle_of(statement))

    def production(self, *, offline):
        self.offline = offline
        return self

    def parse(self, data):
        self.fail()
        return data

    def verify_dsse(self, bundle, policy):
        if policy != ("me@example.org", "https://example.org"):
            raise self.error("Certificate's issuer does not match\nand more")
        return self.payload_type, accept(bundle)


@pytest.fixture
def library(monkeypatch):
    return Library(monkeypatch)


def test_signing_and_verifying_on_the_command_line(library, fmaudit, run, tmp_path):
    pack = tmp_path / "pack"
    done = fmaudit("pack", run, "-o", pack, "--restricted", "--sigstore", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["signature"] == "Sigstore"
    assert library.identities == [(("token", "token of the job"), True)]
    identity = ("--sigstore-identity", "me@example.org", "--sigstore-issuer")
    done = fmaudit("verify", pack, *identity, "https://example.org")
    assert done.code == 0, done.err
    assert "signed through Sigstore, signature verified" in done.out
    assert library.offline is True
    done = fmaudit("verify", pack, *identity, "https://example.com")
    assert done.code == 1
    assert "Sigstore does not verify it: Certificate's issuer does not match\n" in done.err
    assert "give --sigstore-identity and --sigstore-issuer" in fmaudit("verify", pack).out
    assert fmaudit("verify", pack, "--sigstore-identity", "me@example.org").code == 2


def test_outside_of_a_job_somebody_logs_in(library):
    library.found = None
    keyless_signer()([b"{}"])
    assert library.identities == [(("log-in", "https://oidc.example.org"), True)]


def test_no_network_is_one_line_and_no_pack(library, fmaudit, run, tmp_path):
    library.failure = ConnectionError("cannot reach the server\nat all")
    with pytest.raises(ExecutionError, match="it needs network and an identity"):
        keyless_signer()([b"{}"])
    done = fmaudit("pack", run, "-o", tmp_path / "pack", "--restricted", "--sigstore")
    assert done.code == 4
    assert (
        "Sigstore could not sign (ConnectionError: cannot reach the server): it needs network"
        in done.complaint
    )
    assert not (tmp_path / "pack").exists()


def test_a_bundle_of_another_payload_or_none(library):
    verify = keyless_verifier("me@example.org", "https://example.org")
    assert verify(bundle_of(b"{}").encode()) == b"{}"
    library.payload_type = "text/plain"
    with pytest.raises(ValueError, match="its payload type is not application"):
        verify(bundle_of(b"{}").encode())
    library.failure = library.error("not a bundle\nat all")
    with pytest.raises(ValueError, match=r"^not a bundle$"):
        verify(b"x")
