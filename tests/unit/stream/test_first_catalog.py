"""A worker that starts before its catalog says so in words that wake nobody, until nobody seems to publish one."""

from __future__ import annotations

import logging

import pytest

from stream.first_catalog import CATALOG_LATE_S, until_published


async def levels(caplog: pytest.LogCaptureFixture, published_after_s: float) -> list[int]:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    with caplog.at_level(logging.INFO, "stream.first_catalog"):
        await until_published(lambda: sum(waited) >= published_after_s, pause)
    assert sum(waited) >= published_after_s
    assert {record.message for record in caplog.records} <= {"waiting_for_catalog"}
    return [record.levelno for record in caplog.records]


@pytest.mark.parametrize(
    ("after_s", "said"),
    [
        (0.0, []),
        (0.5, [logging.INFO]),
        (CATALOG_LATE_S, [logging.INFO]),
        (CATALOG_LATE_S + 1, [logging.INFO, logging.WARNING]),
        (2 * CATALOG_LATE_S + 1, [logging.INFO, logging.WARNING, logging.WARNING]),
    ],
)
async def test_a_wait_for_the_first_catalog_is_a_warning_only_once_it_is_long(
    caplog: pytest.LogCaptureFixture, after_s: float, said: list[int]
) -> None:
    assert await levels(caplog, after_s) == said
