"""What the pictures of a report share: a drawing with a name and a description, lines and texts."""

from __future__ import annotations

from operations.reporting.markup import Markup, element, void

WIDTH = 760.0
"""Of every drawing, in its own units; the page scales it."""


def drawing(id_: str, title: str, description: str, height: float, *parts: str) -> Markup:
    """A drawing that tells what it shows to who does not see it.

    Parameters
    ----------
    id_
        Of the page's own making: no other drawing's.
    """
    return element(
        "svg",
        element("title", title, id=f"{id_}-title"),
        element("desc", description, id=f"{id_}-desc"),
        *parts,
        role="img",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        aria_labelledby=f"{id_}-title {id_}-desc",
    )


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """Words at a place: their base line."""
    return element("text", words, x=round(x, 2), y=round(y, 2), class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A line."""
    return void("line", x1=round(x1, 2), y1=round(y1, 2), x2=round(x2, 2), y2=round(y2, 2), class_=class_)


def shortened(words: str, most: int) -> str:
    """Words that have room; the table beside has all of them.

    >>> shortened("hero", 10), shortened("a very long name", 10)
    ('hero', 'a very lo…')
    """
    return words if len(words) <= most else words[: most - 1] + "…"
