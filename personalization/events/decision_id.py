"""Decision ids: they carry the visitor's key, authenticated, so that rewards need no look-up.

``base64url(mac[9] · nonce[9] · key)``: the nonce makes ids unique (or, for a sticky choice, is derived from
what is agreed on), the MAC keeps anyone from writing rewards into another visitor's log.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from personalization.errors import InvalidInput
from personalization.keyed_hash import hmac_sha256

_MAC_BYTES = 9
NONCE_BYTES = 9
"""72 bits: among 10⁹ decisions of one visitor the chance of a collision is 10⁻⁴; and 9 + 9 pack evenly."""

_MAC_CHARS, _NONCE_CHARS = _MAC_BYTES * 4 // 3, NONCE_BYTES * 4 // 3
_LEAST_CHARS = _MAC_CHARS + _NONCE_CHARS


def mint(secret: bytes, key: str, nonce: bytes) -> str:
    """The id of a decision made for ``key``; equal nonces give equal ids."""
    body = nonce + key.encode()
    mac = hmac_sha256(secret, b"decision:" + body)[:_MAC_BYTES]
    return _text(mac + body)


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def derived_nonce(secret: bytes, *parts: str) -> bytes:
    """A nonce that everyone who agrees on ``parts`` arrives at."""
    return hmac_sha256(secret, "\x1f".join(("nonce", *parts)).encode())[:NONCE_BYTES]


def trial_of(decision_id: str) -> str:
    """What the ids of one trial share: their nonce, whichever of the visitor's keys they were made under.

    >>> anonymous, known = (mint(b"s", key, b"123456789") for key in ("a:1", "u:7"))
    >>> trial_of(anonymous) == trial_of(known), anonymous == known
    (True, False)
    """
    return decision_id[_MAC_CHARS : _MAC_CHARS + _NONCE_CHARS] if len(decision_id) > _LEAST_CHARS else decision_id


def key_of(secret: bytes, decision_id: str) -> str:
    """The visitor's key within an id.

    Raises
    ------
    InvalidInput
        Where the id was not made here, or is not letter for letter what was made.

    >>> key_of(b"s", mint(b"s", "u:7", b"123456789"))
    'u:7'
    >>> key_of(b"other", mint(b"s", "u:7", b"123456789"))
    Traceback (most recent call last):
        ...
    personalization.errors.InvalidInput: decisionId: not one of our decision ids; send it back exactly as received
    """
    refusal = InvalidInput("decisionId", "not one of our decision ids; send it back exactly as received")
    try:
        raw = base64.b64decode(decision_id + "=" * (-len(decision_id) % 4), altchars=b"-_", validate=True)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        key = body[NONCE_BYTES:].decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise refusal from None
    expected = hmac_sha256(secret, b"decision:" + body)[:_MAC_BYTES]
    if not key or not hmac.compare_digest(mac, expected):
        raise refusal
    if decision_id != _text(raw):
        raise refusal  # base64 has several texts for the same bytes, and an id names one decision in one way
    return key
