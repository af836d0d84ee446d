from __future__ import annotations

import numpy as np
import pytest

from online_models.adaptive import row_buffer
from online_models.adaptive.row_buffer import GONE, RowBuffer


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_buffer, "MAX_ROWS", 300)


def filled(n: int, width: int = 16) -> RowBuffer:
    buffer = RowBuffer(width)
    for i in range(n):
        buffer.append(np.array([float(i), -float(i)]), i % 3, i / 1000)
    return buffer


@pytest.mark.parametrize("n", [1, 256, 300, 301, 777])
def test_the_last_rows_are_there_in_order(n: int) -> None:
    buffer = filled(n)
    assert (buffer.n, buffer.oldest) == (n, max(0, n - 300))
    raw, arm, reward = buffer.rows(buffer.oldest, n)
    expected = np.arange(buffer.oldest, n)
    assert raw[:, 0].tolist() == expected.tolist()
    assert np.isnan(raw[:, 2:]).all()
    assert arm.tolist() == (expected % 3).tolist()
    assert np.allclose(reward, expected / 1000)


def test_a_wider_row_makes_room_and_keeps_the_others() -> None:
    buffer = filled(500)
    buffer.append(np.arange(40.0), 1, 0.5)
    raw, arm, _ = buffer.rows(buffer.oldest, buffer.n)
    assert raw.shape == (300, 48)
    assert raw[:-1, 0].tolist() == list(range(201, 500))
    assert raw[-1, :40].tolist() == list(range(40))
    assert arm[-1] == 1


def test_rows_of_a_forgotten_arm_are_nobodys() -> None:
    buffer = filled(9)
    buffer.keep_last(1, 0)
    assert buffer.rows(0, 9)[1].tolist() == [0, GONE, 2] * 3


def test_the_last_rows_of_an_arm_may_stay() -> None:
    buffer = filled(9)
    assert buffer.keep_last(1, 2).tolist() == [4, 7]
    assert buffer.rows(0, 9)[1].tolist() == [0, GONE, 2, 0, 1, 2, 0, 1, 2]
    buffer = filled(450)  # of which 300 are held
    kept = buffer.keep_last(2, 1_000)
    assert len(kept) == 100
    assert kept[-1] == 449


def test_it_comes_back_from_a_checkpoint_and_goes_on() -> None:
    buffer = filled(420)
    copy = RowBuffer.load(buffer.dump())
    for each in (buffer, copy):
        each.append(np.array([1.0]), 2, 1.0)
    for one, other in zip(buffer.rows(121, 421), copy.rows(121, 421), strict=True):
        assert np.array_equal(one, other, equal_nan=True)
