"""The door of a process: how many connections it holds, and how long each may take for what it says.

One look a second over all connections stands for a timer at each request. It counts looks, not seconds of the
clock: while this process does not turn, nobody else is slow.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass
from typing import Protocol, Self

from api.access.networks import Network, lies_in
from config.setting_values import networks_of
from config.settings import Settings

LOOK_S = 1.0

_MOST_CONNECTIONS = 8192
"""Unless a setting says otherwise: with heads of 32 KiB that never end they hold 256 MiB."""

_RESERVED_DESCRIPTORS = 128
"""For the log, Redis, the spool, modules and the two sockets listened on; a process that serves holds about 40."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection, one address and all of them may take up.

    Attributes
    ----------
    connections
        Of all addresses together; beyond it one that rests makes room.
    of_an_address
        Of one address that is not trusted.
    trusted
        Addresses of proxies, which speak for many.
    head_bytes, headers
        Of a request, the request line among the bytes.
    head_s
        From the first byte of a request's head, or from the connection's beginning, to the end of the head.
    body_s
        From the end of the head to the end of the body.
    grace_s, least_bytes_per_s
        From the end of ``grace_s`` on a body has to come at least so fast on average.
    idle_s
        Between two requests.
    unread_s
        How long a client may leave an answer unread that does not fit into the socket's buffer.
    waiting
        Requests of one connection that wait for the answer to the one before.
    """

    connections: int = 1024
    of_an_address: int = 256
    trusted: tuple[Network, ...] = ()
    head_bytes: int = 32 * 1024
    headers: int = 100
    head_s: int = 10
    body_s: int = 15
    grace_s: int = 5
    least_bytes_per_s: int = 1024
    idle_s: int = 75
    unread_s: int = 30
    waiting: int = 16

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say; file descriptors are left for what is no connection."""
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(
            connections=room_for_connections(settings.max_connections, open_files),
            of_an_address=settings.max_connections_of_address,
            trusted=networks_of(settings.trusted_proxies),
        )

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's.

        >>> from config.setting_values import networks_of
        >>> bounds = Bounds(trusted=networks_of("10.0.0.0/8, ::1"))
        >>> [bounds.trusts(address) for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1", "192.0.2.1", "")]
        [True, True, True, False, False]
        """
        return bool(self.trusted) and lies_in(address, self.trusted)


def room_for_connections(wanted: int, open_files: int) -> int:
    """How many connections a process may hold that may open so many files, and still open some.

    >>> room_for_connections(0, 1024), room_for_connections(100, 1024), room_for_connections(5000, 1024)
    (896, 100, 896)
    >>> room_for_connections(0, 100), room_for_connections(0, 10**6), room_for_connections(20_000, 10**6)
    (50, 8192, 20000)
    >>> room_for_connections(0, resource.RLIM_INFINITY)
    8192
    """
    wanted = wanted or _MOST_CONNECTIONS
    if open_files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(open_files - _RESERVED_DESCRIPTORS, open_files // 2))


class Connection(Protocol):
    """What the door knows of a connection.

    Attributes
    ----------
    since
        At which look that began what is waited for now.
    """

    since: int

    def look(self) -> None:
        """Asked once a second: is it too slow?"""

    def make_room(self) -> None:
        """Close: somebody else needs the place."""


class Door:
    """Every connection of a process.

    Attributes
    ----------
    n_looks
        The door's clock, in seconds: looks so far.
    strangers
        Connections that never sent a whole head, the oldest first.
    idle
        Those that have been answered and have not sent another whole head, the one that rests longest first.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.n_looks = 0
        self.strangers: dict[Connection, None] = {}
        self.idle: dict[Connection, None] = {}
        self._connections: dict[Connection, str] = {}
        self._of_address: dict[str, dict[Connection, None]] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def n_at_work(self) -> int:
        """Connections with a request that is not answered yet."""
        return len(self._connections) - len(self.strangers) - len(self.idle)

    def enter(self, connection: Connection, address: str, loop: asyncio.AbstractEventLoop) -> str | None:
        """Take a connection in; where there is no room, say which bound is reached: ``address`` or ``process``."""
        bounds = self.bounds
        same = self._of_address.get(address)
        if (
            same is not None
            and len(same) >= bounds.of_an_address
            and not bounds.trusts(address)
            and not self._made_room(same)
        ):
            return "address"
        if len(self._connections) >= bounds.connections and not self._made_room(None):
            return "process"
        self._connections[connection] = address
        self._of_address.setdefault(address, {})[connection] = None
        self.strangers[connection] = None
        if self._next_look is None:
            self._next_look = loop.call_later(LOOK_S, self._look, loop)
        return None

    def leave(self, connection: Connection) -> None:
        """Forget a connection; one that is forgotten already is no matter."""
        address = self._connections.pop(connection, None)
        if address is None:
            return
        self.strangers.pop(connection, None)
        self.idle.pop(connection, None)
        same = self._of_address[address]
        del same[connection]
        if not same:
            del self._of_address[address]

    def _made_room(self, among: dict[Connection, None] | None) -> bool:
        """Close the oldest stranger, else whoever is idle for longest: of all, or among those of an address."""
        if among is None:
            found = next(iter(self.strangers), None) or next(iter(self.idle), None)
        else:
            found = next((each for each in among if each in self.strangers), None)
            found = found or min((each for each in among if each in self.idle), key=_since, default=None)
        if found is None:
            return False
        self.leave(found)
        found.make_room()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.n_looks += 1
        self._next_look = loop.call_later(LOOK_S, self._look, loop) if self._connections else None
        for connection in tuple(self._connections):
            connection.look()


def _since(connection: Connection) -> int:
    return connection.since


_closed: Counter[str] = Counter()


def count_closed(reason: str) -> None:
    """Count a connection that was closed at a bound."""
    _closed[reason] += 1


def closed_so_far() -> dict[str, int]:
    """How many connections this process closed, by the bound they were at."""
    return dict(_closed)
