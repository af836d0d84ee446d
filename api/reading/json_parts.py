"""A large JSON text cut into its parts, in slices: who sends two million numbers holds nobody up.

A decoder goes through 4 MB in one piece, and makes an object of each part of it. Here commas and brackets are found
16 KiB at a time. Every part is then looked at by the decoder itself: what is JSON and what is not stays its word.

But a part that would be JSON, had it no number that JSON lacks (``NaN``, as Python's encoder writes it), no half
of a character (as JavaScript cuts them) and less depth, is left to whoever reads it: it is refused alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from api.limits.slices import Slices
from api.reading.wire import refusal
from personalization.errors import InvalidInput

SMALL_BYTES = 64 * 1024
"""A text up to here is decoded in one go: half a millisecond."""

_CHUNK_BYTES = 16 * 1024
_ESCAPE = re.compile(rb"\\.", re.S)
_SPACE = b" \t\r\n"
_NAME = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:', re.S)

MAX_MEMBERS = 100
"""Of the outermost object of a large text: no request has more than ten."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)
_NAMES = msgspec.json.Decoder(str)

T = TypeVar("T")


class NotJson(ValueError):
    """The text is no JSON object, or no list where one is asked for."""


async def read_members(text: bytes, slices: Slices, but: str) -> dict[str, msgspec.Raw]:
    """The members of the JSON object that a body is, each to be read by a reader of its own.

    Parameters
    ----------
    but
        One that ``read_elements`` is asked about afterwards: it is not looked into before.

    Raises
    ------
    InvalidInput
        Where the body is none, or has more than ``MAX_MEMBERS``.
    """
    found = _at_once(_MEMBERS, text, b"{", "")
    if found is not None:
        return found
    try:
        return await _members(text, slices, but)
    except NotJson as error:
        raise refusal(error, text) from error


async def outline(text: bytes, slices: Slices) -> dict[str, bytes]:
    """The members of a JSON object as they are written; nobody has looked whether they are JSON.

    Raises
    ------
    NotJson
        Where it is no object, or a member has no name.
    InvalidInput
        Where it has more than ``MAX_MEMBERS``.
    """
    found: dict[str, bytes] = {}
    for member in await _parts(_inside(text, b"{", b"}"), slices, MAX_MEMBERS, "body"):
        match = _NAME.match(member)
        if match is None:
            raise NotJson("a member has no name")
        try:
            name = _NAMES.decode(match[1])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotJson(str(error)) from error
        found[name] = member[match.end() :].strip(_SPACE)
        if slices.is_over:
            await slices.pause()
    return found


async def read_elements(text: msgspec.Raw, slices: Slices, field: str, at_most: int) -> list[msgspec.Raw]:
    """The elements of the JSON list in ``text``, each to be read by a reader of its own.

    Raises
    ------
    InvalidInput
        Names ``field``, where it is none, or has more than ``at_most``.
    """
    data = bytes(text)
    found = _at_once(_ELEMENTS, data, b"[", field)
    if found is None:
        try:
            found = await _elements(data, slices, at_most, field)
        except NotJson as error:
            raise refusal(error, data, field) from error
    if len(found) > at_most:
        raise InvalidInput(field, f"are {len(found)}; at most {at_most} at once", "too_many")
    return found


def decoded(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw, field: str) -> T:
    """What a decoder makes of ``text``; raises ``InvalidInput`` below ``field`` where it makes nothing of it."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, bytes(text), field) from error


def _at_once(decoder: msgspec.json.Decoder[T], text: bytes, opened: bytes, field: str) -> T | None:
    """What a decoder makes of a text; None: it is to be cut, being large, or bad maybe in one part alone."""
    is_opened = text.lstrip(_SPACE).startswith(opened)
    if is_opened and len(text) > SMALL_BYTES:
        return None
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if is_opened and not isinstance(error, msgspec.ValidationError):
            return None
        raise refusal(error, text, field) from error


async def _members(text: bytes, slices: Slices, but: str) -> dict[str, msgspec.Raw]:
    found: dict[str, msgspec.Raw] = {}
    for name, value in (await outline(text, slices)).items():
        unseen = name == but and value.startswith(b"[")
        found[name] = msgspec.Raw(value) if unseen else _looked_at(value)
        if slices.is_over:
            await slices.pause()
    return found


async def _elements(text: bytes, slices: Slices, at_most: int, field: str) -> list[msgspec.Raw]:
    found = []
    for part in await _parts(_inside(text, b"[", b"]"), slices, at_most, field):
        found.append(_looked_at(part))
        if slices.is_over:
            await slices.pause()
    return found


def _looked_at(text: bytes) -> msgspec.Raw:
    try:
        return _RAW.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if _is_bad_in_itself(text):
            return msgspec.Raw(text.strip(_SPACE))
        raise NotJson(str(error)) from error


def _is_bad_in_itself(text: bytes) -> bool:
    r"""Whether it would be JSON but for what its own reader refuses; 3 ms for one of 64 KiB.

    >>> [_is_bad_in_itself(text) for text in (b'{"n":-Infinity}', rb'["\ud83d"]', b'{"n":NaN,}', b'["NaN",nan1]')]
    [True, True, False, False]
    """
    if len(text) > SMALL_BYTES:
        return False  # no event is as large
    try:
        _RAW.decode(mended(text))
    except RecursionError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def mended(text: bytes) -> bytes:
    """The text with zeros for numbers that JSON lacks, and without halves of characters."""
    return _BAD.sub(_mended, text)


_BAD = re.compile(rb'"(?:[^"\\]|\\.)*"|-?(?:nan|inf(?:inity)?)(?![\w.+-])', re.I | re.S)
_HALF = re.compile(rb"\\(?:(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.S)


def _mended(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if not found.startswith(b'"'):
        return b"0"
    return _HALF.sub(lambda each: b"_" if each[1] else each[0], found) if b"\\u" in found else found


def _inside(text: bytes, opened: bytes, closed: bytes) -> bytes:
    text = text.strip(_SPACE)
    if len(text) < 2 or not (text.startswith(opened) and text.endswith(closed)):
        raise NotJson("is not opened and closed")
    return text[1:-1]


async def _parts(text: bytes, slices: Slices, at_most: int, field: str) -> list[bytes]:
    """What stands between the commas that are in nothing."""
    ends: list[int] = []
    if not text.strip(_SPACE):
        return []
    for commas in _commas(text):
        ends += commas.tolist()
        if len(ends) >= at_most:
            raise InvalidInput(field, f"are more than {at_most}, which is the most at once", "too_many")
        if slices.is_over:
            await slices.pause()
    starts = [0, *(end + 1 for end in ends)]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]


def _commas(text: bytes) -> Iterator[NDArray[np.intp]]:
    """Where the outermost commas stand, chunk by chunk."""
    at, depth, in_string = 0, 0, False
    while at < len(text):
        end = at + _CHUNK_BYTES
        chunk = text[at:end]
        while end < len(text) and (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:  # an escape goes on behind it
            end += 1
            chunk = text[at:end]
        if b"\\" in chunk:
            chunk = _ESCAPE.sub(b"__", chunk)
        data = np.frombuffer(chunk, np.uint8)
        within = (np.cumsum(data == ord('"'), dtype=np.uint8) & 1).astype(bool) ^ in_string
        kind = data | 0x20  # "[" and "{" differ in one bit, as "]" and "}" do
        steps = (kind == ord("{")).astype(np.int32) - (kind == ord("}"))
        steps[within] = 0
        depths = depth + np.cumsum(steps)
        yield at + np.flatnonzero((data == ord(",")) & ~within & (depths == 0))
        depth, in_string = int(depths[-1]), bool(within[-1])
        at = end
