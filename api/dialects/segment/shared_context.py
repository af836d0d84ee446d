"""The context of a batch, said once of all its events: Segment's Java client and HTTP API have one."""

from __future__ import annotations

from typing import Any

import msgspec

from api.limits.context_bounds import bounded_context
from api.reading.json_check import trouble_in
from api.reading.json_parts import decoded
from personalization.errors import InvalidInput

MAX_COPIES_BYTES = 4 * 1024 * 1024
"""Of a context, once for each event: as much as a body has room for where each event brings its own."""

_CONTEXT = msgspec.json.Decoder(dict[str, Any])


class SharedContext:
    """What the events of one batch have in common.

    >>> shared = SharedContext({"locale": "de", "consent": {"ads": False}})
    >>> shared.beside({"locale": "fr", "consent": {"email": True}})
    {'locale': 'fr', 'consent': {'ads': False, 'email': True}}
    """

    def __init__(self, context: dict[str, Any]) -> None:
        self._context = context

    def __bool__(self) -> bool:
        return bool(self._context)

    def beside(self, own: dict[str, Any] | None) -> dict[str, Any]:
        """The context of an event, which outweighs this one; what stands in both as an object is one object."""
        found = {**self._context}
        for name, value in (own or {}).items():
            common = found.get(name)
            found[name] = {**common, **value} if isinstance(common, dict) and isinstance(value, dict) else value
        return found


def read_shared_context(text: msgspec.Raw | None, n_events: int) -> SharedContext:
    """The context that stands beside ``n_events`` events; none where it is no object.

    Raises
    ------
    InvalidInput
        Names ``context``, where it is too large for so many events, or cannot be stored.
    """
    data = b"" if text is None else bytes(text).strip()
    if not data.startswith(b"{"):
        return SharedContext({})
    if len(data) * n_events > MAX_COPIES_BYTES:
        message = (
            f"has {len(data)} bytes and holds for {n_events} events, together at most {MAX_COPIES_BYTES}; send "
            "fewer events at once"
        )
        raise InvalidInput("context", message, "too_large")
    trouble = trouble_in(data, "context")
    if trouble is not None:
        raise InvalidInput(*trouble)
    return SharedContext(bounded_context(decoded(_CONTEXT, data, "context")))
