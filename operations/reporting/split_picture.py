"""How many visitors fell to each side, beside how many the split wants there."""

from __future__ import annotations

from collections.abc import Mapping

from operations.reporting.markup import Markup, void
from operations.reporting.numbers import share
from operations.reporting.picture import drawing, line, shortened, text
from operations.reporting.sides import side_name

_LEFT, _RIGHT, _ROW, _TOP = 226.0, 556.0, 30.0, 8.0
_MOST_LETTERS = 32


def split_picture(id_: str, counts: Mapping[str, int], split: Mapping[str, float]) -> Markup:
    """A bar for each side, and a mark where the split wants it to end."""
    n = sum(counts.values())
    parts: list[str] = []
    said = []
    for at, (side, wanted) in enumerate(split.items()):
        count = counts.get(side, 0)
        got = count / n if n else 0.0
        y = _TOP + _ROW * at
        wide = _RIGHT - _LEFT
        parts += [
            text(0, y + 19, shortened(side_name(side), _MOST_LETTERS), "label"),
            void("rect", x=_LEFT, y=y + 5, width=wide, height=18, class_="room"),
            void("rect", x=_LEFT, y=y + 5, width=round(wide * got, 2), height=18, class_="bar"),
            line(_LEFT + wide * wanted, y + 1, _LEFT + wide * wanted, y + 27, "wanted"),
            text(_RIGHT + 14, y + 19, f"{count:,} ({share(got)}; wanted {share(wanted)})", "figure"),
        ]
        said.append(f"{side_name(side)}: {count:,}, {share(got)}; the split wants {share(wanted)}")
    height = _TOP + _ROW * len(split) + 8
    return drawing(id_, "Visitors by side", "; ".join(said), height, *parts)
