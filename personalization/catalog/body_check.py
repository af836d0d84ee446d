"""The check of a body before it is published: visitors' values stay values, and HTML holds what a page may show."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from personalization.catalog.html_cleaning import removals
from personalization.catalog.html_template import Misplaced, places_of
from personalization.catalog.sections.content import Content
from personalization.catalog.template import mask
from personalization.catalog.template_urls import redirect_mistake


class BodyMistake(NamedTuple):
    """What is wrong in a body, and on which of its lines, from 1."""

    line: int
    message: str


def body_mistakes(content: Content, body: Any, schemes: Collection[str]) -> Iterator[BodyMistake]:
    """Everything in one body of a content that must not be shown, first lines first.

    A JSON body is data, whatever it holds: who writes it into a page escapes it there.

    Parameters
    ----------
    schemes
        Schemes of apps, as the catalog lists them.
    """
    if content.type == "json" or not isinstance(body, str):
        return
    masked = mask(body)
    known = {scheme.lower() for scheme in schemes}
    if content.type == "redirect":
        if mistake := redirect_mistake(masked, known):
            yield BodyMistake(1, mistake)
        return
    found = [
        (place.variable.start, f"{place.variable.written} {place.why}")
        for place in (places_of(masked, known) if masked.variables else ())
        if isinstance(place, Misplaced)
    ]
    if not content.trusted:
        found += removals(masked, known)
    for offset, message in sorted(found):
        yield BodyMistake(masked.line_at(offset), message)
