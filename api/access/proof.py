"""Proof that a caller speaks for the user it names: a hash or a token that the site's own server made.

Both are made with the source's *identity secret*, which the site's server keeps and no page ever holds. It is
derived from the installation's secret, so it is stored nowhere; while that is rotated the one before holds too.
"""

from __future__ import annotations

import hmac
import math
from typing import Any, NamedTuple

import jwt

from personalization.catalog.duration import DAY_MS
from personalization.key_derivation import Secrets, accepted
from personalization.keyed_hash import hmac_sha256

USER_HASH = "userHash"
USER_TOKEN = "userToken"

MAX_TOKEN_CHARS = 4096
"""Longer than a token with a subject and an expiry ever is."""

_LONGEST_MS = 10 * 365 * DAY_MS
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
        """Whether there is anything to look at; empty text is nothing."""
        return bool(self.user_hash or self.user_token)


NO_PROOF = Proof()


def identity_secret(secrets: Secrets, source: str) -> str:
    """The identity secret of a source, 64 hex digits; its UTF-8 text is the key of hashes and tokens.

    >>> secrets = Secrets(b"s")
    >>> len(identity_secret(secrets, "shop")), identity_secret(secrets, "shop") == identity_secret(secrets, "app")
    (64, False)
    """
    return secrets.key(f"identity/{source}").hex()


def user_hash(identity: str, user_id: str) -> str:
    """What a site's server gives its page as ``userHash``.

    >>> user_hash("secret", "7")[:8]
    '074d7db5'
    """
    return hmac_sha256(identity.encode(), user_id.encode("utf-8", "surrogatepass")).hex()


class Identities:
    """The identity secrets of an installation."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def why_not(self, source: str, user_id: str, proof: Proof, now_ms: int) -> str | None:
        """Why a sender with a key of ``source`` does not speak for a user; None: it proved that it does."""
        current, *before = accepted(self._secrets.key(f"identity/{source}"))
        doubt = why_not(current.hex(), user_id, proof, now_ms)
        if doubt is None or any(why_not(key.hex(), user_id, proof, now_ms) is None for key in before):
            return None
        return doubt


def why_not(identity: str, user_id: str, proof: Proof, now_ms: int) -> str | None:
    """Why ``proof`` does not prove that its sender speaks for ``user_id``, for people; None: it does."""
    if proof.user_token:
        return _why_no_token(identity, user_id, proof.user_token, now_ms)
    if not proof.user_hash:
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
    if isinstance(expires, bool) or not isinstance(expires, int | float) or not math.isfinite(expires):
        return wrong + "has an exp that is no number of seconds since 1970"
    if expires * 1000 > now_ms + _LONGEST_MS:
        return wrong + "expires in more than ten years; exp counts seconds since 1970, not milliseconds"
    if (expires + _LEEWAY_S) * 1000 <= now_ms:
        return wrong + "has expired; make another"
    return None if claims["sub"] == user_id else wrong + "is another user's"
