"""Keyless signatures through Sigstore. Signing needs the network; verifying uses the trust root that ships.

API: sigstore-python 4, ``sigstore.sign``, ``sigstore.verify``: https://sigstore.github.io/sigstore-python/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.pack.dsse import PAYLOAD_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MISSING = "--sigstore needs the package sigstore: pip install 'fmaudit[sigstore]'"


def keyless_signer() -> Callable[[Sequence[bytes]], list[str]]:
    """A function from statements to bundles, signed for the identity of this job.

    The identity is that of the CI job where the platform offers one, else an interactive log-in. It, and
    the digests of the statements, become public in Sigstore's log for good.

    Raises UsageError where ``sigstore`` is not installed. The function raises ExecutionError where there is
    no identity or no network.
    """
    try:
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken, Issuer, detect_credential
        from sigstore.sign import SigningContext
    except ImportError:
        raise UsageError(_MISSING) from None

    def sign(statements: Sequence[bytes]) -> list[str]:
        try:
            trust = ClientTrustConfig.production()
            context = SigningContext.from_trust_config(trust)
            found = detect_credential()
            issuer = trust.signing_config.get_oidc_url()
            identity = IdentityToken(found) if found else Issuer(issuer).identity_token()
            with context.signer(identity, cache=True) as signer:
                return [str(signer.sign_dsse(Statement(one)).to_json()) for one in statements]
        except Exception as error:  # Its own errors, those of its HTTP client, and of OpenID providers.
            raise ExecutionError(
                f"Sigstore could not sign ({type(error).__name__}: {_first_line(error)}): it needs network "
                "and an identity; sign with --key instead, or repeat"
            ) from error

    return sign


def keyless_verifier(identity: str, issuer: str) -> Callable[[bytes], bytes]:
    """A verifier of bundles that ``identity``, vouched for by ``issuer``, signed. Uses no network.

    Args:
        identity: E-mail address, or URI of the workflow.
        issuer: URL of the OpenID provider.

    Raises UsageError where ``sigstore`` is not installed. The verifier raises ValueError with the reason.
    """
    try:
        from sigstore.errors import Error
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ImportError:
        raise UsageError(_MISSING) from None
    verifier = Verifier.production(offline=True)
    expected = Identity(identity=identity, issuer=issuer)

    def verify(bundle: bytes) -> bytes:
        try:
            kind, payload = verifier.verify_dsse(Bundle.from_json(bundle), expected)
        except (Error, ValueError) as error:
            raise ValueError(_first_line(error)) from None
        if kind != PAYLOAD_TYPE:
            raise ValueError(f"its payload type is not {PAYLOAD_TYPE}")
        return bytes(payload)

    return verify


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]
