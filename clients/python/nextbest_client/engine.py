"""What both clients do: events that wait to be sent, decides on threads, and a life of their own after a fork."""

from __future__ import annotations

import atexit
import functools
import os
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Union

from nextbest_client.asking import Asked
from nextbest_client.batch import EVENTS_PATH, EXPOSURES_PATH, REWARDS_PATH, Item
from nextbest_client.connections import Connections
from nextbest_client.encoding import encoded
from nextbest_client.errors import NextbestError, as_nextbest_error
from nextbest_client.options import OptionFields, Options
from nextbest_client.outbox import Outbox
from nextbest_client.sender import Sender
from nextbest_client.wire import Answer, Decision, EventFields, Visitor, sent

if TYPE_CHECKING:
    from typing import Unpack

Decided = Union[Decision, str]
_SAID = {"message_id": "messageId"}


class Engine:
    """The part of a client that waits for nothing.

    Parameters
    ----------
    url, key
        Of the installation, and a write key or a server key of yours.
    more
        Fields of ``Options``, beside those of ``options``.
    """

    def __init__(self, url: str, key: str, options: Options | None = None, **more: Unpack[OptionFields]) -> None:
        self._options = replace(options or Options(), **more)
        self._connections = Connections(url, key, self._options.ssl_context)
        self._begin()
        if self._options.disk is not None:
            self._sender.start()  # what an earlier process left goes out though nothing new comes
        _alive.add(self)
        atexit.register(self._close)

    def _begin(self) -> None:
        self._outbox = Outbox(self._options)
        self._sender = Sender(self._connections, self._outbox, self._options)
        self._threads = ThreadPoolExecutor(self._options.n_connections, "nextbest-decide")

    def _begin_again(self) -> None:
        """In a forked process: what waits is the parent's to send, and connections are the parent's too."""
        self._connections.close()
        self._outbox.leave()
        self._begin()

    def track(
        self, visitor: Visitor, event: str, properties: Mapping[str, Any] | None = None, **more: Unpack[EventFields]
    ) -> str:
        """Say what the visitor did; ``more`` are other fields of the event, such as ``context`` or ``timestamp``.

        Like all that follow it waits for nothing and raises nothing: the event is sent behind the call, until the
        server took it. The message id, by which it counts once.
        """
        return self._event("track", visitor, {"event": event, "properties": properties, **more})

    def identify(
        self, visitor: Visitor, traits: Mapping[str, Any] | None = None, **more: Unpack[EventFields]
    ) -> str:
        """Say who the visitor is, and what is known of them."""
        return self._event("identify", visitor, {"traits": traits, **more})

    def page(
        self,
        visitor: Visitor,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        **more: Unpack[EventFields],
    ) -> str:
        """Say that the visitor looks at a page."""
        return self._event("page", visitor, {"name": name, "properties": properties, **more})

    def reward(
        self,
        decision: Decided,
        value: float = 1.0,
        *,
        name: str = "",
        final: bool = False,
        message_id: str | None = None,
    ) -> str:
        """Say what a decision was worth. A default has no id, and is left."""
        message_id = message_id or uuid.uuid4().hex
        told = {"name": name, "value": value, "messageId": message_id, "final": final}
        self._about(decision, REWARDS_PATH, lambda decision_id: {"decisionId": decision_id, **told})
        return message_id

    def activate(self, decision: Decided) -> None:
        """Say that a decision made with ``activate=False`` is shown now."""
        self._about(decision, EXPOSURES_PATH, lambda decision_id: decision_id)

    def _event(self, kind: str, visitor: Visitor, fields: Mapping[str, Any]) -> str:
        named = {_SAID.get(name, name): value for name, value in fields.items()}
        message_id = str(named.pop("messageId", None) or uuid.uuid4().hex)
        given = {name: value for name, value in named.items() if value is not None}
        event = {"type": kind, "messageId": message_id, "timestamp": int(time.time() * 1000)}
        self._put(EVENTS_PATH, lambda: {**event, **sent(visitor), **given})
        return message_id

    def _about(self, decision: Decided, path: str, told: Callable[[str], Any]) -> None:
        decision_id = decision if isinstance(decision, str) else decision.decision_id
        if decision_id:
            self._put(path, lambda: told(decision_id))

    def _put(self, path: str, told: Callable[[], Any]) -> None:
        try:
            self._outbox.put(Item(path, encoded(told())))
        except Exception as error:
            self._options.tell(as_nextbest_error(error))
        try:
            self._sender.start()
        except RuntimeError as error:
            self._options.tell(NextbestError("not_sent", f"what waits is not sent: {error}"))

    def _ask(self, asked: Asked, timeout_s: float) -> Future[Answer]:
        try:
            return self._threads.submit(asked.answer, self._connections, time.monotonic() + timeout_s)
        except RuntimeError as error:
            raise NextbestError("closed", f"the client, or the process, is closed: {error}") from error

    def _failed(self, asked: Asked, failure: Exception) -> Answer:
        """The caller's default; what the visitor did goes to the log all the same."""
        error = as_nextbest_error(failure)
        self._options.tell(error)
        if error.code != "invalid_argument":
            self._tell_events(asked)
        return asked.fallback(error)

    def _tell_events(self, asked: Asked) -> None:
        """What went with a decide nobody knows the end of; whether the server had it or not it counts once."""
        for event in asked.events():
            self._put(EVENTS_PATH, functools.partial(dict, event))

    def _close(self) -> None:
        atexit.unregister(self._close)
        self._sender.close(self._options.close_timeout_s)
        self._threads.shutdown(wait=False)
        self._connections.end()


_alive: weakref.WeakSet[Engine] = weakref.WeakSet()


def _begin_again() -> None:
    for engine in list(_alive):
        engine._begin_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
