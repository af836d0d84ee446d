"""Learning curves as a picture (``.png``, ``.svg``) or as a page of their own (``.html``)."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from operations.simulation.baselines import Baseline
from operations.simulation.report import Curve
from personalization.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = (".html", ".png", ".svg")

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Told apart by people who see few colours, too (Okabe & Ito)."""

_GREY = "#5F6670"
_DASHES = ((0, (1, 2)), (0, (6, 2)), (0, (4, 2, 1, 2)))
_LEGEND_AT_MOST = 40


def plot(path: Path, title: str, curves: Mapping[str, Curve], beside: Sequence[Baseline] = ()) -> None:
    """Write one learning curve per policy, each with its 95 % band, and a line for each baseline.

    Parameters
    ----------
    path
        Its ending says which: a picture, or a page that holds one as SVG and needs nothing else.
    curves
        By policy.
    beside
        What learns nothing.

    Raises
    ------
    InvalidInput
        Where the ending is another, or the file cannot be written.
    """
    check_kind(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 10, "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
        for at, (name, curve) in enumerate(curves.items()):
            colour = _COLOURS[at % len(_COLOURS)]
            axes.fill_between(curve.rows, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0)
            axes.plot(curve.rows, curve.mean, color=colour, linewidth=2, label=_short(name))
        for (value, label), dashes in zip(_lines(beside).items(), _DASHES, strict=False):
            axes.axhline(value, color=_GREY, linestyle=dashes, linewidth=1.3, label=_short(label))
        _scale(axes, curves, beside)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("rows seen")
        axes.set_ylabel("mean reward so far")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False, title="band: 95 %", alignment="left")
        _write(path, title, figure)


def check_kind(path: Path) -> None:
    """Complain before hours of playing, not after them."""
    if path.suffix not in KINDS:
        raise InvalidInput("--plot", "the file must end in .html, .png or .svg")
    if not path.absolute().parent.is_dir():
        raise InvalidInput("--plot", f"there is no folder {path.parent}")


def _lines(beside: Sequence[Baseline]) -> dict[float, str]:
    """Where baselines lie, and what each line is called: where two lie together, after both."""
    found: dict[float, str] = {}
    for each in beside:
        label = f"{each.name} ({each.arm})" if each.arm else each.name
        value = round(each.value.mean, 9)
        found[value] = f"{found[value]}, {label}" if value in found else label
    return found


def _scale(axes: Axes, curves: Mapping[str, Curve], beside: Sequence[Baseline]) -> None:
    """Show what has settled: a handful of first rows would flatten all the rest."""
    shown = [each.value.mean for each in beside]
    for curve in curves.values():
        settled = curve.rows >= 0.1 * curve.rows[-1]
        shown += [*curve.low[settled], *curve.high[settled], *curve.mean[settled]]
    low, high = min(shown), max(shown)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(0, max(float(curve.rows[-1]) for curve in curves.values()))


def _write(path: Path, title: str, figure: object) -> None:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    try:
        if path.suffix == ".png":
            figure.savefig(path, dpi=150)
            return
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
        svg = picture.getvalue()
        path.write_text(svg if path.suffix == ".svg" else _page(title, svg), encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--plot", f"{path} cannot be written: {error.strerror}") from error


def _short(name: str) -> str:
    return name if len(name) <= _LEGEND_AT_MOST else name[: _LEGEND_AT_MOST - 1] + "…"


def _page(title: str, svg: str) -> str:
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f'<body style="margin:2rem">{svg[svg.index("<svg") :]}</body></html>\n'
    )
