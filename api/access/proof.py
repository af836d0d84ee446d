"""Proof that a caller speaks for the user it names: a hash or a token that the site's own server made.

Both are made with the source's *identity secret*, which the site's server keeps and no page ever holds. It is
derived from the installation's secret (HKDF, RFC 5869), so that it is stored nowhere.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from personalization.keyed_hash import hmac_sha256

USER_HASH = "userHash"
USER_TOKEN = "userToken"

MAX_TOKEN_CHARS = 4096
"""Longer than a token with a subject and an expiry ever is."""

_SECRET_BYTES = 32
_LEEWAY_S = 30
"""By how much the clock of the site's server may be off."""


class Proof(NamedTuple):
    """What a request shows; nothing of it is stored.

    Attributes
    ----------
    user_hash
        HMAC-SHA256 of the user id under the identity secret, in hex.
    user_token
        A JSON Web Token (RFC 7519, HS256) with ``sub``, the user id, and ``exp``.
    """

    user_hash: str | None = None
    user_token: str | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to look at."""
        return self.user_hash is not None or self.user_token is not None


NO_PROOF = Proof()


@lru_cache(maxsize=1024)
def identity_secret(secret: bytes, source: str) -> str:
    """The identity secret of a source, 64 hex digits; its UTF-8 text is the key of hashes and tokens.

    >>> len(identity_secret(b"s", "shop")), identity_secret(b"s", "shop") == identity_secret(b"s", "app")
    (64, False)
    """
    derived = HKDF(SHA256(), _SECRET_BYTES, salt=None, info=f"nextbest identity {source}".encode())
    return derived.derive(secret).hex()


def user_hash(identity: str, user_id: str) -> str:
    """What a site's server gives its page as ``userHash``.

    >>> user_hash("secret", "7")[:8]
    '074d7db5'
    """
    return hmac_sha256(identity.encode(), user_id.encode("utf-8", "surrogatepass")).hex()


class Identities:
    """The identity secrets of an installation."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def why_not(self, source: str, user_id: str, proof: Proof, now_ms: int) -> str | None:
        """Why a sender with a key of ``source`` does not speak for a user; None: it proved that it does."""
        return why_not(identity_secret(self._secret, source), user_id, proof, now_ms)


def why_not(identity: str, user_id: str, proof: Proof, now_ms: int) -> str | None:
    """Why ``proof`` does not prove that its sender speaks for ``user_id``, for people; None: it does."""
    if proof.user_token is not None:
        return _why_no_token(identity, user_id, proof.user_token, now_ms)
    if proof.user_hash is None:
        return "comes without proof"
    shown = proof.user_hash.strip().lower().encode("utf-8", "replace")
    if hmac.compare_digest(shown, user_hash(identity, user_id).encode()):
        return None
    return f"comes with a {USER_HASH} that is not its HMAC-SHA256 under the source's identity secret"


def _why_no_token(identity: str, user_id: str, token: str, now_ms: int) -> str | None:
    """``exp`` is asked for, and looked at by our clock."""
    wrong = f"comes with a {USER_TOKEN} that "
    if len(token) > MAX_TOKEN_CHARS:
        return wrong + f"is longer than {MAX_TOKEN_CHARS} characters"
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            identity.encode(),
            algorithms=["HS256"],
            options={"require": ["exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                     "verify_aud": False},
        )  # fmt: skip
    except jwt.MissingRequiredClaimError as error:
        return wrong + f"has no {error.claim}"
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return wrong + "is not signed (HS256) with the source's identity secret"
    expires = claims["exp"]
    if isinstance(expires, bool) or not isinstance(expires, int | float) or (expires + _LEEWAY_S) * 1000 <= now_ms:
        return wrong + "has expired; make another"
    return None if claims["sub"] == user_id else wrong + "is another user's"
