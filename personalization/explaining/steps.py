"""An explanation in steps: of a thousand arms it takes seconds, in which others have their turn."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

from personalization.explaining.explanation import Explanation

Explaining: TypeAlias = Generator[None, None, Explanation]
"""An explanation under way: halts between its arms."""


def at_once(steps: Explaining) -> Explanation:
    """The explanation, where nobody waits meanwhile."""
    try:
        while True:
            next(steps)
    except StopIteration as finished:
        explained: Explanation = finished.value
        return explained
