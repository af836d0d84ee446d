"""``GET /sdk/…``: the page script, by a name that stays, or by one that its text has made.

By the name that stays, with the page's key in the address, it comes with the source's settings in front, and is
asked for again every few minutes. By the hash of its text it is the same for ever: a page may demand it by
``integrity``, and says itself what its source's settings are.
"""

from __future__ import annotations

from api.access.caller import authenticate
from api.access.shown_key import exposed_server_key, key_in_address
from api.errors import not_found
from api.http.description import Description, Given
from api.http.dialect import Call, Dialect, Reply, Route
from api.http.exchange import Headers, header
from api.sdk.script_file import ScriptFile, built
from api.sdk.settings import preamble, settings_of

JAVASCRIPT = b"text/javascript; charset=utf-8"

CORE = built("nextbest.js")
SECOND = built("nextbest-more.js")

_FOR_EVER = b"public, max-age=31536000, immutable"
_FOR_MINUTES = b"public, max-age=300"
_MAX_KEPT = 64
"""Kinds of settings whose script is kept ready: a source has one, and most sources have the same."""

_BY_NAME = {f"nextbest.{CORE.hash}.js": CORE, f"nextbest-more.{SECOND.hash}.js": SECOND}
_ready: dict[bytes, ScriptFile] = {}


async def script(call: Call) -> Reply:
    """The core, with the settings of the source whose key the address holds.

    Raises
    ------
    ApiError
        401 for a key that nobody has, that has ended, or that is a server's: the page keeps its default content.
    """
    key = key_in_address(call.scope["query_string"])
    if key is None:
        return _answer(call, CORE, _FOR_MINUTES)
    services = call.core.services
    caller = authenticate(key, services.keys)
    if caller.is_server:
        raise exposed_server_key()
    retention = services.catalog.current.catalog.catalog.retention
    return _answer(call, _with_settings(preamble(settings_of(caller.access, retention))), _FOR_MINUTES)


async def file(call: Call) -> Reply:
    """A file by the hash of its text; raises ``ApiError`` (404) for one of another version."""
    found = _BY_NAME.get(call.params["file"])
    if found is None:
        raise not_found(call.scope["path"])
    return _answer(call, found, _FOR_EVER)


def _with_settings(said: bytes) -> ScriptFile:
    if said not in _ready:
        if len(_ready) >= _MAX_KEPT:
            _ready.clear()
        _ready[said] = ScriptFile.of(said + CORE.text)
    return _ready[said]


def _answer(call: Call, found: ScriptFile, kept: bytes) -> Reply:
    headers: list[tuple[bytes, bytes]] = [
        (b"etag", found.tag),
        (b"cache-control", kept),
        (b"vary", b"accept-encoding"),
        (b"cross-origin-resource-policy", b"cross-origin"),  # pages that isolate themselves may load it too
    ]
    if found.is_held_by(header(call.scope, b"if-none-match")):
        return Reply(304, headers=headers)
    if b"gzip" in (header(call.scope, b"accept-encoding") or b""):
        return Reply(200, found.zipped, _zipped(headers), JAVASCRIPT)
    return Reply(200, found.text, headers, JAVASCRIPT)


def _zipped(headers: Headers) -> Headers:
    return [*headers, (b"content-encoding", b"gzip")]


_GET = ("GET", "HEAD")
_TEXT = {JAVASCRIPT.decode().partition(";")[0]: (str,)}
_UNCHANGED = Given(what="It is the one whose `ETag` stands in `If-None-Match`.")

SCRIPT = Description(
    summary="The page script, with the settings of the source whose write key stands in the address",
    given={200: Given(what="JavaScript, to be asked for again after minutes.", types=_TEXT), 304: _UNCHANGED},
    errors=(401,),
)
FILE = Description(
    summary="A file of the page script by its hash",
    given={200: Given(what="JavaScript that stays the same for ever.", types=_TEXT), 304: _UNCHANGED},
    errors=(404,),
)

SDK = Dialect(
    name="sdk",
    prefix="/sdk/",
    routes=(
        Route(_GET, "/sdk/nextbest.js", "page_script", None, script, description=SCRIPT),
        Route(_GET, "/sdk/{file}", "page_file", None, file, description=FILE),
    ),
)
"""What everybody may ask for: a script is loaded without any header of the page's choice."""
