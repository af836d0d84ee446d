"""An envelope opens for who knows the secret, whole and of this release, or not at all."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import msgspec
import pytest
import river

from online_models.envelope import Body, Envelope, river_version
from personalization.errors import Refused

SECRET = b"server secret"


class Letter(Body, frozen=True):
    words: str


LETTERS = Envelope(b"lett", 3, Letter, "a letter", "write again")
CARDS = Envelope(b"card", 3, Letter, "a card", "write again")
LETTER = Letter(3, river.__version__, "hello")
SEALED = LETTERS.seal(LETTER, SECRET)


def signed(fields: object) -> bytes:
    packed = msgspec.msgpack.encode(fields)
    return b"lett" + hmac.digest(SECRET, packed, hashlib.sha256) + packed


def test_what_is_sealed_opens_the_same() -> None:
    assert LETTERS.open(SEALED, SECRET) == LETTER


def test_the_wire_is_magic_then_mac_then_a_map() -> None:
    assert signed({"format": 3, "river_version": river.__version__, "words": "hello"}) == SEALED


def test_a_payload_without_river_objects_opens_under_any_version_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bound, free = (Letter(3, river_version(holds_river=holds), "hello") for holds in (True, False))
    sealed = LETTERS.seal(free, SECRET), LETTERS.seal(bound, SECRET)
    monkeypatch.setattr(river, "__version__", "99.0.0")
    assert LETTERS.open(sealed[0], SECRET) == free
    with pytest.raises(Refused, match=r"here runs 99\.0\.0"):
        LETTERS.open(sealed[1], SECRET)


@pytest.mark.parametrize("n", range(len(SEALED)))
def test_every_bit_counts(n: int) -> None:
    damaged = bytearray(SEALED)
    damaged[n] ^= 1
    for bad in (bytes(damaged), SEALED[:n], SEALED[n + 1 :]):
        with pytest.raises(Refused):
            LETTERS.open(bad, SECRET)


@pytest.mark.parametrize(
    ("open_it", "words"),
    [
        (lambda: LETTERS.open(SEALED, b"another"), "another secret"),
        (lambda: CARDS.open(SEALED, SECRET), "not a card"),
        (lambda: LETTERS.open(signed({"format": 4, "river_version": "0.1"}), SECRET), "format 4.* reads 3: write"),
        (
            lambda: LETTERS.open(signed({"format": 3, "river_version": "0.1"}), SECRET),
            "River 0.1's.* or write again",
        ),
        (lambda: LETTERS.open(signed({"format": 3, "river_version": river.__version__}), SECRET), "words"),
        (lambda: LETTERS.open(signed({"format": "three"}), SECRET), "another release: write again"),
        (lambda: LETTERS.open(signed([1]), SECRET), "another release: write again"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(open_it: Callable[[], Letter], words: str) -> None:
    with pytest.raises(Refused, match=words):
        open_it()
