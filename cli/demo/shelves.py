"""The eight shelves that stand for content on ``home.hero``, and when one counts as clicked."""

from __future__ import annotations

PLACEMENT = "home.hero"

SHELVES: dict[str, frozenset[str]] = {
    "action": frozenset({"Action", "Adventure", "War", "Western"}),
    "scifi": frozenset({"Sci-Fi", "Fantasy"}),
    "crime": frozenset({"Thriller", "Crime", "Mystery", "Film-Noir"}),
    "romance": frozenset({"Romance", "Musical"}),
    "family": frozenset({"Children's", "Animation"}),
    "comedy": frozenset({"Comedy"}),
    "drama": frozenset({"Drama", "Documentary", "unknown"}),
    "horror": frozenset({"Horror"}),
}
"""Content id → the genres on that shelf, in the order of ``config/demo_catalog``."""


def carried_by(genres: tuple[str, ...]) -> dict[str, bool]:
    """For each shelf, whether a film of these genres stands on it.

    >>> [shelf for shelf, carries in carried_by(("Comedy", "War")).items() if carries]
    ['action', 'comedy']
    """
    return {shelf: not on_shelf.isdisjoint(genres) for shelf, on_shelf in SHELVES.items()}
