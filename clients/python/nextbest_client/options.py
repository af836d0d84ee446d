"""What a client may be told; the defaults fit a web server."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from nextbest_client.errors import NextbestError

LOG_EVERY_S = 10.0
_LOG = logging.getLogger("nextbest_client")


def logs() -> Callable[[NextbestError], None]:
    """What logs failures as warnings, each code once in ten seconds: a server that is away fails every call."""
    said: dict[str, float] = {}

    def on_error(error: NextbestError) -> None:
        now = time.monotonic()
        if now - said.get(error.code, -LOG_EVERY_S) >= LOG_EVERY_S:
            said[error.code] = now
            _LOG.warning("%s", error)

    return on_error


class OptionFields(TypedDict, total=False):
    """The fields of ``Options``, as arguments."""

    timeout_s: float
    raise_errors: bool
    on_error: Callable[[NextbestError], None]
    disk: str | Path | None
    max_queue_bytes: int
    flush_every_s: float
    send_timeout_s: float
    first_pause_s: float
    longest_pause_s: float
    close_timeout_s: float
    n_connections: int
    ssl_context: ssl.SSLContext | None


@dataclass(frozen=True)
class Options:
    """What a client may be told.

    Attributes
    ----------
    timeout_s
        What a decide may cost its caller, all tries together.
    raise_errors
        A decide that fails raises, instead of giving the default.
    on_error
        Is told of every failure: defaults that were given, tries to send that failed, events that were refused or
        dropped. It is called by other threads too, and logs unless you say otherwise.
    disk
        A folder in which events wait too, so that they outlive the process.
    max_queue_bytes
        What may wait; what comes beyond it is dropped, and told.
    flush_every_s
        How long an event waits for others to go with.
    send_timeout_s
        Of one try to send a batch.
    first_pause_s, longest_pause_s
        Between tries to send; they double, and each is drawn between half and the whole.
    close_timeout_s
        What is left when a client is closed, or the process exits, is tried for so long.
    n_connections
        How many decides are under way at most.
    """

    timeout_s: float = 0.5
    raise_errors: bool = False
    on_error: Callable[[NextbestError], None] = field(default_factory=logs)
    disk: str | Path | None = None
    max_queue_bytes: int = 16 * 1024 * 1024
    flush_every_s: float = 1.0
    send_timeout_s: float = 10.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    close_timeout_s: float = 5.0
    n_connections: int = 32
    ssl_context: ssl.SSLContext | None = None

    def tell(self, error: NextbestError) -> None:
        """Call ``on_error``; what it raises is logged, and stops nothing."""
        try:
            self.on_error(error)
        except Exception:
            _LOG.exception("on_error failed")
