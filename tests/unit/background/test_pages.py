"""The inner port is for programs and for whoever looks themselves: no page reads it, by whatever name."""

from __future__ import annotations

import pytest

from background.pages import refused_to_browsers

BROWSER = {"accept-language": "en"}


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin", "websocket"])
def test_what_a_page_loads_is_refused(mode: str) -> None:
    refused = refused_to_browsers({"host": "localhost:9700", "sec-fetch-mode": mode}.get)
    assert refused is not None
    assert refused.status == 403


def test_what_names_its_page_is_refused() -> None:
    for origin in ("https://evil.example", "null", ""):
        assert refused_to_browsers({"host": "127.0.0.1:9700", "origin": origin}.get) is not None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9700", "evil.example.:9700", "127.0.0.1.evil.example"]
)
def test_a_page_whose_name_leads_here_is_refused(host: str) -> None:
    refused = refused_to_browsers({**BROWSER, "host": host}.get)
    assert refused is not None
    assert (refused.status, "IP address" in refused.words) == (421, True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9700",
        "10.1.2.3",
        "[::1]:9700",
        "[fd00::1]",
        "localhost:9700",
        "api.localhost",
        "api:8701",
        "",
        "::1",
    ],
)
def test_whoever_looks_themselves_is_answered(host: str) -> None:
    assert refused_to_browsers({**BROWSER, "host": host}.get) is None
    assert refused_to_browsers({**BROWSER, "host": host, "sec-fetch-mode": "navigate"}.get) is None


@pytest.mark.parametrize("host", ["api.shop.svc.cluster.local:8701", "node7.shop.example:9700", "api:8701"])
def test_scrapers_and_probes_ask_by_any_name(host: str) -> None:
    assert refused_to_browsers({"host": host, "user-agent": "Prometheus/3.0", "accept": "*/*"}.get) is None
