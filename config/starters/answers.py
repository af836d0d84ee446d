"""What somebody says of their site before they have a catalog, and what makes no sense of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from personalization.errors import InvalidInput

Consent: TypeAlias = Literal["denied", "granted"]

KINDS = ("shop", "newspaper", "hotel", "saas")
"""For which there is a catalog to start with."""

MAX_NAME_CHARS = 64

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]{{0,{MAX_NAME_CHARS - 1}}}", re.ASCII)
_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\]"
_ORIGIN = re.compile(rf"https?://({_HOST})(:(?P<port>\d{{1,5}}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answers:
    """The five answers that a catalog to start with is made of.

    Attributes
    ----------
    kind
        One of ``KINDS``.
    name
        Of the source: whose events and requests these are.
    origins
        Of the site's pages, one or more.
    consent
        What counts for visitors who were not asked yet.
    users
        Whether they log in, so that pages have to prove whom they speak for.
    """

    kind: str
    name: str
    origins: tuple[str, ...]
    consent: Consent
    users: bool


def read_name(text: str) -> str:
    """The name of a source.

    Raises
    ------
    InvalidInput
        If it is none.

    >>> read_name(" my-shop ")
    'my-shop'
    """
    name = text.strip()
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name: use 1 to {MAX_NAME_CHARS} letters, digits and -, beginning with no -"
        raise InvalidInput("name", message)
    return name


def read_origins(text: str) -> tuple[str, ...]:
    """Origins, with commas or blanks between them; each as a browser sends it.

    Raises
    ------
    InvalidInput
        If there is none, or one is none.

    >>> read_origins("https://Shop.example/, http://localhost:8000")
    ('https://shop.example', 'http://localhost:8000')
    """
    origins = tuple(dict.fromkeys(_origin(word) for word in re.split(r"[\s,]+", text) if word))
    if not origins:
        raise InvalidInput("origin", "must not be empty: write where the site lives, such as https://shop.example")
    return origins


def _origin(word: str) -> str:
    origin = word.lower().removesuffix("/")
    found = _ORIGIN.fullmatch(origin)
    if found is None or int(found["port"] or 1) not in range(1, 65_536):
        message = (
            f"{word!r} is no origin: write http:// or https://, a host in ASCII and at most a port, no path, such "
            "as https://shop.example"
        )
        raise InvalidInput("origin", message)
    return origin


def suggested_name(folder_name: str, kind: str) -> str:
    """A name for the source that somebody may take over: the folder's, as far as it can be one; else the kind's.

    >>> suggested_name("My shop (new)", "shop"), suggested_name("", "hotel")
    ('My-shop-new', 'hotel')
    """
    words = re.findall(r"[A-Za-z0-9]+", folder_name)
    return "-".join(words)[:MAX_NAME_CHARS].rstrip("-") or kind
