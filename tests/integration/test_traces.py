"""One trace from the request through the log to the folder, the outcome and the model, on either log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests import commands
from tests.integration.collector import Collector, Taken, collecting
from tests.requirements import require
from tests.running import ROOT, Up, start, stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 300ms
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module", params=["redis_streams", pytest.param("kafka", marks=pytest.mark.kafka)])
def up(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Up]:
    require("redis")
    catalog = tmp_path_factory.mktemp("catalog")
    (catalog / "hero.yaml").write_text(CATALOG)
    settings = {
        "NEXTBEST_REDIS_TIMEOUT_MS": "1000",  # others use this machine too
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_CHECKPOINT_MS": "500",
        "NEXTBEST_LOG": "json",
        "NEXTBEST_LOG_REQUESTS": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",  # those alone that a server asks for
    }
    if request.param == "kafka":
        settings["NEXTBEST_KAFKA"] = request.getfixturevalue("kafka_server")
        settings["NEXTBEST_PARTITIONS"] = "4"
        settings["NEXTBEST_NAMESPACE"] = "traces"
    running = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog), **settings)
    yield running
    stop(running)


def decide(
    up: Up, visitor: str, request_id: str | None = None, **headers: str
) -> tuple[dict[str, Any], dict[str, str]]:
    body = {"visitor": {"userId": visitor}, "placements": ["hero"], "requestId": request_id}
    request = Request(
        up.url + "/v1/decide",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer sk_dev", **headers},
    )
    with urlopen(request, timeout=30) as answer:
        return json.loads(answer.read()), {name.lower(): value for name, value in answer.headers.items()}


def test_one_trace_goes_from_the_request_to_the_model(up: Up, collector: Collector) -> None:
    collector.spans.clear()
    body, headers = decide(up, "u1", traceparent=f"00-{TRACE}-{SPAN}-01", **{"x-request-id": "proxy-1"})
    decide(up, "u2")  # nobody asks for a trace of this one
    assert headers["x-request-id"] == body["requestId"] == "proxy-1"
    wanted = {"decide", "read", "score", "answer", "fold", "fold and append", "write", "close", "learn"}
    until(lambda: {span.name for span in collector.of_trace(TRACE)} >= wanted, f"spans {sorted(wanted)}")
    spans = collector.of_trace(TRACE)
    (request,) = named(spans, "decide")
    assert (request.parent, request.service) == (SPAN, "nextbest-api")
    assert headers["traceparent"] == f"00-{TRACE}-{request.id}-01"
    assert request.attributes["nextbest.request_id"] == "proxy-1"
    for name in ("score", "answer"):
        assert [span.parent for span in named(spans, name)] == [request.id]
    (fold,) = named(spans, "fold")
    assert (fold.parent, fold.service) == (request.id, "nextbest-folder")
    assert fold.attributes["nextbest.event"] == "DecisionMade"
    assert [span.parent for span in named(spans, "write")] == [fold.id]
    (close,) = named(spans, "close")
    decision_id = body["decisions"][0]["decisionId"]
    assert (close.parent, close.attributes["nextbest.decision_id"]) == (request.id, decision_id)
    (learn,) = named(spans, "learn")
    assert (learn.parent, learn.service) == (close.id, "nextbest-learner")
    assert learn.attributes["nextbest.result"] == "learned"
    others = {span.trace for span in collector.spans} - {TRACE}
    batches = {link for span in collector.spans if span.id == fold.id for link in span.links}
    assert others == batches  # each time that it was folded, and nothing of what nobody asked for


def test_every_process_logs_objects_that_name_the_request_and_nobody(up: Up) -> None:
    decide(up, "jane.roe", **{"x-request-id": "proxy-2"})
    until(lambda: bool(of_request(up, "proxy-2")), "the request has its line")
    (line,) = of_request(up, "proxy-2")
    assert (line["path"], line["status"], line["tiers"]) == ("/v1/decide", 200, "personalised")
    lines = logged(up)
    assert {line["level"] for line in lines} <= {"INFO", "WARNING"}
    assert "jane" not in json.dumps(lines)


def of_request(up: Up, request_id: str) -> list[dict[str, Any]]:
    return [line for line in logged(up) if line["event"] == "request" and line["request_id"] == request_id]


def logged(up: Up) -> list[dict[str, Any]]:
    """Every whole line of every process of ours; each must be an object."""
    paths = [path for path in (up.data_dir / "logs").glob("*.log") if not path.name.startswith("redis")]
    assert {path.name for path in paths} >= {"api.log", "folder.log", "learner.log", "projector.log"}
    return [json.loads(line) for path in paths for line in path.read_text().splitlines(True) if line.endswith("\n")]


def named(spans: list[Taken], name: str) -> list[Taken]:
    return [span for span in spans if span.name == name]


def command(up: Up, *arguments: str) -> str:
    done = ran(up, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(up: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside it, which finds it by its data folder."""
    return commands.ran(arguments, {**os.environ, "NEXTBEST_DATA_DIR": str(up.data_dir)})


def told(up: Up, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(up, *arguments, "--json").splitlines()]


def test_a_visitor_and_a_request_are_told_from_the_records_and_the_audit_knows_who_asked(up: Up) -> None:
    trace = TRACE[:-1] + "d"
    body, _ = decide(up, "watched", traceparent=f"00-{trace}-{SPAN}-01", **{"x-request-id": "watched-1"})
    decision_id = body["decisions"][0]["decisionId"]
    event = {
        "type": "track",
        "event": "Product Viewed",
        "userId": "watched",
        "properties": {"note": "private words"},
    }
    up.call("POST", "/v1/events", event)
    up.call("POST", f"/v1/decisions/{decision_id}/reward", {"value": 1.0, "name": "click"})

    def story() -> dict[str, Any]:
        done = ran(up, "trace", "watched-1", "--json")
        return {} if done.returncode else dict(json.loads(done.stdout))

    found: dict[str, Any] = {}

    def is_learned() -> bool:
        found.update(story())
        return found.get("learned") is True

    until(is_learned, "the request's decision is learned, and in the checkpoint")
    assert (found["decision_id"], found["placement"], found["trace_id"]) == (decision_id, "hero", trace)
    assert (found["reward"], found["trains"], found["folded"]) == (1.0, True, True)
    (by_trace,) = told(up, "trace", trace)
    assert by_trace["decision_id"] == decision_id, "a request with two names is found by either"

    moments = told(up, "log", "watched")
    assert [moment["kind"] for moment in moments if moment["kind"] != "time_out"] == [
        "decision",
        "event",
        "reward",
        "outcome",
    ]
    assert moments[0]["trace_id"] == moments[-1]["trace_id"] == trace
    assert moments[0]["request_id"] == "watched-1"
    assert (moments[-1]["decision_id"], moments[-1]["reward"]) == (decision_id, 1.0)
    text = command(up, "log", "watched")
    assert "Product Viewed" in text
    assert "private words" not in text

    reads = told(up, "audit", "show", "--trail", "reads", "--visitor", "watched")
    assert {read["act"] for read in reads} == {"trace", "log"}  # a request is read of its visitor
    assert all(read["actor"].startswith("command line") for read in reads)


def test_a_request_is_found_by_whatever_name_was_sent_or_answered(up: Up) -> None:
    trace = TRACE[:-1] + "e"
    headers = {"traceparent": f"00-{trace}-{SPAN}-01", "x-request-id": "named-by-proxy"}
    body, answered = decide(up, "often-named", request_id="named-by-caller", **headers)
    decision_id = body["decisions"][0]["decisionId"]
    assert (body["requestId"], answered["x-request-id"]) == ("named-by-caller", "named-by-proxy")
    until(lambda: ran(up, "trace", "named-by-caller").returncode == 0, "the request is found by its body's id")
    for name in ("named-by-caller", "named-by-proxy", trace):
        (story,) = told(up, "trace", name)
        assert (story["decision_id"], story["trace_id"]) == (decision_id, trace)


def test_whoever_follows_a_visitor_sees_what_happens_next_once(up: Up) -> None:
    decide(up, "followed")
    following = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "log", "followed", "--follow", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NEXTBEST_DATA_DIR": str(up.data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal: whoever starts the tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with following:
        assert following.stdout is not None
        try:
            first = json.loads(following.stdout.readline())
            event = {"type": "track", "event": "\x1b[2JSeen\x9b", "userId": "followed"}
            up.call("POST", "/v1/events", event)
            lines: list[str] = []
            while not lines or json.loads(lines[-1])["kind"] != "event":
                lines.append(following.stdout.readline())
            following.send_signal(signal.SIGINT)
            rest, words = following.communicate(timeout=30)
        finally:
            following.kill()
    assert (first["kind"], following.returncode) == ("decision", 130)
    assert "Traceback" not in words
    assert json.loads(lines[-1])["words"] == event["event"]
    assert all(line.rstrip("\n").isprintable() for line in lines)
    found = [
        (each["kind"], each["at_ms"], each.get("offset")) for each in map(json.loads, lines + rest.splitlines())
    ]
    assert len(found) == len(set(found))


def test_what_is_not_found_is_said_and_stands_in_no_audit(up: Up) -> None:
    """It may be anything, such as an address that was typed in the wrong place; and no audit is erased."""
    for act in ("trace", "log"):
        done = ran(up, act, "jane.roe@example.com")
        assert (done.returncode, "nothing is found of jane.roe@example.com" in done.stderr) == (1, True)
    reads = told(up, "audit", "show", "--trail", "reads", "--limit", "2")
    assert [read["act"] for read in reads] == ["trace", "log"]
    assert "jane" not in json.dumps(reads)
