"""What a dialect is: routes over one set of services, each with the permission it needs, and a way to say no.

A dialect translates: a request of its protocol into a call of the decider, the collector or the rewarder, and
what these give into an answer of its protocol. It knows nothing of other dialects.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from starlette.types import Receive, Scope

from api.access.caller import Caller
from api.access.networks import spoken_for
from api.access.origins import ANY, NONE
from api.access.permissions import Permission
from api.access.proof import Proof
from api.access.shown_key import IN_BODY, MAX_KEYED_BODY_BYTES, key_in_body, key_in_headers
from api.errors import ApiError, body_of, too_large, too_large_for_key
from api.http.description import Description
from api.http.exchange import JSON, NO_HEADERS, Headers, new_request_id, read_body
from api.http.request_names import request_names
from api.http.tracing_requests import request_trace
from api.limits.slices import Slices
from api.services.auditing import TRAIL_OF, AuditedRequest
from api.services.core import Core
from api.services.intake import Intake
from personalization.audit.record import Trail
from personalization.errors import NextbestError
from tracing.request_trace import RequestTrace
from tracing.trace_context import traceparent_of
from tracing.tracer import Tracer

logger = logging.getLogger(__name__)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer, of any dialect."""

    status: int
    body: bytes = b""
    headers: Headers = NO_HEADERS
    media_type: bytes = JSON


NO_CONTENT = Reply(204)
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Call:
    """One request to a route.

    Attributes
    ----------
    params
        What stands in the variable parts of the path.
    request_id
        What its caller calls it, or made for it; every answer carries it.
    began
        When it came, on the clock of ``time.perf_counter``.
    trace
        Records it; None where nobody does.
    """

    __slots__ = (
        "_address",
        "_audited",
        "_body",
        "_caller",
        "_held_bytes",
        "_intake",
        "_names",
        "_receive",
        "began",
        "core",
        "params",
        "request_id",
        "scope",
        "trace",
    )

    def __init__(self, scope: Scope, receive: Receive, core: Core) -> None:
        self.began = time.perf_counter()
        self.scope = scope
        self.core = core
        self.params: Mapping[str, str] = scope.get("path_params", _NO_PARAMS)
        self._names = names = request_names(scope)
        self.request_id = names.request_id or new_request_id()
        self.trace: RequestTrace | None = None
        self._intake: Intake | None = None
        self._receive = receive
        self._caller: Caller | None = None
        self._audited: AuditedRequest | None = None
        self._address: str | None = None
        self._held_bytes = 0
        self._body: bytes | None = None

    @property
    def caller(self) -> Caller:
        """Whoever sent it; only routes that need a permission have one."""
        if self._caller is None:
            raise NextbestError("a route that is open to everybody has no caller")
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def source(self) -> str:
        """The source whose key it shows; empty if it shows none that is one."""
        return "" if self._caller is None else self._caller.access.source

    @property
    def tiers(self) -> list[str]:
        """By which tier each of its decisions was answered."""
        answer = None if self._intake is None else self._intake.answer
        return [] if answer is None else [decision.tier for decision in answer.decisions]

    def begin_trace(self, tracer: Tracer) -> None:
        """Record it, if it is among those that are recorded."""
        self.trace = request_trace(tracer, self._names, self.request_id, self.caller)

    def named(self, headers: Headers) -> Headers:
        """The headers of its answer, with what it is called."""
        named = (b"x-request-id", self.request_id.encode())
        if self.trace is not None:
            return [named, (b"traceparent", traceparent_of(self.trace.context)), *headers]
        if self._names.parent is not None:
            return [named, (b"traceparent", traceparent_of(self._names.parent)), *headers]
        return [named, *headers]

    @property
    def address(self) -> str:
        """The address it comes from, also where a trusted proxy speaks for it; empty behind a local socket."""
        if self._address is None:
            peer = self.scope.get("client")
            host: str = peer[0] if peer else ""
            proxies = self.core.services.trusted_proxies
            if proxies and host:
                sent = [value for name, value in self.scope["headers"] if name == _FORWARDED]
                host = spoken_for(host, b",".join(sent)[-_MAX_FORWARDED_CHARS:].decode("latin-1"), proxies)
            self._address = host
        return self._address

    def weigh(self, n_things: int) -> None:
        """Say how many events, placements or items it holds: they count towards its source's limits."""
        self.core.limiter.charge(self.caller, self.address, n_things, self.began)

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body, decompressed; raises ``ApiError`` and ``InvalidInput`` as ``read_body`` does."""
        if self._body is None:
            self._body = await read_body(self.scope, self._receive, limit_bytes, self._hold)
        if len(self._body) > limit_bytes:
            raise too_large(limit_bytes)
        return self._body

    async def key_in_body(self, names: Sequence[str], limit_bytes: int) -> str | None:
        """The key in its body, under one of ``names``; raises as ``body`` does."""
        if self.scope["method"] != "POST":
            return None
        try:
            body = await self.body(limit_bytes)
        except ApiError as error:
            raise (too_large_for_key(limit_bytes) if error.code == "too_large" else error) from error
        return await key_in_body(body, names, Slices(self.core.services.turnstile))

    def _hold(self, n_bytes: int) -> None:
        self.core.bodies.take(n_bytes)
        self._held_bytes += n_bytes

    def let_go(self) -> None:
        """Give back the room of its body: it is answered."""
        if self._held_bytes:
            self.core.bodies.give_back(self._held_bytes)
            self._held_bytes = 0

    def proof(self) -> Proof:
        """What its headers prove of the user it names."""
        return shown_proof(self.scope)

    def intake(self) -> Intake:
        """What stamps all that this request brings."""
        caller = self.caller
        refuses = bool(caller.access.gpc) and (b"sec-gpc", b"1") in self.scope["headers"]
        made = self.core.services.intake(caller, self.address, gpc=refuses)
        made.answered_as = self.request_id
        made.trace = self.trace
        self._intake = made
        return made

    def audited_as(self, trail: Trail, act: str) -> AuditedRequest:
        """Begin to record it; whoever answers it reaches the record by ``audited``."""
        services = self.core.services
        made = AuditedRequest(
            services.audit,
            services.visitor_mark_key,
            trail,
            act,
            self.caller,
            self.params,
            self.address,
            services.refused_acts,
        )
        self._audited = made
        return made

    @property
    def audited(self) -> AuditedRequest:
        """Its record in the audit; only routes that are recorded have one."""
        if self._audited is None:
            raise NextbestError("this route is not recorded in the audit")
        return self._audited

    async def fail(self, status: int) -> None:
        """Record that what had begun failed; its caller is told so whether this can be recorded or not."""
        if self._audited is None:
            return
        try:
            await self._audited.fail(status)
        except NextbestError as error:
            logger.warning("audit_misses_failure", extra={"request_id": self.request_id, "reason": str(error)})


_FORWARDED = b"x-forwarded-for"
_MAX_FORWARDED_CHARS = 512
"""The end is what counts, and no chain of proxies is longer."""

Handler: TypeAlias = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a dialect.

    Attributes
    ----------
    methods
        Those it takes.
    path
        As Starlette writes them: ``/v1/visitors/{visitor_id:path}``.
    name
        What metrics and the log call it.
    permission
        What its caller must be allowed to do; None: everybody may. Whether it is recorded in the audit, and where,
        follows from it (``trail``).
    handle
        Answers. What it raises becomes an error of the dialect.
    names_in_body
        Whether what it is about stands in its body: then the handler says so (``call.audited.begin``), before it
        does anything. Of other routes it is what stands in the path, and is recorded before they are called.
    description
        What it takes and gives; None where a protocol of others says so.
    is_look
        Whether it only looks at what became of an act, which may be done again and again: it is one of the reads.
    """

    methods: tuple[str, ...]
    path: str
    name: str
    permission: Permission | None
    handle: Handler
    names_in_body: bool = False
    is_look: bool = False
    description: Description | None = None

    @property
    def trail(self) -> Trail | None:
        """Where it is recorded in the audit; None: nowhere."""
        trail = None if self.permission is None else TRAIL_OF.get(self.permission)
        return "reads" if self.is_look and trail is not None else trail

    @property
    def is_fixed(self) -> bool:
        """Whether its path has no variable part: such a route is found by one look-up, without a router."""
        return "{" not in self.path


PAGE_HEADERS = (
    "authorization",
    "content-type",
    "content-encoding",
    "x-api-key",
    "x-user-hash",
    "x-user-token",
    "x-request-id",
    "traceparent",
)
"""What every dialect takes of a page of another origin."""

ErrorBody: TypeAlias = Callable[[ApiError, str, Mapping[str, str]], bytes]
"""The body of an error, given the request's id and what stands in the variable parts of its path."""


def own_shape(error: ApiError, request_id: str, _: Mapping[str, str]) -> bytes:
    """The body of an error where no protocol of others says how it looks."""
    return body_of(error, request_id)


def shown_key(scope: Scope) -> str | None:
    """The key that a request shows in its headers."""
    return key_in_headers(scope["headers"])


def shown_proof(scope: Scope) -> Proof:
    """What a request proves by ``X-User-Hash`` or ``X-User-Token``."""
    found = Proof()
    for name, value in scope["headers"]:
        if name == b"x-user-hash":
            found = found._replace(user_hash=value.decode("latin-1"))
        elif name == b"x-user-token":
            found = found._replace(user_token=value.decode("latin-1"))
    return found


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol that callers may speak.

    Attributes
    ----------
    name
        For people.
    prefix
        Every path that begins so is this dialect's to refuse, also where no route of it fits.
    routes
        What it answers.
    key_of
        The key that a request shows in its headers or its path; raises ``InvalidInput`` for a request that cannot
        be read.
    body_keys
        Members of a body that may hold the key of a request that shows none elsewhere.
    keyed_body_bytes
        How large such a body may be.
    error_body
        The body of an error.
    accepted_headers
        Request headers that a page of another origin may send, lower case.
    exposed_headers
        Response headers that a page of another origin may read, lower case.
    is_for_pages
        Whether pages may ask at all.
    """

    name: str
    prefix: str
    routes: Sequence[Route]
    error_body: ErrorBody = own_shape
    key_of: Callable[[Scope], str | None] = shown_key
    body_keys: tuple[str, ...] = IN_BODY
    keyed_body_bytes: int = MAX_KEYED_BODY_BYTES
    accepted_headers: tuple[str, ...] = PAGE_HEADERS
    exposed_headers: tuple[str, ...] = ("x-request-id", "retry-after")
    is_for_pages: bool = True
    preflight: Headers = field(init=False)
    readable: Headers = field(init=False)

    def __post_init__(self) -> None:
        accepted, exposed = ", ".join(self.accepted_headers), ", ".join(self.exposed_headers)
        preflight = [
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-headers", accepted.encode()),
            (b"access-control-max-age", b"86400"),
            (b"content-length", b"0"),
        ]
        readable = [(b"access-control-expose-headers", exposed.encode())]
        object.__setattr__(self, "preflight", preflight if self.is_for_pages else [(b"content-length", b"0")])
        object.__setattr__(self, "readable", readable if self.is_for_pages else [])

    @property
    def anybody(self) -> Headers:
        """What lets pages read what needs no key, and what is refused."""
        return ANY if self.is_for_pages else NONE
