"""Who reads pages for a machine is answered like anyone, and teaches nothing."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.deciding.decision import Tier
from personalization.events.decision_record import decode_record, encode_record
from tests.unit.personalization.scenes import ask, catalog, made, run

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
BROWSER = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}"
CUBOT = f"Mozilla/5.0 (Linux; Android 14; CUBOT X70) {CHROME}"
"""A telephone whose name ends like a robot's."""


@pytest.mark.parametrize(
    ("agent", "crawls"),
    [
        (BROWSER, False),
        (CUBOT, False),
        ("ShopApp/7.1 CFNetwork/1410.1 Darwin/22.6.0", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            True,
        ),
        ("python-requests/2.32.3", True),
        ("x" * 100_000 + "Googlebot/2.1", False),
        ("", False),
        (7, False),
        (None, False),
    ],
)
def test_a_crawlers_decision_trains_nothing(agent: Any, crawls: bool) -> None:
    answer = run(catalog(), ask(context={"userAgent": agent}))
    assert answer.decisions[0].tier is Tier.PERSONALISED, "it is answered like anyone"
    assert [each.trains for each in made(answer)] == [not crawls]
    record = decode_record(encode_record(answer.records[0]))
    assert (record.crawler, record.trains) == (crawls, not crawls)
