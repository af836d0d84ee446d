"""A large text is cut as its decoder would read it: the same parts, and the same texts are no JSON."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from api.limits.slices import Slices, Turnstile
from api.reading import json_parts
from api.reading.json_parts import MAX_MEMBERS, read_elements, read_members
from personalization.errors import InvalidInput


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_parts, "SMALL_BYTES", 0)
    monkeypatch.setattr(json_parts, "_CHUNK_BYTES", 7)  # so that chunks end everywhere


Parts = tuple[dict[str, bytes], list[bytes] | None]
"""Every member but ``events`` as it is written, and every event."""


async def cut(text: bytes) -> Parts | None:
    """What is read of it, None where it is no JSON."""
    slices = Slices(Turnstile())
    try:
        members = await read_members(text, slices, "events")
        events = await read_elements(members["events"], slices, "events", 99) if "events" in members else None
    except InvalidInput:
        return None
    return as_written(members, events)


def decoded(text: bytes) -> Parts | None:
    """The same by the decoder, in one go."""
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        events = msgspec.json.decode(members["events"], type=list[msgspec.Raw]) if "events" in members else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return as_written(members, events)


def as_written(members: dict[str, msgspec.Raw], events: list[msgspec.Raw] | None) -> Parts:
    others = {name: bytes(value).strip() for name, value in members.items() if name != "events"}
    return others, None if events is None else [bytes(event).strip() for event in events]


def anything(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice((1, -2.5, 1e9, True, None))
    if kind < 5:
        return "".join(
            rng.choice(('"', "\\", ",", "[", "]", "{", "}", ":", "a", "é", "\n", "\u2028")) for _ in range(5)
        )
    if kind < 7:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {
        anything(rng, 9) if rng.random() < 0.1 else f"k{n}": anything(rng, depth + 1)
        for n in range(rng.randrange(4))
    }


def a_batch(rng: random.Random) -> bytes:
    batch = {
        "sentAt": anything(rng),
        'odd "name\\': anything(rng),
        "events": [anything(rng) for _ in range(rng.randrange(6))],
    }
    names = rng.sample(sorted(batch), rng.randrange(1, 4))
    separators = rng.choice(((",", ":"), (" , ", "\n:\t")))
    return json.dumps(
        {str(n): batch[n] for n in names}, separators=separators, ensure_ascii=rng.random() < 0.5
    ).encode()


@pytest.mark.parametrize("seed", range(20))
async def test_what_a_decoder_reads_is_read_in_parts(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        text = a_batch(rng)
        assert decoded(text) is not None
        assert await cut(text) == decoded(text), text


@pytest.mark.parametrize("seed", range(20))
async def test_what_a_decoder_refuses_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    n_refused = 0
    for _ in range(100):
        text = bytearray(a_batch(rng))
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(2)] = rng.choice(
                (b",", b"[", b"]", b"{", b"}", b'"', b"\\", b":", b"1", b" ", b"\xff")
            )
        n_refused += decoded(bytes(text)) is None
        assert await cut(bytes(text)) == decoded(bytes(text)), bytes(text)
    assert n_refused > 50


async def test_of_two_members_of_one_name_the_later_counts() -> None:
    assert await cut(b'{"events":[1],"events":[2,3]}') == ({}, [b"2", b"3"])


async def test_too_many_parts_are_refused_by_name() -> None:
    many = b"{" + b",".join(b'"%d":1' % n for n in range(MAX_MEMBERS + 1)) + b"}"
    slices = Slices(Turnstile())
    with pytest.raises(InvalidInput, match="body: are more than"):
        await read_members(many, slices, "events")
    with pytest.raises(InvalidInput, match="events: are more than 2"):
        await read_elements(msgspec.Raw(b"[1,2,3]"), slices, "events", 2)
    assert len(await read_elements(msgspec.Raw(b"[1,2,3]"), slices, "events", 3)) == 3
