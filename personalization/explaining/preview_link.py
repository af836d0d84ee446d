"""Preview links: a token that lets a page see why its decisions are made, for some placements and for some time.

``pl_`` + base64url(payload) + ``.`` + base64url(HMAC-SHA256 of that): the payload names the placements and the end.
It is signed under a key of its own purpose, so nothing else that this installation signs is one.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

import msgspec

from personalization.catalog.duration import DAY_MS
from personalization.errors import InvalidInput
from personalization.explaining.number_words import listed, moment
from personalization.key_derivation import accepted
from personalization.keyed_hash import hmac_sha256

PURPOSE = "preview-links"
"""Of the key that signs them."""

MAX_VALID_MS = 30 * DAY_MS
"""Whoever has a link sees what is personal: it ends."""

MAX_PLACEMENTS = 50
MAX_TOKEN_CHARS = 16_384
"""Fifty names of placements of 200 letters have 13,500."""

_PREFIX = "pl_"


class PreviewLink(msgspec.Struct, frozen=True, array_like=True):
    """What a link allows: to see explanations of decisions in ``placements``, before ``ends_ms``."""

    ends_ms: int
    placements: tuple[str, ...]

    def trouble(self, placements: Sequence[str], now_ms: int) -> str | None:
        """Why it does not allow explanations in ``placements`` now, in words; None: it does."""
        if now_ms >= self.ends_ms:
            return f"the preview link ended on {moment(self.ends_ms)}; have another made"
        others = [name for name in placements if name not in self.placements]
        if others:
            return f"the preview link is for {listed(self.placements)} alone, and {listed(others)} is asked for too"
        return None


def sign(link: PreviewLink, key: bytes) -> str:
    """The token of a link.

    >>> token = sign(PreviewLink(5, ("home.hero",)), b"key")
    >>> read(token, b"key")
    PreviewLink(ends_ms=5, placements=('home.hero',))
    >>> read(token, b"another") is None, read(token[:-1], b"key") is None, read("pl_", b"key") is None
    (True, True, True)
    """
    payload = _text(msgspec.json.encode(link))
    return f"{_PREFIX}{payload}.{_text(hmac_sha256(key, payload.encode()))}"


def read(token: str, key: bytes) -> PreviewLink | None:
    """The link of a token that was signed here, under the secret in force or one before; None: it was not."""
    payload, _, signature = token.removeprefix(_PREFIX).partition(".")
    if len(token) > MAX_TOKEN_CHARS or not token.startswith(_PREFIX) or not token.isascii():
        return None
    made = [_text(hmac_sha256(each, payload.encode())) for each in accepted(key)]
    if not any(hmac.compare_digest(each, signature) for each in made):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=PreviewLink)
    except (ValueError, msgspec.MsgspecError):
        return None


def link_for(placements: Sequence[str], known: Sequence[str], valid_ms: int, now_ms: int) -> PreviewLink:
    """A link for ``placements``, valid from now on.

    Raises
    ------
    InvalidInput
        Where it is for no placement, for one that is not ``known``, or for too long.
    """
    if not 1 <= len(placements) <= MAX_PLACEMENTS:
        raise InvalidInput("placements", f"are {len(placements)}; name 1 to {MAX_PLACEMENTS}")
    for index, name in enumerate(placements):
        if name not in known:
            there = listed(sorted(known), 20)
            raise InvalidInput(
                f"placements[{index}]", f"no placement {name[:64]!r}; there are: {there}", "unknown_placement"
            )
    if not 0 < valid_ms <= MAX_VALID_MS:
        raise InvalidInput("validMs", f"must be more than 0 and at most {MAX_VALID_MS} (30 days)")
    return PreviewLink(now_ms + valid_ms, tuple(dict.fromkeys(placements)))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
