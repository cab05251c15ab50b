"""Ed25519 and P-256 keys in PEM files, as openssl writes them."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fmaudit.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PASSPHRASE_VARIABLE = "FMAUDIT_KEY_PASSPHRASE"
Algorithm = Literal["Ed25519", "ECDSA P-256 SHA-256"]
_MAX_PEM = 1 << 16
_WANTED = "give an Ed25519 or P-256 key"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SEC 2, 2.4.2). With (r, s) the pair (r, order - s) verifies as well."""


@dataclass(frozen=True)
class SigningKey:
    """A private key. ``key_id``: hex SHA-256 of its public key as DER (SubjectPublicKeyInfo)."""

    algorithm: Algorithm
    key_id: str
    _key: Ed25519PrivateKey | EllipticCurvePrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``: raw for Ed25519, DER with the lower s for P-256.

        Repeatable where OpenSSL can.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(data)
        try:
            return _lower(self._key.sign(data, ECDSA(SHA256(), deterministic_signing=True)))
        except UnsupportedAlgorithm:  # OpenSSL before 3.2 draws a fresh number for each signature.
            return _lower(self._key.sign(data, ECDSA(SHA256())))


@dataclass(frozen=True)
class VerifyingKey:
    """A public key."""

    algorithm: Algorithm
    key_id: str
    _key: Ed25519PublicKey | EllipticCurvePublicKey = field(repr=False)

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's of ``data``, in the one form in which it is written here."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ECDSA(SHA256()))
                # Otherwise anybody could write a second signature from the first.
                return signature == _lower(signature)
        except InvalidSignature:
            return False
        return True


def load_private_key(path: Path, passphrase: str, notice: Callable[[str], None]) -> SigningKey:
    """Read a private key.

    Args:
        path: PEM file, PKCS#8 or SEC1.
        passphrase: Of an encrypted key; empty where there is none.
        notice: Told when others than its owner may read the file.

    Raises:
        UsageError: ``cryptography`` is missing; no such file, no key, another kind of key, or no
            passphrase that opens it.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    if b"PRIVATE KEY-----" not in data:
        what = (
            "is a public key: signing needs the private one"
            if b"PUBLIC KEY-----" in data
            else "holds no PEM key"
        )
        raise UsageError(
            f"--key {path.name} {what}; make one with: openssl genpkey -algorithm ed25519 -out {path.name}"
        )
    encrypted = b"ENCRYPTED" in data
    if encrypted and not passphrase:
        raise UsageError(f"--key {path.name} is encrypted: put its passphrase into {PASSPHRASE_VARIABLE}")
    try:
        key = load_pem_private_key(data, passphrase.encode() if encrypted else None)
    except (ValueError, TypeError):
        hint = (
            f"the passphrase in {PASSPHRASE_VARIABLE} does not open it"
            if encrypted
            else "the file is damaged"
        )
        raise UsageError(f"--key {path.name} cannot be read: {hint}") from None
    except Exception as error:  # cryptography has a class of its own for each kind of key it does not know.
        raise UsageError(f"--key {path.name} cannot be read ({type(error).__name__}): {_WANTED}") from None
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise UsageError(f"--key {path.name} is of another kind: {_WANTED}")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notice(f"others may read {path.name}: chmod 600 it")
    algorithm, key_id = _described(key.public_key(), path)
    return SigningKey(algorithm, key_id, key)


def load_public_key(path: Path) -> VerifyingKey:
    """Read a public key from a PEM file.

    Raises UsageError where ``cryptography`` is missing, and for no such file, no key or another kind of key.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    if b"PRIVATE KEY-----" in data:
        raise UsageError(
            f"--key {path.name} is a private key: give the public one (openssl pkey -in {path.name} -pubout)"
        )
    try:
        key = load_pem_public_key(data)
    except Exception as error:  # As above; a file that is no PEM is a ValueError.
        raise UsageError(
            f"--key {path.name} is no public key in PEM ({type(error).__name__}): {_WANTED}"
        ) from None
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise UsageError(f"--key {path.name} is of another kind: {_WANTED}")
    algorithm, key_id = _described(key, path)
    return VerifyingKey(algorithm, key_id, key)


def _described(key: Ed25519PublicKey | EllipticCurvePublicKey, path: Path) -> tuple[Algorithm, str]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, EllipticCurvePublicKey) and key.curve.name != "secp256r1":
        raise UsageError(f"--key {path.name} is on the curve {key.curve.name}: {_WANTED}")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    elliptic = isinstance(key, EllipticCurvePublicKey)
    return ("ECDSA P-256 SHA-256" if elliptic else "Ed25519"), hashlib.sha256(der).hexdigest()


def _lower(signature: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _ORDER - s))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_PEM)
    except OSError as error:
        raise UsageError(
            f"cannot read --key {path.name}: {error.strerror or error}; check the path"
        ) from None


def _require() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise UsageError("signatures need the package cryptography: pip install 'fmaudit[sign]'") from None
