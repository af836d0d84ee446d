"""A request that is recorded: its spans, what the log carries of it, and who may have one recorded."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import FrameType

import pytest

from tests.running import ROOT
from tests.unit.api.site import SERVER, WRITE, Site, open_site
from tracing.current_trace import current_trace_id
from tracing.sampler import Sampler
from tracing.span import Kind, Span
from tracing.trace_context import of_carried
from tracing.tracer import Tracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ALL, NONE = Sampler(1 << 64, follows_caller=True), Sampler(0, follows_caller=True)


@dataclass
class Recorded:
    """What was handed over for the collector."""

    sampler: Sampler
    spans: list[Span] = field(default_factory=list)

    def tracer(self) -> Tracer:
        return Tracer(self.sampler, self.spans.append)


def by_name(spans: list[Span]) -> dict[str, Span]:
    found = {span.name: span for span in spans}
    assert len(found) == len(spans)
    return found


async def test_a_decision_is_one_trace_of_the_request_and_its_parts_and_the_log_carries_it() -> None:
    recorded = Recorded(ALL)
    async with open_site(tracer=recorded.tracer()) as site:
        response = await site.decide(events=[{"type": "track", "event": "Seen", "messageId": "m1"}])
        spans = by_name(recorded.spans)
        assert set(spans) == {"decide", "read", "score", "answer"}
        request = spans["decide"]
        assert (request.parent_id, request.kind, request.failed) == (b"", Kind.SERVER, "")
        assert request.attributes["nextbest.tiers"] == "personalised"
        assert request.attributes["http.route"] == "/v1/decide"
        for name in ("read", "score", "answer"):
            part = spans[name]
            assert (part.trace_id, part.parent_id) == (request.trace_id, request.span_id)
            assert request.began_ns <= part.began_ns <= part.ended_ns <= request.ended_ns
        places = [of_carried(entry.trace) for _, entry in site.spool.entries()]
        places += [of_carried(record.trace) for record in site.spool.decisions()]
        assert len(places) >= 3
        assert {(place.trace_id, place.span_id) for place in places if place} == {
            (request.trace_id, request.span_id)
        }
        assert all(places)
        assert request.trace_id.hex().endswith(response.json()["requestId"])
        assert response.headers["traceparent"] == f"00-{request.trace_id.hex()}-{request.span_id.hex()}-01"
        assert current_trace_id() is None


async def test_events_and_rewards_carry_their_own_requests_trace() -> None:
    recorded = Recorded(ALL)
    async with open_site(tracer=recorded.tracer()) as site:
        await site.collect({"type": "track", "event": "Seen", "anonymousId": "a1", "messageId": "m1"})
        await site.reward()
        carried = [entry.trace[:16] for _, entry in site.entries()]
        assert carried == [span.trace_id for span in recorded.spans]
        assert len(set(carried)) == 2


async def test_what_is_not_recorded_makes_no_span_and_the_log_carries_nothing() -> None:
    recorded = Recorded(NONE)
    async with open_site(tracer=recorded.tracer()) as site:
        response = await site.decide()
        assert not recorded.spans
        assert "traceparent" not in response.headers
        assert [entry.trace for _, entry in site.spool.entries()] == [b""]


@pytest.mark.parametrize(("sampler", "flag", "n"), [(NONE, "01", 1), (ALL, "00", 0)])
async def test_a_server_decides_whether_its_own_trace_is_recorded(sampler: Sampler, flag: str, n: int) -> None:
    recorded = Recorded(sampler)
    async with open_site(tracer=recorded.tracer()) as site:
        await site.decide(headers={**SERVER, "traceparent": f"00-{TRACE}-{SPAN}-{flag}"})
        requests = [span for span in recorded.spans if span.name == "decide"]
        assert [(span.trace_id.hex(), span.parent_id.hex()) for span in requests] == [(TRACE, SPAN)] * n


async def test_a_page_has_no_say_in_what_is_recorded() -> None:
    """Everybody has its key; and a trace id of zeros at its end would lie below any bound."""
    recorded = Recorded(Sampler(1 << 40, follows_caller=True))
    async with open_site(tracer=recorded.tracer()) as site:
        for _ in range(20):
            await site.decide(headers={**WRITE, "traceparent": f"00-{TRACE[:16]}{'0' * 16}-{SPAN}-01"})
    assert not recorded.spans


async def test_a_request_that_fails_says_so_in_its_span() -> None:
    recorded = Recorded(ALL)
    async with open_site(tracer=recorded.tracer()) as site:
        site.log.error = RuntimeError("broken on purpose")
        response = await site.collect({"type": "track", "event": "Seen", "anonymousId": "a1"})
        assert response.status_code == 500
        (span,) = recorded.spans
        assert span.failed == "answered 500"
        assert span.attributes["http.response.status_code"] == 500


async def test_while_a_request_is_recorded_its_trace_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded(ALL)
    async with open_site(tracer=recorded.tracer()) as traced:
        seen: list[str | None] = []
        monkeypatch.setattr(traced.metrics, "decided", lambda *of: seen.append(current_trace_id()))
        await traced.decide()
        assert seen == [recorded.spans[-1].trace_id.hex()]


async def test_nothing_of_traces_runs_where_nobody_asks_and_two_calls_of_one_that_is_not_recorded() -> None:
    async with open_site() as off, open_site(tracer=Recorded(NONE).tracer()) as unrecorded:
        assert await run_of_tracing(off) == []
        assert await run_of_tracing(unrecorded) == ["request_trace", "records"]


async def run_of_tracing(site: Site) -> list[str]:
    """The functions of traces that run for a decision."""
    await site.decide()
    names: list[str] = []

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/trac" in frame.f_code.co_filename.removeprefix(str(ROOT)):
            names.append(frame.f_code.co_name)

    sys.setprofile(called)
    try:
        await site.decide()
    finally:
        sys.setprofile(None)
    return names
