"""What a request is called: by its caller, if that can be a name, and in every answer."""

from __future__ import annotations

import logging

import pytest

from personalization.audit.record import visitor_mark
from tests.unit.api.site import SERVER, WRITE, Site

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


async def test_the_callers_id_is_the_requests_in_its_answer_and_in_what_is_recorded(site: Site) -> None:
    response = await site.decide(headers={**WRITE, "x-request-id": "proxy-7"})
    assert response.headers["x-request-id"] == response.json()["requestId"] == "proxy-7"
    assert [record.request_id for record in site.spool.decisions()] == ["proxy-7"]


async def test_what_an_answer_calls_a_request_leads_to_what_was_recorded_though_the_body_names_another(
    site: Site,
) -> None:
    for sent in ({}, {"x-request-id": "proxy-7"}):
        response = await site.decide(headers={**WRITE, **sent}, requestId="order-1")
        record = site.spool.decisions()[-1]
        assert response.json()["requestId"] == record.request_id == "order-1"
        assert response.headers["x-request-id"] == record.answered_as
    await site.decide()
    assert site.spool.decisions()[-1].answered_as == "", "one name is written down once"


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "nul\x00", "é"])
async def test_what_can_be_no_id_is_replaced_by_one_of_ours(site: Site, sent: str) -> None:
    headers = [(name, value) for name, value in WRITE.items()] + [("x-request-id", sent.encode("latin-1"))]
    response = await site.client.post("/v1/events", json={"events": []}, headers=headers)  # type: ignore[arg-type]  # bytes, too
    assert len(response.headers["x-request-id"]) == 16


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/nowhere", 404), ("POST", "/v1/events", 401), ("PUT", "/v1/events", 405)],
)
async def test_every_answer_says_what_its_request_is_called(
    site: Site, method: str, path: str, status: int
) -> None:
    response = await site.client.request(method, path, headers={"x-request-id": "r1"})
    assert (response.status_code, response.headers.get_list("x-request-id")) == (status, ["r1"])


async def test_a_request_of_a_trace_is_found_by_the_traces_id_and_answers_with_it(site: Site) -> None:
    response = await site.decide(headers={**WRITE, "traceparent": PARENT})
    assert response.headers["x-request-id"] == TRACE
    assert response.headers["traceparent"] == PARENT  # nobody records it here: the caller's own place
    assert [record.trace for record in site.spool.decisions()] == [b""]


async def test_a_malformed_place_in_a_trace_is_none(site: Site) -> None:
    response = await site.decide(headers={**WRITE, "traceparent": PARENT.upper()})
    assert "traceparent" not in response.headers
    assert len(response.headers["x-request-id"]) == 16


async def test_a_ranking_without_an_id_is_an_event_of_its_own_however_its_request_is_called(site: Site) -> None:
    """Its event id is its visitor: a proxy that calls two requests alike must not make them one person."""
    body = {"contextFeatures": [], "actions": [{"id": "a", "features": [{"x": 1}]}]}
    headers = {"Ocp-Apim-Subscription-Key": "pk_dev", "x-request-id": "always-the-same"}
    answers = [await site.client.post("/personalizer/v1.0/rank", json=body, headers=headers) for _ in range(2)]
    ids = [answer.json().get("eventId") for answer in answers]
    assert ids[0] is None or ids[0] != ids[1]
    assert "always-the-same" not in ids


async def test_a_line_of_a_request_names_no_person(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.requests")
    await site.decide()
    assert not caplog.records  # nobody asked for lines
    site.request_lines.toggle()
    caplog.clear()
    await site.decide(headers={**WRITE, "x-request-id": "r1"})
    await site.client.get("/v1/visitors/jane.roe", headers=SERVER)
    decide, visitor = [vars(record) for record in caplog.records]
    assert (decide["method"], decide["path"], decide["status"]) == ("POST", "/v1/decide", 200)
    assert (decide["source"], decide["request_id"], decide["tiers"]) == ("web", "r1", "personalised")
    assert decide["ms"] > 0
    assert visitor["path"] == "/v1/visitors/{visitor_id:path}"
    assert visitor["visitor"] == visitor_mark(site.services().visitor_mark_key, "jane.roe")
    assert not any("jane" in str(vars(record)) for record in caplog.records)
    site.request_lines.toggle()
    caplog.clear()
    await site.decide()
    assert not [record for record in caplog.records if record.name == "api.requests"]
