"""What TypeScript's client has of its own: the end of Node, and a storage that outlives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.schema_types import typescript
from tests.clients.stub_server import Stub, serving
from tests.clients.typescript import built, run
from tests.servers import ROOT

STORAGE = """
class Storage extends Map {
  get length() { return this.size; }
  key(index) { return [...this.keys()][index] ?? null; }
  getItem(key) { return this.get(key) ?? null; }
  setItem(key, value) { this.set(key, value); }
  removeItem(key) { this.delete(key); }
}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("typescript"))


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


def node(package: Path, code: str) -> str:
    """What a script says that imports the client."""
    (package / "script.mjs").write_text('import { Client } from "@nextbest/client";\n' + code)
    done = run(package, "node", "script.mjs")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_node_that_ends_sends_what_waits(package: Path, stub: Stub) -> None:
    code = f"""
    const client = new Client({{ url: "{stub.url}", key: "pk", flushEveryMs: 600000 }});
    client.track({{ anonymousId: "a1" }}, "last words");
    """
    assert node(package, code) == ""
    assert [event["event"] for event in stub.events()] == ["last words"]


def test_a_node_that_cannot_send_ends_in_time_and_says_what_is_lost(package: Path, stub: Stub) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After="60")
    code = f"""
    const client = new Client({{ url: "{stub.url}", key: "pk", closeTimeoutMs: 20000 }});
    client.track({{ anonymousId: "a1" }}, "lost");
    """
    said = node(package, code)
    assert "not_sent: 1 events were not sent" in said
    assert len(stub.asked) == 1


def test_what_one_page_left_in_the_storage_is_sent_by_the_next(package: Path, stub: Stub) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After="60")
    code = f"""{STORAGE}
    const storage = new Storage([["another's", "stays"]]);
    const options = {{ url: "{stub.url}", key: "pk", storage, flushEveryMs: 1 }};
    let tried;
    const failed = new Promise((resolve) => (tried = resolve));
    const first = new Client({{ ...options, onError: tried }});
    for (const name of ["one", "two", "three"]) first.track({{ anonymousId: "a1" }}, name);
    first.reward("d-1", 1, {{ messageId: "r" }});
    await failed;
    await first.close();
    const left = storage.size;
    const second = new Client(options);
    await second.flush();
    console.log(JSON.stringify([left, [...storage.keys()]]));
    """
    assert json.loads(node(package, code)) == [5, ["another's"]]
    tried, sent, reward = stub.asked
    assert [event["event"] for event in sent.body["events"]] == ["one", "two", "three"]
    assert sent.body["events"] == tried.body["events"]
    assert reward.body["rewards"][0]["messageId"] == "r"


def test_a_storage_that_is_full_is_told_and_loses_nothing(package: Path, stub: Stub) -> None:
    code = f"""{STORAGE}
    const storage = new Storage();
    storage.setItem = () => {{ throw new Error("QuotaExceededError"); }};
    const told = [];
    const onError = (error) => told.push(error.code);
    const client = new Client({{ url: "{stub.url}", key: "pk", storage, onError }});
    client.track({{ anonymousId: "a1" }}, "one", {{ big: 7 }});
    client.track({{ anonymousId: "a1" }}, "no JSON", {{ big: 7n }});
    await client.flush();
    console.log(JSON.stringify(told));
    """
    assert json.loads(node(package, code)) == ["storage", "invalid_argument"]
    assert [event["event"] for event in stub.events()] == ["one"]


def test_who_is_told_of_errors_and_fails_stops_nothing(package: Path, stub: Stub) -> None:
    stub.then(400, {"code": "no", "message": "n"})
    code = f"""
    const onError = () => {{ throw new Error("mine"); }};
    const client = new Client({{ url: "{stub.url}", key: "pk", onError, flushEveryMs: 1 }});
    for (const name of ["refused", "taken"]) {{
      client.track({{ anonymousId: "a1" }}, name);
      await client.flush();
    }}
    """
    assert "onError failed" in node(package, code)
    assert [event["event"] for event in stub.events()] == ["refused", "taken"]


def test_it_can_be_required_too(package: Path, stub: Stub) -> None:
    (package / "script.cjs").write_text('console.log(typeof require("@nextbest/client").Client)')
    assert run(package, "node", "script.cjs").stdout == "function\n"


def test_a_worker_sends_all_with_its_answer_though_timers_of_an_earlier_request_never_come(
    package: Path, stub: Stub
) -> None:
    """In a Worker a client of the module outlives a request, and no timer does; ids are made in requests alone."""
    code = f"""
    delete globalThis.process;
    const random = crypto.randomUUID;
    crypto.randomUUID = () => {{ throw new Error("not while it is loaded"); }};
    const client = new Client({{ url: "{stub.url}", key: "pk", flushEveryMs: 1 }});
    crypto.randomUUID = random;
    const timer = globalThis.setTimeout;
    globalThis.setTimeout = () => ({{}});
    client.track({{ anonymousId: "a1" }}, "without a flush");
    globalThis.setTimeout = timer;
    client.track({{ anonymousId: "a1" }}, "with one");
    console.log(await client.flush(5000));
    client.track({{ anonymousId: "a1" }}, "next request");
    console.log(await client.flush(5000));
    """
    assert node(package, code) == "true\ntrue\n"
    assert [event["event"] for event in stub.events()] == ["without a flush", "with one", "next request"]


def test_a_page_that_goes_sends_no_more_bytes_than_browsers_allow_and_each_event_once(
    package: Path, stub: Stub
) -> None:
    """Characters are up to four bytes."""
    code = f"""
    let hide;
    globalThis.document = {{ visibilityState: "visible", addEventListener: (_, call) => (hide = call) }};
    const sent = [];
    const fetch = async (url, init) => {{
      sent.push([init.keepalive ?? false, new TextEncoder().encode(init.body).length]);
      return globalThis.fetch(url, init);
    }};
    const client = new Client({{ url: "{stub.url}", key: "pk", flushEveryMs: 600000, fetch }});
    const text = "\\u6f22".repeat(3000);
    for (let n = 0; n < 5; n++) client.track({{ anonymousId: "a1" }}, String(n), {{ text }});
    document.visibilityState = "hidden";
    hide();
    await client.flush();
    console.log(JSON.stringify(sent));
    """
    sent = json.loads(node(package, code))
    assert sum(n_bytes for is_kept, n_bytes in sent[:1]) < 31_000
    assert sent[0][0] is True
    assert sorted(event["event"] for event in stub.events())[0] == "0"
    assert {event["event"] for event in stub.events()} == {str(n) for n in range(5)}


def test_a_page_that_was_hidden_and_lives_on_does_not_send_again_what_was_taken(package: Path, stub: Stub) -> None:
    code = f"""
    let hide;
    globalThis.document = {{ visibilityState: "hidden", addEventListener: (_, call) => (hide = call) }};
    let answered;
    const taken = new Promise((resolve) => (answered = resolve));
    const fetch = async (url, init) => {{
      const answer = await globalThis.fetch(url, init);
      setTimeout(answered, 50);
      return answer;
    }};
    const client = new Client({{ url: "{stub.url}", key: "pk", flushEveryMs: 600000, fetch }});
    client.track({{ anonymousId: "a1" }}, "one");
    hide();
    await taken;
    console.log(await client.flush());
    await client.close();
    """
    assert node(package, code) == "true\n"
    assert [event["event"] for event in stub.events()] == ["one"]


def test_the_types_of_the_wire_are_those_that_the_api_describes(package: Path) -> None:
    """What is answered is what the client says, and has no member that it does not know; what it sends is taken."""
    parts = json.loads((ROOT / "docs" / "openapi.json").read_text())["components"]["schemas"]
    told = "".join(
        f"type Told{name} = {typescript(parts[name], parts)};\n"
        for name in ("DecideAnswer", "DecisionAnswer", "Warned", "Visitor", "Placement")
    )
    (package / "wire.ts").write_text(
        'import type { AnswerFields, Decision, Placement, Visitor, Warned } from "@nextbest/client";\n'
        + told
        + """
        type Unknown<Told, Known> = Exclude<keyof Told, keyof Known>;
        declare const told: { answer: ToldDecideAnswer, visitor: Visitor, placement: Placement };
        export const answer: AnswerFields = told.answer;
        export const visitor: Required<{ [name in keyof ToldVisitor]: unknown }> = {} as Required<Visitor>;
        export const sentVisitor: { [name in keyof Visitor]?: ToldVisitor[name] | undefined } = told.visitor;
        export const sentPlacement: ToldPlacement = told.placement;
        export const none: never[] = [] as (Unknown<ToldDecideAnswer, AnswerFields>
            | Exclude<Unknown<ToldDecisionAnswer, Decision>, "explanation">
            | Exclude<Unknown<ToldWarned, Warned>, "index">)[];
        // @ts-expect-error: of a default it is null, and of the server's never
        export const decision: ToldDecisionAnswer = {} as Decision;
        """
    )
    (package / "package.json").write_text('{"type": "module"}')
    options = ["--strict", "--noEmit", "--module", "NodeNext", "--target", "ES2022", "--lib", "ES2022"]
    compiled = run(package, "tsc", *options, "wire.ts")
    assert (compiled.stdout, compiled.returncode) == ("", 0)
