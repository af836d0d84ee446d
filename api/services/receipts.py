"""The signatures of consent receipts: JSON Web Signatures (RFC 7515) that any JOSE library verifies.

Signed with Ed25519 (RFC 8037) by a key that is derived from the installation's secret. The public halves are
published as a JWK set (RFC 7517), the one in force first; while a secret is rotated the one before, or the coming
one, stands there too.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from personalization.key_derivation import accepted
from personalization.visitor.purposes import normal
from personalization.visitor.receipt import Receipt

ALGORITHM = "EdDSA"
MEDIA_TYPE = "consent-receipt+jwt"
"""The ``typ`` of a receipt: no other token of ours is one (RFC 8725, 3.11)."""

GIVEN, REFUSED, WITHDRAWN = "consent_given", "consent_refused", "consent_withdrawn"

MAX_RECEIPT_CHARS = 65_536
"""A receipt of 32 purposes, each described in 300 letters, has 43,000."""

MAX_VERIFIED = 8_192
"""Receipts that each process remembers to have verified, by their hash: a look-up instead of a signature."""

_LEEWAY_MS = 30_000
"""By how much clocks of our own processes may differ."""


class _Key(NamedTuple):
    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    jwk: dict[str, str]


class ReceiptKeys:
    """Signs receipts, and reads those that were signed here.

    Parameters
    ----------
    key
        Of the purpose ``receipts``: 32 bytes, with those it follows.
    """

    def __init__(self, key: bytes) -> None:
        self._keys = [_key(seed) for seed in accepted(key)]
        self._by_kid = {each.kid: each for each in self._keys}
        self._verified: OrderedDict[bytes, tuple[Receipt, int]] = OrderedDict()

    def sign(self, claims: dict[str, Any]) -> str:
        """A receipt in compact form, signed by the key in force."""
        key = self._keys[0]
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid, "typ": MEDIA_TYPE})

    def jwk_set(self) -> dict[str, Any]:
        """The public keys that receipts in force may have been signed by."""
        return {"keys": [each.jwk for each in self._keys]}

    def read(self, token: Any, keys: Collection[str], now_ms: int) -> Receipt | str:
        """The receipt in ``token``, else why it grants nothing, in words for people.

        Parameters
        ----------
        keys
            Those of the visitor it has to be about.
        """
        if not isinstance(token, str):
            return "is no text; send the receipt as it was answered, three parts with dots between them"
        if len(token) > MAX_RECEIPT_CHARS:
            return f"is longer than {MAX_RECEIPT_CHARS} characters, as no receipt is"
        verified = self._of(token)
        if verified is None:
            return _NOT_OURS
        receipt, until_ms = verified
        if now_ms >= until_ms:
            return "has expired; ask the visitor again, and send the receipt of their answer"
        if receipt.at_ms > now_ms + _LEEWAY_MS:
            return "was given in the future by our clock; look at the clocks of the machines of this installation"
        if receipt.key not in keys:
            return "is about another visitor than the request; send the one that this visitor was given"
        return receipt

    def _of(self, token: str) -> tuple[Receipt, int] | None:
        """The receipt in a token that was signed here, and until when it holds; a page sends the same one often."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._verify(token)
            if verified is None:
                return None
            self._verified[digest] = verified
            if len(self._verified) > MAX_VERIFIED:
                self._verified.popitem(last=False)
        return verified

    def _verify(self, token: str) -> tuple[Receipt, int] | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self._by_kid.get(header.get("kid", ""))
            if key is None or header.get("typ") != MEDIA_TYPE:
                return None
            claims = jwt.decode(token, key.public, algorithms=[ALGORITHM], options=_ONLY_SIGNATURE)
            return _receipt(claims), int(claims["exp"] * 1000)
        except (jwt.InvalidTokenError, LookupError, TypeError, ValueError, RecursionError):
            return None


_NOT_OURS = (
    "is not signed with a key of this installation (GET /v1/consent/keys lists them); send it as it was answered"
)

_ONLY_SIGNATURE: Any = {
    "require": ["exp", "jti", "sub"],
    "verify_exp": False,  # by our clock, below
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


def _receipt(claims: dict[str, Any]) -> Receipt:
    events = claims["events"]
    given = {normal(event["purpose"]): event["event_state"] == GIVEN for event in events}
    times_ms = [round(datetime.fromisoformat(event["event_time"]).timestamp() * 1000) for event in events]
    return Receipt(claims["jti"], claims["sub"], given, min(times_ms), claims.get("verified") is True)


def _key(seed: bytes) -> _Key:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    x = _text(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    needed = {"crv": "Ed25519", "kty": "OKP", "x": x}
    # RFC 7638: the members a key needs, in the order of their names, without blanks.
    kid = _text(hashlib.sha256(orjson.dumps(needed, option=orjson.OPT_SORT_KEYS)).digest())
    return _Key(kid, private, public, {**needed, "alg": ALGORITHM, "use": "sig", "kid": kid})


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
