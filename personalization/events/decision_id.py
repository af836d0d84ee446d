"""Decision ids: they carry the visitor's key, sealed, so that rewards need no look-up and nobody else reads it.

``base64url(number[1] · tag[8] · nonce[9] · tag[8] · sealed key)``. The nonce makes ids unique (or, for a sticky
choice, is derived from what is agreed on) and stands in the clear, where the fold, which has no secret, finds it.
The key, filled up to a multiple of 16 bytes, is sealed by AES-SIV (RFC 5297): the same key and nonce give the same
id, and no other id opens. The number tells under which secret it was made.

Releases before wrote ``base64url(mac[9] · nonce[9] · key)``: such ids are still read, and have their nonce in the
same place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from personalization.errors import InvalidInput
from personalization.key_derivation import accepted, whole_secrets
from personalization.keyed_hash import hmac_sha256

NONCE_BYTES = 9
"""72 bits: among 10⁹ decisions of one visitor the chance of a collision is 10⁻⁴."""

BLOCK_BYTES = 16
"""The length of an id tells the length of its key no closer than this."""

_HEAD_BYTES = 9
"""Before the nonce, now and in releases before: 9 and 9 bytes are 12 and 12 characters."""

_TAG_HEAD_BYTES = _HEAD_BYTES - 1
_SEALED_AT = _HEAD_BYTES + NONCE_BYTES
_NONCE_AT, _NONCE_END = _HEAD_BYTES * 4 // 3, _SEALED_AT * 4 // 3


def mint(secret: bytes, key: str, nonce: bytes) -> str:
    """The id of a decision made for ``key``; equal nonces give equal ids."""
    number, cipher = _sealer(secret)
    text = key.encode()
    sealed = cipher.encrypt(text + bytes(-len(text) % BLOCK_BYTES), [number + nonce])
    return _text(number + sealed[:_TAG_HEAD_BYTES] + nonce + sealed[_TAG_HEAD_BYTES:])


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@lru_cache(maxsize=64)
def _sealer(secret: bytes) -> tuple[bytes, AESSIV]:
    """The number of a secret, and AES-256-SIV under it."""
    number = hashlib.sha256(b"number\x1f" + secret).digest()[:1]
    return number, AESSIV(hashlib.sha512(b"AES-SIV\x1f" + secret).digest())


def derived_nonce(secret: bytes, *parts: str) -> bytes:
    """A nonce that everyone who agrees on ``parts`` arrives at."""
    return hmac_sha256(secret, "\x1f".join(("nonce", *parts)).encode())[:NONCE_BYTES]


def trial_of(decision_id: str) -> str:
    """What the ids of one trial share: their nonce, whichever of the visitor's keys they were made under.

    >>> anonymous, known = (mint(b"s", key, b"123456789") for key in ("a:1", "u:7"))
    >>> trial_of(anonymous) == trial_of(known), anonymous == known
    (True, False)
    """
    return decision_id[_NONCE_AT:_NONCE_END] if len(decision_id) > _NONCE_END else decision_id


_CALL_CHARS = 7
"""Of the twelve of a nonce: 42 bits, so that among the 320 decisions that may be open of one visitor two calls are
taken for one with a chance of 10⁻⁸. The other 30 tell slots apart: of fifty two are one with a chance of 10⁻⁶."""


def slot_nonce(call: bytes, slot: bytes) -> bytes:
    """The nonce of a slot that its caller named: it begins as those of all slots of its call do.

    Parameters
    ----------
    call, slot
        Nonces of the call, and of this slot of it.
    """
    return base64.urlsafe_b64decode(_text(call)[:_CALL_CHARS] + _text(slot)[_CALL_CHARS:])


def call_of(decision_id: str) -> str:
    """What the ids of a call's named slots share.

    >>> top, side = (mint(b"s", "a:1", slot_nonce(b"one call!", slot)) for slot in (b"the  top!", b"the side!"))
    >>> call_of(top) == call_of(side), trial_of(top) == trial_of(side)
    (True, False)
    """
    return trial_of(decision_id)[:_CALL_CHARS]


class Opened(NamedTuple):
    """What is in an id.

    Attributes
    ----------
    key
        The visitor's.
    at
        Under which secret it was made: 0 is the one in force, 1 the one before.
    sealed
        False for an id of a release before, which shows its key.
    """

    key: str
    at: int
    sealed: bool


def open_id(secret: bytes, decision_id: str) -> Opened:
    """What is in an id; raises ``InvalidInput`` as ``key_of`` does."""
    refusal = InvalidInput("decisionId", "not one of our decision ids; send it back exactly as received")
    try:
        raw = base64.b64decode(decision_id + "=" * (-len(decision_id) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise refusal from None
    if decision_id != _text(raw):
        raise refusal  # base64 has several texts for the same bytes, and an id names one decision in one way
    for at, each in enumerate(accepted(secret)):
        if key := _unsealed(each, raw):
            return Opened(key, at, True)
    for at, each in enumerate(whole_secrets(secret)):
        if key := _verified(each, raw):
            return Opened(key, at, False)
    raise refusal


def key_of(secret: bytes, decision_id: str) -> str:
    """The visitor's key within an id.

    Parameters
    ----------
    secret
        What it was made under, or a ``PurposeKey`` that follows that.

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
    return open_id(secret, decision_id).key


def _unsealed(secret: bytes, raw: bytes) -> str:
    """The key within an id that was made under ``secret``, else nothing."""
    number, cipher = _sealer(secret)
    if raw[:1] != number or len(raw) < _SEALED_AT + BLOCK_BYTES:
        return ""
    nonce = raw[_HEAD_BYTES:_SEALED_AT]
    try:
        text = cipher.decrypt(raw[1:_HEAD_BYTES] + raw[_SEALED_AT:], [number + nonce])
    except InvalidTag:
        return ""
    return text.rstrip(b"\0").decode()  # no key holds a NUL


def _verified(secret: bytes, raw: bytes) -> str:
    """The key within an id that a release before made under ``secret``, else nothing."""
    mac, body = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
    if not hmac.compare_digest(mac, hmac_sha256(secret, b"decision:" + body)[:_HEAD_BYTES]):
        return ""
    return body[NONCE_BYTES:].decode()
