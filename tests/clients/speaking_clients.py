"""Our clients, called alike: Python's that waits, Python's for asyncio, and TypeScript's in Node."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nextbest_client import Answer, AsyncClient, Client, NextbestError, Placement, Visitor
from nextbest_client.wire import Decision, Warned, camel, received, sent

from tests.clients.node import HERE

T = TypeVar("T")


class Speaking(ABC):
    """What a test calls."""

    @abstractmethod
    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer: ...

    @abstractmethod
    def track(self, visitor: Visitor, event: str, properties: Any = None, **more: Any) -> str: ...

    @abstractmethod
    def identify(self, visitor: Visitor, traits: Any = None) -> str: ...

    @abstractmethod
    def page(self, visitor: Visitor, name: str, properties: Any = None, **more: Any) -> str: ...

    @abstractmethod
    def reward(self, decision: Decision | str, value: float = 1.0, **more: Any) -> str: ...

    @abstractmethod
    def activate(self, decision: Decision | str) -> None: ...

    @abstractmethod
    def flush(self) -> bool: ...

    @abstractmethod
    def close(self) -> None: ...

    def end(self) -> None:
        """Leave nothing running."""
        self.close()

    @abstractmethod
    def told(self) -> list[NextbestError]:
        """The errors it told of so far."""


class InPython(Speaking):
    """What both clients of Python have."""

    engine: Client | AsyncClient
    errors: list[NextbestError]

    def track(self, visitor: Visitor, event: str, properties: Any = None, **more: Any) -> str:
        return self.engine.track(visitor, event, properties, **more)

    def identify(self, visitor: Visitor, traits: Any = None) -> str:
        return self.engine.identify(visitor, traits)

    def page(self, visitor: Visitor, name: str, properties: Any = None, **more: Any) -> str:
        return self.engine.page(visitor, name, properties, **more)

    def reward(self, decision: Decision | str, value: float = 1.0, **more: Any) -> str:
        return self.engine.reward(decision, value, **more)

    def activate(self, decision: Decision | str) -> None:
        self.engine.activate(decision)

    def told(self) -> list[NextbestError]:
        return self.errors


class Waiting(InPython):
    """Python's client that waits."""

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.errors = []
        self.client = self.engine = Client(url, key, on_error=self.errors.append, **options)

    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer:
        return self.client.decide(placements, visitor, **more)

    def flush(self) -> bool:
        return self.client.flush()

    def close(self) -> None:
        self.client.close()


class Awaiting(InPython):
    """Python's client for asyncio; its loop runs in a thread, as a server's does."""

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self.errors = []
        self.client = self.engine = AsyncClient(url, key, on_error=self.errors.append, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer:
        return self._run(self.client.decide(placements, visitor, **more))

    def flush(self) -> bool:
        return self._run(self.client.flush())

    def close(self) -> None:
        self._run(self.client.aclose())

    def end(self) -> None:
        if not self._loop.is_closed():
            self.close()
            self._run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class InNode(Speaking):
    """TypeScript's client, in a Node of its own."""

    def __init__(self, package: Path, url: str, key: str, **options: Any) -> None:
        module = (package / "node_modules/@nextbest/client/dist/esm/index.js").as_uri()
        given = {"url": url, "key": key, **dict(_as_options(options))}
        command = ["node", str(HERE / "nextbest_client.mjs"), module, json.dumps(given)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun = self._read()
        if "raised" in begun:
            self._end()
            raise ValueError(begun["raised"]["message"])

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "Node ended"
        return json.loads(line)

    def _call(self, method: str, *given: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, *given]) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "raised" in answer:
            raise _error(answer["raised"])
        return answer.get("value")

    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer:
        listed = placements if isinstance(placements, str) else [_sent(each) for each in placements]
        said = self._call("decide", listed, sent(visitor), dict(_as_options(more)))
        decisions = tuple(received(Decision, each) for each in said["decisions"])
        warnings = tuple(received(Warned, each) for each in said["warnings"])
        error = _error(said["error"]) if said["error"] else None
        return received(Answer, said, decisions=decisions, warnings=warnings, error=error)

    def track(self, visitor: Visitor, event: str, properties: Any = None, **more: Any) -> str:
        return str(self._call("track", sent(visitor), event, properties or {}, _camel(more)))

    def identify(self, visitor: Visitor, traits: Any = None) -> str:
        return str(self._call("identify", sent(visitor), traits))

    def page(self, visitor: Visitor, name: str, properties: Any = None, **more: Any) -> str:
        return str(self._call("page", sent(visitor), name, properties, _camel(more)))

    def reward(self, decision: Decision | str, value: float = 1.0, **more: Any) -> str:
        told = decision if isinstance(decision, str) else {"decisionId": decision.decision_id}
        return str(self._call("reward", told, value, _camel(more)))

    def activate(self, decision: Decision | str) -> None:
        self._call("activate", decision if isinstance(decision, str) else {"decisionId": decision.decision_id})

    def flush(self) -> bool:
        return bool(self._call("flush"))

    def close(self) -> None:
        self._call("close")

    def end(self) -> None:
        if self._process.poll() is None:
            self._end()

    def _end(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(20)

    def told(self) -> list[NextbestError]:
        return [_error(each) for each in self._call("told")]


Opening = Callable[..., Speaking]


def _sent(placement: str | Placement) -> Any:
    return placement if isinstance(placement, str) else sent(placement)


def _camel(given: Mapping[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in given.items()}


def _as_options(given: Mapping[str, Any]) -> Any:
    """Seconds become milliseconds, and names those of TypeScript."""
    for name, value in given.items():
        if name == "timeout":
            yield "timeoutMs", value * 1000
        elif name == "raise_errors":
            yield "throwErrors", value
        elif name.endswith("_s"):
            yield camel(f"{name[:-2]}_ms"), value * 1000
        else:
            yield camel(name), value


def _error(said: Mapping[str, Any]) -> NextbestError:
    assert said["isOurs"], said
    error = NextbestError(
        said["code"],
        said["message"],
        field=said["field"],
        request_id=said["requestId"],
        status=said["status"],
    )
    assert str(error) == said["said"]
    return error
