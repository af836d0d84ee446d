"""Objects as callers send them: camelCase JSON, typed; and the event, which several dialects share.

Unknown fields are ignored, and counted at the top of each object.
"""

from __future__ import annotations

import re
from typing import Any, Generic, Literal, TypeVar

import msgspec

from api.reading.choices import names_at, values_at
from api.reading.ids import WireId
from api.reading.json_check import find_trouble, trouble_in
from api.reading.times import WireTime
from personalization.errors import InvalidInput

T = TypeVar("T")

Json = Any


class Wire(msgspec.Struct, rename="camel", frozen=True, gc=True, forbid_unknown_fields=True):
    """An object as callers send it."""


class WireEvent(Wire, frozen=True, kw_only=True):
    """One event, Segment-shaped; which fields it needs depends on its type."""

    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    message_id: WireId = None
    anonymous_id: WireId = None
    user_id: WireId = None
    previous_id: WireId = None
    user_hash: str | None = None
    user_token: str | None = None
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


class _AnyEvent(WireEvent, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class Reader(Generic[T]):
    """Decodes one kind of object.

    Strict first, which costs nothing where there is nothing unknown; ``n_unknown`` counts the objects that held
    an unknown field.
    """

    def __init__(self, strict: type[T], tolerant: type[T]) -> None:
        self._type = strict
        self._strict = msgspec.json.Decoder(strict)
        self._tolerant = msgspec.json.Decoder(tolerant)
        self.n_unknown = 0
        _readers.append(self)

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
        found = self.read_outside(text, field)
        trouble = trouble_in(bytes(text), field)
        if trouble is not None:
            raise InvalidInput(*trouble)
        return found

    def read_outside(self, text: bytes | msgspec.Raw, field: str = "") -> T:
        """The object in ``text``, in which what is raw is yet to be read, each part by a reader of its own.

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
            raise refusal(error, data, field, self._type) from error
        return found


_readers: list[Reader[Any]] = []


def n_unknown() -> int:
    """How many objects this process has read that held an unknown field, of every kind."""
    return sum(reader.n_unknown for reader in _readers)


EVENT: Reader[WireEvent] = Reader(WireEvent, _AnyEvent)

_PATH = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.S)
_MISSING = re.compile(r"missing required field `(\w+)`")
_NO_CHOICE = re.compile(r"Invalid enum value (.*)", re.S)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.S)
MAX_SHOWN = 40
"""Of what was sent instead so many characters are said again."""


def refusal(error: Exception, text: bytes, field: str = "", wire: type[Any] | None = None) -> InvalidInput:
    """What a decoder's complaint means to the caller.

    Parameters
    ----------
    wire
        What was to be read: then it is said what could have stood there.
    """
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
        elif wire is not None:
            path, message = _offered(wire, path, message)
        path = path.replace("[...]", "")
        where = (field + path if field else path.lstrip(".")) or "body"
        return InvalidInput(
            where, message[:1].lower() + message[1:], "missing_field" if missing else "invalid_field"
        )
    return InvalidInput(field or "body", f"is not JSON: {error}"[:200], "bad_json")


def _offered(wire: type[Any], path: str, message: str) -> tuple[str, str]:
    """Where something stands that is none of the choices there, and a sentence with those there are."""
    no_choice, unknown = _NO_CHOICE.fullmatch(message), _UNKNOWN.fullmatch(message)
    if no_choice is not None and (values := values_at(wire, path)):
        return path, f"is {_cut(no_choice[1])}; send {_either(values)}"
    if unknown is not None and (names := names_at(wire, path)):
        return f"{path}.{_cut(unknown[1])}", f"is no field here; there are: {', '.join(names)}"
    return path, message


def _either(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}" if len(values) > 1 else values[0]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
