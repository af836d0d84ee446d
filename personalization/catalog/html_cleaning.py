"""What an HTML body may hold whose author is not trusted: what shows something, and nothing that could do more.

Whether something would be removed is told by nh3 (Ammonia on html5ever, the parser of Servo), which reads HTML as
browsers do; what it is and where it stands is read from the source.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Collection, Iterator

import nh3

from personalization.catalog.html_source import StartTag, pieces_of
from personalization.catalog.template import MaskedBody
from personalization.catalog.template_urls import NEVER, scheme_of

TAGS = frozenset(nh3.ALLOWED_TAGS) | {
    "address", "audio", "big", "button", "font", "label", "main", "meter", "picture", "progress", "search",
    "section", "source", "tfoot", "track", "video",
}  # fmt: skip
"""Elements that show something and run nothing. Forms, frames, objects, styles and scripts are none of them."""

_EVERYWHERE = frozenset(
    {
        "align", "class", "dir", "height", "hidden", "id", "itemprop", "itemscope", "lang", "role", "style",
        "tabindex", "title", "translate", "valign", "width",
    }
)  # fmt: skip
_BY_TAG: dict[str, set[str]] = {
    "a": {"download", "rel", "target"},
    "area": {"alt", "coords", "href", "shape", "target"},
    "audio": {"autoplay", "controls", "loop", "muted", "preload", "src"},
    "button": {"disabled", "type", "value"},
    "data": {"value"},
    "details": {"open"},
    "font": {"color", "face", "size"},
    "img": {"decoding", "fetchpriority", "loading", "sizes", "srcset", "usemap"},
    "li": {"value"},
    "meter": {"high", "low", "max", "min", "optimum", "value"},
    "ol": {"reversed", "type"},
    "progress": {"max", "value"},
    "source": {"media", "sizes", "src", "srcset", "type"},
    "table": {"border", "cellpadding", "cellspacing"},
    "time": {"datetime"},
    "track": {"default", "kind", "label", "src", "srclang"},
    "video": {"autoplay", "controls", "loop", "muted", "playsinline", "poster", "preload", "src"},
}
ATTRIBUTES = {
    tag: frozenset(nh3.ALLOWED_ATTRIBUTES.get(tag, set()) | _BY_TAG.get(tag, set())) | _EVERYWHERE for tag in TAGS
}
"""By element, what decides how it looks and where it leads; ``aria-…`` and ``data-…`` are taken besides."""

PREFIXES = frozenset({"aria-", "data-"})
RUN_BY_LIBRARIES = re.compile(r"data-(?:bind\b|on|hx-|ng-|v-|x-|signals|computed|effect|init)")
"""Attributes that Knockout, htmx, Angular, Vue, Alpine and Datastar take for code."""
SCHEMES = frozenset(nh3.ALLOWED_URL_SCHEMES)
"""Of URLs; a URL without one stays on the site."""

REMEDY = "leave it out, or write trusted: true beside the body if it is meant"

_IMPLIED = frozenset({"br", "colgroup", "img", "p", "tbody", "tr"})
"""Elements that a parser makes though nobody wrote them."""

_WORD = re.compile(r"[^\s\"'<>/=`\x00]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")


def removals(body: MaskedBody, schemes: Collection[str] = ()) -> Iterator[tuple[int, str]]:
    """(offset, what) of all in an HTML body that cleaning would remove; the remedy is in it.

    Parameters
    ----------
    schemes
        Schemes of apps to which links may lead; lower case.

    >>> from personalization.catalog.template import mask
    >>> list(removals(mask("<p onclick='x()'>")))[0][1].split(";")[0]
    '<p> has onclick, which may run something'
    """
    if "<" not in body.text:
        return
    last = _last_element(body.text)
    text, allowed = body.text + last, SCHEMES | frozenset(schemes)
    kept = _cleaner(allowed).clean(text)
    whole = _as_read(text, allowed)
    if last not in whole or whole.endswith("-->"):
        what = "a tag or comment is never closed, and takes in what stands behind the body; close it"
        yield body.text.rindex("<"), what
        return
    if kept == whole:
        return
    named = list(_named(body, allowed))
    yield from ((offset, f"{what}; {REMEDY}") for offset, what in named if what)
    if not named:
        at = next((n for n, (a, b) in enumerate(zip(kept, whole, strict=False)) if a != b), len(kept))
        yield 0, f"it holds {whole[max(0, at - 8) : at + 32]!r}, which may do more than show something; {REMEDY}"


@functools.lru_cache(maxsize=8)
def _cleaner(schemes: frozenset[str]) -> nh3.Cleaner:
    """It takes 0.5 ms to make, and 10 µs to clean a kilobyte."""
    return nh3.Cleaner(
        tags=TAGS,
        clean_content_tags=set(),
        attributes=ATTRIBUTES,
        strip_comments=False,
        link_rel=None,
        generic_attribute_prefixes=PREFIXES,
        url_schemes=schemes,
        attribute_filter=_not_run,
    )


def _not_run(_: str, attribute: str, value: str) -> str | None:
    return None if RUN_BY_LIBRARIES.match(attribute) else value


def _last_element(text: str) -> str:
    """An element that the text has nowhere: a parser that does not find it behind the text is still in a tag."""
    word = "zw"
    while word in text.lower():
        word += "z"
    return f"<i>{word}</i>"


def _as_read(text: str, schemes: Collection[str]) -> str:
    """The body as a parser writes it back: with every word of it allowed as tag, attribute and scheme."""
    words = {word.lower() for word in _WORD.findall(text)}
    decoded = html.unescape(text).lower()
    return nh3.clean(
        text,
        tags=_IMPLIED | words,
        clean_content_tags=set(),
        attributes={"*": words},
        strip_comments=False,
        link_rel=None,
        url_schemes={*schemes, *NEVER, *_SCHEME.findall(decoded)},
    )


def _named(body: MaskedBody, schemes: Collection[str]) -> Iterator[tuple[int, str]]:
    """(offset, what) of what is not allowed; no words where a variable makes the name, a mistake of its own."""
    for piece in pieces_of(body.text):
        if not isinstance(piece, StartTag):
            continue
        if body.within(piece.start, piece.name_end):
            yield piece.start, ""
            continue
        if piece.name not in TAGS:
            yield piece.start, f"<{piece.name}> may do more than show something"
            continue
        for attribute in piece.attributes:
            if body.within(attribute.start, attribute.end):
                yield attribute.start, ""
                continue
            is_plain = attribute.name.startswith(tuple(PREFIXES)) and not RUN_BY_LIBRARIES.match(attribute.name)
            if attribute.name not in ATTRIBUTES[piece.name] and not is_plain:
                yield attribute.start, f"<{piece.name}> has {attribute.name}, which may run something"
                continue
            scheme = scheme_of(html.unescape(body.text[attribute.value_start : attribute.value_end]))
            if attribute.name in ("cite", "href", "poster", "src") and scheme and scheme not in schemes:
                where = f"{attribute.name} of <{piece.name}>"
                yield attribute.start, f"{where} begins with {scheme}:, which may run something"
