"""The eight shelves that stand for content on ``home.hero``, and when one counts as clicked."""

from __future__ import annotations

PLACEMENT = "home.hero"

SHELVES: dict[str, frozenset[str]] = {
    "action-adventure": frozenset({"Action", "Adventure", "War", "Western"}),
    "sci-fi-fantasy": frozenset({"Sci-Fi", "Fantasy"}),
    "crime-thriller": frozenset({"Thriller", "Crime", "Mystery", "Film-Noir"}),
    "romance-musical": frozenset({"Romance", "Musical"}),
    "family": frozenset({"Children's", "Animation"}),
    "comedy": frozenset({"Comedy"}),
    "drama": frozenset({"Drama", "Documentary", "unknown"}),
    "horror": frozenset({"Horror"}),
}
"""Content id → the genres on that shelf, in the catalog's order."""


def carried_by(genres: tuple[str, ...]) -> dict[str, bool]:
    """For each shelf, whether a film of these genres stands on it."""
    return {shelf: not on_shelf.isdisjoint(genres) for shelf, on_shelf in SHELVES.items()}
