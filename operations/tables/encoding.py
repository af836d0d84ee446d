"""Which encoding a file is in: certain ones first, and Windows' own for what remains.

A mark at the start or every second byte zero says UTF-16; bytes that decode as UTF-8 are UTF-8, which text in
another encoding hardly ever does by chance. What is neither comes from Western Windows or Unix: Windows-1252, which
agrees with Latin-1 wherever that has letters.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from operations.tables.opened import opened
from personalization.errors import InvalidInput

_CHUNK_BYTES = 1 << 20
_MAX_SCANNED_BYTES = 256 << 20
"""A fault that first comes later is named when it is read."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_IN_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_MOSTLY_ZERO = 0.6
_DAMAGE = re.compile("[\udc80-\udcff]+")
_WELL = re.compile("[^\x00-\x7f\udc80-\udcff]")


class Encoding(NamedTuple):
    """A name that Python knows, and what to say about the choice; empty where there is nothing to say."""

    name: str
    note: str = ""


def find_encoding(path: Path, said: str | None = None) -> Encoding:
    """The encoding of a file, or the one that somebody said.

    Raises
    ------
    InvalidInput
        Where nobody knows the one that was said, there is no text, or UTF-8 is damaged: names line and byte.
    """
    if said is not None:
        return Encoding(_known(said))
    with opened(path) as file:
        first = file.read(1 << 16)
    for mark, name in _MARKS:
        if first.startswith(mark):
            return Encoding(name)
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = first[at::2].count(0), first[1 - at :: 2].count(0)
        if zeros > _MOSTLY_ZERO * len(first[at::2]) and not others:
            return Encoding(name, "is read as UTF-16")
    if b"\x00" in first:
        raise InvalidInput(
            str(path), "holds bytes of 0, so it is no text: save the table as CSV, or say --encoding"
        )
    return _scan(path)


def _scan(path: Path) -> Encoding:
    decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode
    seen: set[int] = set()
    n_damaged = n_well = n_bytes = n_lines = 0
    first_line, first_text = 0, ""
    with opened(path) as file:
        while n_bytes < _MAX_SCANNED_BYTES:
            chunk = file.read(_CHUNK_BYTES)
            n_bytes += len(chunk)
            text = decode(chunk, final=not chunk)
            if not text.isascii():
                seen.update(chunk)
                n_well += len(_WELL.findall(text))
                damage = _DAMAGE.findall(text)
                if damage and not n_damaged:
                    at = text.index(damage[0])
                    first_line = n_lines + text.count("\n", 0, at) + 1
                    first_text = damage[0].encode("utf-8", "surrogateescape")[:1].hex()
                n_damaged += len(damage)
            n_lines += text.count("\n")
            if not chunk:
                break
    if not n_damaged:
        return Encoding("utf-8")
    if n_well > n_damaged:
        raise InvalidInput(
            f"{path.name}:{first_line}",
            f"is UTF-8, but the byte {first_text} there is not: save the file anew, or say --encoding cp1252",
        )
    if seen & _NOT_IN_1252:
        return Encoding("latin-1", "is not UTF-8: read as Latin-1 (--encoding says another)")
    return Encoding("cp1252", "is not UTF-8: read as Windows-1252 (--encoding says another)")


def _known(name: str) -> str:
    try:
        "a".encode(name)
        found = codecs.lookup(name).name
        return "utf-8-sig" if found == "utf-8" else found
    except (LookupError, UnicodeError, ValueError) as error:
        raise InvalidInput(
            "--encoding", f"{name!r} is no encoding of text: e.g. utf-8, cp1252, latin-1, utf-16, mac-roman, cp850"
        ) from error
