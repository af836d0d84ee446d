"""What cannot be stored is refused at the door, with the field and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.errors import InvalidInput
from personalization.events.entry import Entry, decode_entry, encode_entry
from personalization.events.event import Track


def entry(**properties: Any) -> Entry:
    event = Track(message_id="m", event="Viewed", properties=properties)
    return Entry(received_at_ms=1, occurred_at_ms=1, catalog_version=1, event=event)


def test_an_entry_survives_the_log() -> None:
    whole = entry(category="shoes", price=1.5, tags=["a", None, True], nested={"n": -(2**63)})
    assert decode_entry(encode_entry(whole)) == whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**70, "event: holds a whole number beyond 64 bits; send it as text"),
        ("\ud800", "event: holds a lone surrogate, which is not Unicode text; remove it"),
    ],
)
def test_what_cannot_be_stored_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        encode_entry(entry(value=value))
    assert str(refused.value) == message


@pytest.mark.parametrize("data", [b"", b"\xc1", b"nonsense", encode_entry(entry())[:-3], b"\x91" * 100_000])
def test_bytes_that_are_no_entry_are_named_so(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not an entry of the visitor log"):
        decode_entry(data)
