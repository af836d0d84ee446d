"""Every answer has the headers that keep it from others, whichever route gives it."""

from __future__ import annotations

import pytest

from tests.unit.api.site import SERVER, Site


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/decide"),
        ("POST", "/v1/events"),
        ("POST", "/v1/rank"),
        ("POST", "/ofrep/v1/evaluate/flags"),
        ("GET", "/v1/visitors/a1"),
        ("GET", "/v1/placements/home.hero"),
        ("GET", "/v1/nothing"),
        ("PATCH", "/v1/decide"),
        ("OPTIONS", "/v1/decide"),
        ("GET", "/healthz"),
        ("GET", "http://inner/readyz"),
        ("GET", "http://inner/metrics"),
    ],
)
async def test_nobody_keeps_an_answer_or_guesses_its_type(site: Site, method: str, path: str) -> None:
    for headers in ({}, SERVER):
        answer = await site.client.request(method, path, json={"context": {"targetingKey": "a1"}}, headers=headers)
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.text
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
