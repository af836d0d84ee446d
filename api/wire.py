"""What callers send: camelCase JSON, typed. Unknown fields are ignored, and counted at the top of each object."""

from __future__ import annotations

import re
from typing import Any, Generic, Literal, TypeVar

import msgspec

from api.ids import WireId
from api.json_check import find_trouble, suspicious
from api.times import WireTime
from personalization.errors import InvalidInput

T = TypeVar("T")

Json = Any


class _Wire(msgspec.Struct, rename="camel", frozen=True, gc=True, forbid_unknown_fields=True):
    pass


class WireEvent(_Wire, frozen=True, kw_only=True):
    """One event, Segment-shaped; which fields it needs depends on its type."""

    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    message_id: WireId = None
    anonymous_id: WireId = None
    user_id: WireId = None
    previous_id: WireId = None
    group_id: WireId = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    properties: dict[str, Json] | None = None
    traits: dict[str, Json] | None = None
    context: dict[str, Json] | None = None
    integrations: Json = None
    timestamp: WireTime = None
    original_timestamp: WireTime = None
    sent_at: WireTime = None


class WireBatch(_Wire, frozen=True, kw_only=True):
    """Several events."""

    events: list[msgspec.Raw]
    sent_at: WireTime = None


class WireVisitor(msgspec.Struct, rename="camel", frozen=True):
    """Who it is for."""

    anonymous_id: WireId = None
    user_id: WireId = None


class WirePlacement(msgspec.Struct, frozen=True):
    """A placement with a number of slots of the caller's own."""

    placement: str
    slots: int | None = None


class WireDecide(_Wire, frozen=True, kw_only=True):
    """A call of the decider."""

    visitor: WireVisitor
    placements: list[str | WirePlacement]
    request_id: WireId = None
    context: dict[str, Json] | None = None
    events: list[msgspec.Raw] | None = None
    deadline_ms: int | float | None = None
    activate: bool = True


class WireReward(_Wire, frozen=True, kw_only=True):
    """What a decision was worth."""

    value: float
    name: str = ""
    message_id: WireId = None
    final: bool = False


class _AnyEvent(WireEvent, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyBatch(WireBatch, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyDecide(WireDecide, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyReward(WireReward, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class Reader(Generic[T]):
    """Decodes one kind of object.

    Strict first, which costs nothing where there is nothing unknown; ``n_unknown`` counts the objects that held
    an unknown field.
    """

    def __init__(self, strict: type[T], tolerant: type[T]) -> None:
        self._strict = msgspec.json.Decoder(strict)
        self._tolerant = msgspec.json.Decoder(tolerant)
        self.n_unknown = 0

    def read(self, text: bytes | msgspec.Raw, field: str = "") -> T:
        """The object in ``text``.

        Parameters
        ----------
        field
            Where it stands, for the error.

        Raises
        ------
        InvalidInput
            Names the field that is wrong, and says how.
        """
        data = bytes(text)
        try:
            try:
                found = self._strict.decode(data)
            except msgspec.ValidationError as error:
                if "unknown field" not in str(error):
                    raise
                self.n_unknown += 1
                found = self._tolerant.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise refusal(error, data, field) from error
        if suspicious(data):
            trouble = find_trouble(data, field)
            if trouble is not None:
                raise InvalidInput(*trouble)
        return found


EVENT: Reader[WireEvent] = Reader(WireEvent, _AnyEvent)
BATCH: Reader[WireBatch] = Reader(WireBatch, _AnyBatch)
DECIDE: Reader[WireDecide] = Reader(WireDecide, _AnyDecide)
REWARD: Reader[WireReward] = Reader(WireReward, _AnyReward)

_PATH = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.S)
_MISSING = re.compile(r"missing required field `(\w+)`")


def refusal(error: Exception, text: bytes, field: str = "") -> InvalidInput:
    """What a decoder's complaint means to the caller."""
    trouble = find_trouble(text, field)
    if trouble is not None:
        return InvalidInput(*trouble)
    if isinstance(error, msgspec.ValidationError):
        match = _PATH.match(str(error))
        message, path = (match[1], match[2] or "") if match else (str(error), "")
        missing = _MISSING.search(message)
        if missing is not None:
            path += "." + missing[1]
            message = "is missing"
        path = path.replace("[...]", "")
        where = (field + path if field else path.lstrip(".")) or "body"
        return InvalidInput(
            where, message[:1].lower() + message[1:], "missing_field" if missing else "invalid_field"
        )
    return InvalidInput(field or "body", f"is not JSON: {error}"[:200], "bad_json")
