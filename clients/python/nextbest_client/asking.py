"""A decide, from its arguments to the answer: the server's, or the caller's default."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Union

from nextbest_client.connections import Connections, pause_s
from nextbest_client.encoding import encoded
from nextbest_client.errors import NextbestError, as_nextbest_error, refusal
from nextbest_client.wire import Answer, Decision, Placement, Visitor, answer_of, sent

Placements = Union[str, Placement, Sequence[Union[str, Placement]]]

FIRST_PAUSE_S = 0.025
LONGEST_PAUSE_S = 0.2


class Asked:
    """One call of the decider. Its request id and those of its events are the same at every try."""

    def __init__(
        self,
        placements: Placements,
        visitor: Visitor,
        default: Any,
        defaults: Mapping[str, Any] | None,
        events: Sequence[Mapping[str, Any]],
        request_id: str | None,
        **more: Any,
    ) -> None:
        asked = [placements] if isinstance(placements, (str, Placement)) else list(placements)
        self._names = [each if isinstance(each, str) else each.placement for each in asked]
        self._default, self._defaults = default, defaults or {}
        self.request_id = request_id or uuid.uuid4().hex
        self._asked, self._visitor, self._events, self._more = asked, visitor, events, more
        self._at_ms = int(time.time() * 1000)

    def events(self) -> list[dict[str, Any]]:
        """What the visitor did, as it is sent: with this request, or without it where it failed."""
        common = {"timestamp": self._at_ms, **sent(self._visitor)}
        return [{"messageId": f"{self.request_id}:{n}", **common, **event} for n, event in enumerate(self._events)]

    def _body(self) -> bytes:
        body: dict[str, Any] = {
            "visitor": sent(self._visitor),
            "placements": [each if isinstance(each, str) else sent(each) for each in self._asked],
            "requestId": self.request_id,
            **{name: value for name, value in self._more.items() if value is not None},
        }
        if self._events:
            body["events"] = self.events()
        return encoded(body)

    def answer(self, connections: Connections, end_s: float) -> Answer:
        """What the server decides; tried again while there is time.

        Raises
        ------
        NextbestError
            What the server refused; or the last failure.
        """
        body = self._body()
        n_failed = 0
        while True:
            retry_after_s = 0.0
            try:
                reply = connections.post("/v1/decide", body, end_s - time.monotonic())
                if reply.status == 200:
                    return self._whole(reply.body)
                retry_after_s = reply.retry_after_s
                error = refusal(reply.status, reply.body)
            except Exception as failure:
                error = as_nextbest_error(failure)
            n_failed += 1
            pause = pause_s(n_failed, FIRST_PAUSE_S, LONGEST_PAUSE_S, retry_after_s)
            if not error.may_pass or time.monotonic() + pause >= end_s:
                raise error
            time.sleep(pause)

    def _whole(self, body: bytes) -> Answer:
        try:
            answer = answer_of(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NextbestError("bad_answer", f"this is no answer of nextbest: {error!r}", status=200) from error
        missing = set(self._names) - {decision.placement for decision in answer}
        if missing:
            raise NextbestError("bad_answer", f"nothing was decided for {', '.join(sorted(missing))}", status=200)
        return answer

    def fallback(self, error: NextbestError) -> Answer:
        """The caller's default for each placement, and why."""
        decisions = [
            Decision(
                placement=name,
                slot=0,
                decision_id=None,
                content_id=None,
                content=self._defaults.get(name, self._default),
                probability=1.0,
                policy="default",
                tier="default",
                reason=str(error),
                holdout=False,
                variant=None,
            )
            for name in self._names
        ]
        return Answer(self.request_id, tuple(decisions), error=error)
