"""Confidence intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.evaluation.intervals import wilson


@given(st.floats(0.0, 1.0), st.floats(0.01, 1e9))
def test_a_share_is_within_its_interval_and_the_interval_within_what_is_possible(share: float, n: float) -> None:
    low, high = wilson(share, n)
    assert 0.0 <= low <= share <= high <= 1.0


@pytest.mark.parametrize("n", range(1, 1000, 7))
def test_the_interval_of_nothing_begins_at_nothing_and_that_of_all_ends_at_all(n: int) -> None:
    assert wilson(0.0, n)[0] == 0.0
    assert wilson(1.0, n)[1] == 1.0
