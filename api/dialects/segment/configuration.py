"""What browser clients ask for before they send anything: to whom they send it, and what else they should do."""

from __future__ import annotations

import re

import orjson

from api.access.networks import lies_in
from api.access.shown_key import exposed_server_key
from api.http.dialect import Call, Reply
from api.http.exchange import header
from personalization.errors import InvalidInput

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_SCHEMES = ("http", "https")


async def settings(call: Call) -> Reply:
    """Segment's settings of a project: analytics.js sends to the address and with the key that stand in them."""
    key = call.params["key"]
    if call.caller.is_server and call.caller.key == key:
        raise exposed_server_key()
    scheme, host = asked_at(call)
    destination = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": scheme}
    return Reply(
        200,
        orjson.dumps(
            {
                "integrations": {"Segment.io": destination},
                "plan": {"track": {"__default": {"enabled": True}}},
                "metrics": {"sampleRate": 0},
            }
        ),
    )


async def source_config(call: Call) -> Reply:
    """RudderStack's configuration of a source: no destinations, and no reports of its own to send."""
    caller = call.caller
    name, off = caller.access.source, {"enabled": False}
    source = {
        "id": name,
        "name": name,
        "writeKey": caller.key,
        "enabled": True,
        "workspaceId": "nextbest",
        "config": {"statsCollection": {"errors": off, "metrics": off}},
        "connections": [],
        "destinations": [],
        "sourceDefinition": {"name": "JS"},
        "dataplanes": {},
    }
    return Reply(200, orjson.dumps({"source": source}))


def asked_at(call: Call) -> tuple[str, str]:
    """Scheme and host that the caller called us by; of a trusted proxy those that it was called by.

    Raises
    ------
    InvalidInput
        Where the host is none.
    """
    scope = call.scope
    host, scheme = header(scope, b"host"), scope["scheme"].encode()
    peer = scope.get("client")
    if peer and lies_in(peer[0], call.core.services.trusted_proxies):
        host = _first(header(scope, b"x-forwarded-host")) or host
        scheme = _first(header(scope, b"x-forwarded-proto")) or scheme
    found, by = (host or b"").decode("latin-1"), scheme.decode("latin-1").lower()
    if not _HOST.fullmatch(found) or by not in _SCHEMES:
        raise InvalidInput("host", "is no host; send the one you call as the header Host", "bad_host")
    return by, found


def _first(value: bytes | None) -> bytes:
    """Of several proxies the first was called by the page."""
    return (value or b"").split(b",")[0].strip()
