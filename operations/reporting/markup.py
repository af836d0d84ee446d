"""Markup in which every text is escaped, whoever wrote it: names of metrics and placements are the catalog's."""

from __future__ import annotations

import html
from typing import TypeAlias

Attribute: TypeAlias = str | float


class Markup(str):
    """Text that is markup already; every other one is escaped where it is put into an element."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """An element of HTML or SVG.

    Parameters
    ----------
    attributes
        An underscore stands for a hyphen, and one at the end for nothing: ``class_``, ``stroke_width``.

    >>> element("td", "<b>", element("br"), class_="n")
    '<td class="n">&lt;b&gt;<br></br></td>'
    """
    written = "".join(f' {_name(each)}="{_value(value)}"' for each, value in attributes.items())
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def void(name: str, /, **attributes: Attribute) -> Markup:
    """An element that holds nothing.

    >>> void("line", x1=1.0, stroke_width=2.5)
    '<line x1="1" stroke-width="2.5"/>'
    """
    written = "".join(f' {_name(each)}="{_value(value)}"' for each, value in attributes.items())
    return Markup(f"<{name}{written}/>")


def joined(*children: str) -> Markup:
    """Several, one after the other."""
    return Markup("".join(each if isinstance(each, Markup) else html.escape(each) for each in children))


def _name(attribute: str) -> str:
    return attribute.rstrip("_").replace("_", "-")


def _value(value: Attribute) -> str:
    return html.escape(value) if isinstance(value, str) else f"{value:.6g}"
