"""Learning curves as a picture (``.png``) or as a page of their own (``.html``)."""

from __future__ import annotations

import html
import io
from pathlib import Path

from online_models.reward_model import FloatArray
from personalization.errors import InvalidInput

KINDS = (".html", ".png")


def plot(path: Path, title: str, curves: dict[str, tuple[FloatArray, FloatArray]]) -> None:
    """Write one learning curve per policy.

    Parameters
    ----------
    path
        Its ending says which: a picture, or a page that holds one as SVG and needs nothing else.
    curves
        Name → rows seen and mean reward so far.

    Raises
    ------
    InvalidInput
        Where the ending is another, or the file cannot be written.
    """
    check_kind(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name)
    axes.set(title=title, xlabel="visitors", ylabel="mean reward so far")
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        if path.suffix == ".png":
            figure.savefig(path, dpi=150)
            return
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
        path.write_text(_page(title, picture.getvalue()), encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--plot", f"{path} cannot be written: {error.strerror}") from error


def check_kind(path: Path) -> None:
    """Complain before hours of playing, not after them."""
    if path.suffix not in KINDS:
        raise InvalidInput("--plot", "the file must end in .html or .png")


def _page(title: str, svg: str) -> str:
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f'<body style="margin:2rem">{svg[svg.index("<svg") :]}</body></html>\n'
    )
