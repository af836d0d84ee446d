"""What is asked of records by whoever guesses."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.key_derivation import Secrets
from state.keys import Keys
from state.records import RecordFinder


class Untouched:
    """Whatever is asked of it is one thing too many."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.mark.parametrize("forged", ["", "x", "é", "A" * 56, "a" * 5_000, "\x00"])
async def test_an_id_that_is_none_of_ours_is_not_looked_for(forged: str) -> None:
    untouched: Any = Untouched()
    finder = RecordFinder(untouched, Keys("t"), untouched, Secrets(b"a secret"))
    assert await finder.decision(forged) is None
    assert await finder.outcome(forged) is None
