"""Named points at which a test can make a worker die or freeze, and switches that turn its safeguards off.

Armed by the environment alone, for one process: ``NEXTBEST_FAILPOINT=name:action[:n]`` acts on the n-th pass
(the first if none is given); ``kill`` is SIGKILL, ``stop`` SIGSTOP (whoever sent it there continues it).
``NEXTBEST_FAILPOINT_OF_ONE`` makes a folder count only batches with at least so many entries of one visitor.
``NEXTBEST_FAILPOINT_LOG`` names a file to which the point appends a JSON line about the batch it was in,
before it acts. ``NEXTBEST_UNSAFE`` names safeguards to leave out, by comma: ``fence``, ``compare-and-set``,
``emit-before-write``. A worker with any of these set says so loudly at start.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from personalization.errors import InvalidInput


class Failpoint(StrEnum):
    """Where a worker can be stopped."""

    LOADED = "loaded"
    """Visitors are read, nothing is folded."""
    EMITTED = "emitted"
    """What the batch emits is in the log, its states are not written."""
    WRITTEN = "written"
    """States and timers are written, nothing is tidied up."""
    TIDIED_UP = "tidied-up"
    """All of the batch is done, it is not acknowledged."""
    HALF_MERGED = "half-merged"
    """The losing key is a redirect, the canonical one has not taken over."""
    TRAINED = "trained"
    """A batch of outcomes is learned, no checkpoint holds it."""
    CHECKPOINTED = "checkpointed"
    """A checkpoint is durable, nothing is committed or trimmed by it."""


class Safeguard(StrEnum):
    """What can be left out, to see that it is needed."""

    FENCE = "fence"
    COMPARE_AND_SET = "compare-and-set"
    EMIT_BEFORE_WRITE = "emit-before-write"


ACTIONS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(slots=True)
class Failpoints:
    """What this process was told to do; nothing, outside tests.

    Passing a point costs one attribute look-up and a comparison while nothing is armed.
    """

    armed: Failpoint | None = None
    action: signal.Signals = signal.SIGKILL
    passes_left: int = 0
    log_path: str = ""
    of_one: int = 0
    unsafe: frozenset[Safeguard] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Failpoints:
        """Read what is armed.

        Raises
        ------
        InvalidInput
            Where a point, an action or a safeguard is unknown.
        """
        environment = os.environ if environment is None else environment
        names = [name for name in environment.get("NEXTBEST_UNSAFE", "").split(",") if name]
        try:
            unsafe = frozenset(Safeguard(name) for name in names)
        except ValueError:
            raise InvalidInput("NEXTBEST_UNSAFE", f"must name some of {', '.join(Safeguard)}") from None
        text = environment.get("NEXTBEST_FAILPOINT", "")
        if not text:
            return cls(unsafe=unsafe)
        name, _, rest = text.partition(":")
        action, _, count = rest.partition(":")
        if name not in list(Failpoint) or action not in ACTIONS or not (count or "1").isdecimal():
            raise InvalidInput(
                "NEXTBEST_FAILPOINT", f"must be name:kill|stop[:n], name one of {', '.join(Failpoint)}"
            )
        return cls(
            Failpoint(name),
            ACTIONS[action],
            int(count or "1"),
            environment.get("NEXTBEST_FAILPOINT_LOG", ""),
            int(environment.get("NEXTBEST_FAILPOINT_OF_ONE", "0")),
            unsafe,
        )

    def hit(self, point: Failpoint, **facts: int) -> None:
        """Pass a point; act where it is the armed one and its turn has come."""
        if point is not self.armed or facts.get("most_of_one", self.of_one) < self.of_one:
            return
        self.passes_left -= 1
        if self.passes_left:
            return
        if self.log_path:
            with open(self.log_path, "a", encoding="utf-8") as log:
                log.write(json.dumps({"point": point, "pid": os.getpid(), **facts}) + "\n")
        os.kill(os.getpid(), self.action)
