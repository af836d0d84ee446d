"""URLs with variables: what stands before the first one has to settle scheme and host.

Browsers drop tabs and line breaks from a URL, read ``\\`` as ``/``, and resolve entities in HTML before: none of
these may stand where scheme and host are settled.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import quote

from personalization.catalog.template import MaskedBody

NEVER = frozenset({"about", "blob", "data", "file", "filesystem", "javascript", "vbscript", "view-source"})
"""Schemes whose addresses are code, or files of whoever opens them."""

WEB = frozenset({"http", "https"})
NOT_OF_APPS = NEVER | WEB | {"ftp", "ws", "wss"}
"""Schemes that no app may claim."""


class _AnyApp(frozenset[str]):
    def __contains__(self, scheme: object) -> bool:
        return scheme not in NOT_OF_APPS


ANY_APP: Collection[str] = _AnyApp()
"""The schemes of all apps, for whoever shows what was checked when it was published."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_HOST = r"[^\s/?#\\&<>\"'`%@{}]+[/?#]"
_OF_THE_WEB = re.compile(rf"(?:[Hh][Tt][Tt][Pp][Ss]?:)?//{_HOST}")
_ON_THE_SITE = re.compile(r"/[^/\\&\x00-\x20]|[?#]|[\w.~\-]+[/?#]")
_ADDRESSES = re.compile(r"(?:mailto|tel|sms):", re.IGNORECASE)
_OF_AN_APP = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):(?://[^\s/?#\\&<>\"'`%@{}]*[/?#]|[\w.~\-]+[/?#])")
_WITH_HOST = re.compile(r"https?://[^\s/?#\\]", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

REMEDY = "begin the URL with https://… or a /path and put the variable behind it"


def scheme_of(url: str) -> str | None:
    """The scheme as a browser reads it, None where there is none.

    >>> scheme_of(" java\\nscript:alert(1)"), scheme_of("/sale?at=12:30")
    ('javascript', None)
    """
    match = _SCHEME.match(_as_read(url))
    return match[1].lower() if match else None


def is_settled(before: str, rest: Iterable[tuple[str, str]], schemes: Collection[str] = ()) -> bool:
    """Whether no variable of a URL decides scheme or host, whatever its value is, and if it has none.

    Parameters
    ----------
    before
        What stands before the first variable.
    rest
        For each variable what stands in for it, and the text that follows.
    schemes
        Those of apps with which it may begin, beside the web's; lower case.

    >>> is_settled("https://shop.example/", [("", "")]), is_settled("https://", [("", "/")])
    (True, False)
    >>> is_settled("/", [("", "/evil.example")])  # where there is no value it begins with //
    False
    """
    if before == "/":
        return _stays_a_path(rest)
    if _OF_THE_WEB.match(before) or _ADDRESSES.match(before) or _ON_THE_SITE.match(before):
        return True
    of_an_app = _OF_AN_APP.match(before)
    return of_an_app is not None and of_an_app["scheme"].lower() in schemes


def _stays_a_path(rest: Iterable[tuple[str, str]]) -> bool:
    """Whether a ``/`` before all this never becomes ``//``: where a value is missing, what follows leads."""
    for part in (part for parts in rest for part in parts if part):
        return part[0] not in "/\\&" and not _CONTROL.search(part)
    return True


def redirect_mistake(body: MaskedBody, schemes: Collection[str]) -> str | None:
    """What is wrong with the URL of a redirect, None where nothing is.

    Parameters
    ----------
    schemes
        Those of apps, as the catalog lists them; lower case.
    """
    url = _as_read(body.text)
    if body.variables and not is_settled(*split_at_variables(body, 0, len(body.text)), schemes):
        return f"{body.variables[0].written} may decide where this leads; {REMEDY}"
    scheme = scheme_of(url)
    if scheme is None:
        return None
    if scheme in WEB:
        return None if _WITH_HOST.match(url) else f"names no host; write {scheme}://shop.example/…"
    if scheme in NEVER:
        return f"begins with {scheme}:, which is no address of a page; write https://… or a /path"
    if scheme not in schemes:
        remedy = f"write https://… or a /path; a scheme of your app stands in redirect_schemes: [{scheme}]"
        return f"begins with {scheme}:; {remedy}"
    return None


def split_at_variables(body: MaskedBody, start: int, end: int) -> tuple[str, list[tuple[str, str]]]:
    """The text before the first variable, and for each what stands in for it and the text that follows."""
    within = body.within(start, end)
    ends = [*(each.start for each in within[1:]), end]
    rest = [(each.otherwise, body.text[each.end : until]) for each, until in zip(within, ends, strict=True)]
    return body.text[start : within[0].start if within else end], rest


def app_scheme_mistake(scheme: str) -> str | None:
    """What is wrong with a scheme that a catalog lists, None where nothing is.

    >>> app_scheme_mistake("myapp")
    >>> app_scheme_mistake("javascript")
    'is no scheme of an app; http, https and paths need none, and the others run code or open files'
    """
    if scheme.lower() in NOT_OF_APPS:
        return "is no scheme of an app; http, https and paths need none, and the others run code or open files"
    if not _SCHEME.fullmatch(f"{scheme}:"):
        return (
            "must be a scheme without its colon, such as myapp: letters, digits, + . and -, beginning with a letter"
        )
    return None


def url_value(text: str) -> str:
    """A visitor's value within a URL; empty where it would climb out of the path.

    >>> url_value("a/b?c"), url_value("..")
    ('a%2Fb%3Fc', '')
    """
    return "" if text in (".", "..") else quote(text, safe="", errors="replace")


def _as_read(url: str) -> str:
    return re.sub(r"[\t\r\n]", "", url).lstrip("".join(map(chr, range(33))))
