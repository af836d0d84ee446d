"""A connection is held to its bounds, is told why where it can be, and makes room for others while it rests."""

from __future__ import annotations

import asyncio
import pickle
import resource
from collections.abc import Callable
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from api.http.door import Bounds, Door
from api.http.http_protocol import JoiningProtocol
from api.main import server_config
from config.setting_values import networks_of
from config.settings import InvalidSettings, Settings

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"


class Wire:
    """A transport that remembers what was done to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.written = b""
        self.closed = self.aborted = self.paused = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.address, 1) if name == "peername" else default


class House:
    """A server behind a door, whose answers may be held back."""

    def __init__(self, **bounds: Any) -> None:
        self.door = Door(Bounds(**bounds))
        self.answers = asyncio.Event()
        self.answers.set()
        self.n_answered = 0
        self.reads = True
        self.config = Config(
            self.app, interface="asgi3", ws="none", lifespan="off", proxy_headers=False, log_level="warning"
        )
        self.config.load()
        self.state = ServerState()

    async def app(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        while self.reads and (await receive()).get("more_body"):
            pass
        await self.answers.wait()
        self.n_answered += 1
        body = b"%d" % self.n_answered
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
        )
        await send({"type": "http.response.body", "body": body})

    def connect(self, address: str = "192.0.2.1") -> tuple[JoiningProtocol, Wire]:
        wire = Wire(address)
        connection = JoiningProtocol(self.config, self.state, {}, asyncio.get_running_loop(), door=self.door)
        connection.connection_made(cast(asyncio.Transport, wire))
        return connection, wire

    async def asked(self, address: str = "192.0.2.1", request: bytes = GET) -> tuple[JoiningProtocol, Wire]:
        connection, wire = self.connect(address)
        connection.data_received(request)
        await turns()
        return connection, wire

    def wait(self, seconds: int, *connections: JoiningProtocol) -> None:
        for _ in range(seconds):
            self.door.n_looks += 1
            for connection in connections:
                connection.look()


async def turns(n: int = 50) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def head(n_headers: int, n_bytes: int) -> bytes:
    begin = b"GET / HTTP/1.1\r\n"
    lines = [b"h%d: " % n for n in range(n_headers)]
    lines[-1] += b"x" * (n_bytes - sum(len(line) + 2 for line in lines) - len(begin) - 2)
    return begin + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


async def test_a_head_within_the_bounds_is_answered() -> None:
    for piece in (1_000, 100_000):
        house = House()
        connection, wire = house.connect()
        request = head(100, 32 * 1024)
        for at in range(0, len(request), piece):
            connection.data_received(request[at : at + piece])
        await turns()
        assert wire.written.startswith(b"HTTP/1.1 200")
        assert not wire.closed


@pytest.mark.parametrize(
    "request_",
    [head(101, 2_000), head(3, 33 * 1024), head(3, 33 * 1024)[:-2], b"GET /" + b"x" * 40_000, b"\r\n" * 20_000],
    ids=["headers", "bytes", "no end", "target", "no beginning"],
)
@pytest.mark.parametrize("piece", [1_000, 100_000])
async def test_a_head_beyond_them_is_refused_and_the_connection_closed(request_: bytes, piece: int) -> None:
    house = House()
    connection, wire = house.connect()
    for at in range(0, len(request_), piece):
        connection.data_received(request_[at : at + piece])
    await turns()
    assert wire.written.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b'"field":"headers"' in wire.written
    assert b"\r\nconnection: close\r\n" in wire.written
    assert b"\r\ncache-control: no-store\r\n" in wire.written
    assert wire.closed
    assert house.n_answered == 0


async def test_what_is_no_body_of_a_chunked_one_is_bounded_like_a_head() -> None:
    begin = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    for extra in (b"0\r\nx-trailer: ", b"5;extension="):
        connection, wire = House().connect()
        connection.data_received(begin + extra)
        for _ in range(40):
            connection.data_received(b"x" * 1_000)
        assert wire.written.startswith(b"HTTP/1.1 431")
        assert wire.closed


async def test_a_large_body_in_small_chunks_is_no_head() -> None:
    connection, wire = House().connect()
    connection.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(40):
        connection.data_received(b"1\r\nx\r\n" * 300)
    connection.data_received(b"0\r\n\r\n")
    await turns()
    assert wire.written.startswith(b"HTTP/1.1 200")


async def test_seventeen_requests_at_once_are_answered_in_order_and_no_more() -> None:
    house = House()
    house.answers.clear()
    connection, wire = house.connect()
    connection.data_received(GET * 10_000)
    assert wire.paused
    house.answers.set()
    await turns(400)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in wire.written.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"%d" % n for n in range(1, 18)
    ]
    assert wire.written.count(b"connection: close") == 1
    assert wire.closed


async def test_seventeen_and_later_seventeen_more_are_all_answered() -> None:
    house = House()
    connection, wire = house.connect()
    for _ in range(3):
        connection.data_received(GET * 17)
        await turns(400)
    assert house.n_answered == 51
    assert not wire.closed


async def test_a_refusal_overtakes_no_answer() -> None:
    house = House()
    house.answers.clear()
    connection, wire = await house.asked()
    connection.data_received(b"GET / HTTP/1.1\r\n" + b"x" * 40_000)
    await turns()
    assert wire.written == b""
    house.answers.set()
    await turns()
    assert wire.written.startswith(b"HTTP/1.1 200")
    assert b"431" not in wire.written
    assert wire.closed


async def test_a_queued_request_whose_body_does_not_come_holds_up_no_answer() -> None:
    house = House()
    house.answers.clear()
    connection, wire = await house.asked()
    connection.data_received(POST)
    connection.flow.resume_reading()
    house.wait(16, connection)
    house.answers.set()
    await turns()
    assert wire.written.startswith(b"HTTP/1.1 200")
    assert (house.n_answered, wire.closed) == (1, True)


async def test_what_is_not_http_is_told_so() -> None:
    _, wire = await House().asked(request=b"\x16\x03\x01 hello\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 400")
    assert b'"code":"bad_request"' in wire.written
    assert wire.closed


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"", 10, b""),
        (b"GET / HT", 10, b"408"),
        (GET, 75, b"200"),
        (GET + b"GE", 75, b"200"),
        (POST + b"x" * 90_000, 15, b"408"),
        (POST + b"x" * 5_000, 9, b"408"),
        (POST, 5, b"408"),
    ],
)
async def test_who_is_slower_than_may_be_is_closed(sent: bytes, seconds: int, status: bytes) -> None:
    house = House()
    connection, wire = await house.asked(request=sent)
    connection.flow.resume_reading()
    house.wait(seconds, connection)
    assert not wire.is_closing()
    house.wait(1, connection)
    assert wire.closed
    assert wire.written[9:12] == status


async def test_pieces_of_a_head_give_no_more_time() -> None:
    house = House()
    connection, wire = house.connect()
    house.wait(8, connection)
    connection.data_received(b"GET / HTTP/1.1\r\n")  # its time begins with its first byte
    for _ in range(10):
        house.wait(1, connection)
        connection.data_received(b"a: b\r\n")
    assert not wire.closed
    house.wait(1, connection)
    assert wire.written.startswith(b"HTTP/1.1 408")


async def test_a_body_that_waits_for_us_is_not_slow() -> None:
    house = House()
    connection, wire = await house.asked(request=POST)
    connection.flow.pause_reading()
    house.wait(60, connection)
    connection.flow.resume_reading()
    house.wait(5, connection)
    assert not wire.is_closing()
    house.wait(1, connection)
    assert wire.closed, "from then on it is"


async def test_the_time_between_two_requests_begins_with_the_answer() -> None:
    house = House()
    house.answers.clear()
    connection, wire = await house.asked()
    house.wait(70, connection)
    house.answers.set()
    await turns()
    house.wait(75, connection)
    assert not wire.is_closing()
    house.wait(1, connection)
    assert wire.closed


async def test_an_answer_that_nobody_reads_is_not_kept_for_ever() -> None:
    house = House()
    connection, wire = await house.asked()
    connection.pause_writing()
    house.wait(30, connection)
    assert not wire.aborted
    house.wait(1, connection)
    assert wire.aborted


async def test_a_client_that_was_answered_early_may_send_the_rest_but_not_for_ever() -> None:
    house = House()
    house.reads = False
    connection, wire = await house.asked(request=POST)
    for _ in range(15):
        connection.data_received(b"x" * 5_000)
        house.wait(1, connection)
    await turns()
    assert not wire.is_closing()
    house.wait(1, connection)
    assert wire.closed
    assert wire.written.count(b"HTTP/1.1") == 1


async def test_at_the_bound_the_oldest_that_never_asked_makes_room_then_who_rests_longest() -> None:
    house = House(connections=4)
    rests_longer, rests = await house.asked(), await house.asked()
    older, newer = house.connect(), house.connect()
    rests_longer[0].data_received(GET)
    await turns()
    places = [older, newer, rests, rests_longer]  # in the order in which they go
    for gone in range(4):
        _, wire = await house.asked()  # rests behind them
        assert [each.aborted for _, each in places] == [True] * (gone + 1) + [False] * (3 - gone)
        assert wire.written.startswith(b"HTTP/1.1 200")
    assert len(house.door) == 4


async def test_a_request_under_way_makes_no_room() -> None:
    house = House(connections=2)
    house.answers.clear()
    asking = [await house.asked(), await house.asked()]
    _, late = house.connect()
    await turns()
    assert late.written.startswith(b"HTTP/1.1 503")
    assert late.closed
    house.answers.set()
    await turns()
    assert all(wire.written.startswith(b"HTTP/1.1 200") for _, wire in asking)


async def test_one_address_takes_up_its_own_places_alone() -> None:
    house = House(of_an_address=2, trusted=networks_of("10.0.0.0/8"))
    house.answers.clear()
    others = [house.connect(f"192.0.2.{n}") for n in range(2, 6)]
    same = [await house.asked() for _ in range(3)]
    behind_a_proxy = [await house.asked("10.1.1.1") for _ in range(5)]
    house.answers.set()
    await turns()
    assert same[2][1].written.startswith(b"HTTP/1.1 429")
    assert b"NEXTBEST_TRUSTED_PROXIES" in same[2][1].written
    assert not any(wire.closed for _, wire in [*others, *same[:2], *behind_a_proxy])
    house.connect()
    assert same[0][1].aborted, "what rests of the same address makes room"
    assert not any(wire.closed for _, wire in others)


async def test_of_one_address_who_rests_longest_makes_room() -> None:
    house = House(of_an_address=3)
    places = [await house.asked() for _ in range(3)]
    for at in (1, 2, 0):
        house.wait(1)
        places[at][0].data_received(GET)
        await turns()
    await house.asked()
    assert [wire.aborted for _, wire in places] == [False, True, False]


async def test_who_left_takes_up_no_place() -> None:
    house = House(connections=2, of_an_address=1)
    house.answers.clear()
    for _ in range(5):
        connection, wire = await house.asked()
        assert not wire.closed
        connection.connection_lost(None)
    assert len(house.door) == 0


def test_descriptors_are_left_for_what_is_no_connection() -> None:
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert Bounds.of(Settings(max_connections=10**9)).connections <= open_files - min(128, open_files // 2)


def test_each_process_has_a_door_of_its_own() -> None:
    ours: Any = server_config(Settings(max_connections=7)).http
    theirs = pickle.loads(pickle.dumps(ours))  # as processes that are spawned get it
    assert theirs.func is JoiningProtocol
    assert theirs.keywords["door"].bounds == Bounds(connections=7)
    assert theirs.keywords["door"] is not ours.keywords["door"]


def test_proxies_are_addresses_and_networks() -> None:
    with pytest.raises(InvalidSettings, match="NEXTBEST_TRUSTED_PROXIES"):
        Settings.from_environment({"NEXTBEST_TRUSTED_PROXIES": "proxy.example"})
    with pytest.raises(InvalidSettings, match="NEXTBEST_MAX_CONNECTIONS_OF_ADDRESS: must be 1 or more"):
        Settings.from_environment({"NEXTBEST_MAX_CONNECTIONS_OF_ADDRESS": "0"})
    settings = Settings.from_environment({"NEXTBEST_TRUSTED_PROXIES": "10.0.0.7, fd00::/8"})
    assert [Bounds.of(settings).trusts(address) for address in ("10.0.0.7", "10.0.0.8", "fd00::1")] == [
        True,
        False,
        True,
    ]
