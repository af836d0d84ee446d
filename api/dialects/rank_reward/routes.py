"""The routes of Rank and Reward, and its one shape of errors.

All need a key that may bring arms of its own. So do rewards: an event id may be a number that others can guess,
where our own decision ids are sealed.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from starlette.types import Scope

from api.access.permissions import Permission
from api.dialects.rank_reward import slots
from api.dialects.rank_reward.rank import rank
from api.dialects.rank_reward.rewards import activate, reward
from api.errors import ApiError, plain
from api.http.dialect import Dialect, Route, shown_key
from api.http.exchange import header

_POST = ("POST",)
_KEY = b"ocp-apim-subscription-key"
_CODES = {400: "BadRequest", 404: "ResourceNotFound", 413: "BadRequest", 500: "InternalServerError"}

_VERSIONS = ("/personalizer/v1.0", "/personalizer", "/personalizer/v1.1-preview.{preview}")
"""Paths of version 1.0, of the last preview, which names itself in the address, and of those before it."""

_LOOPS = ("", "/placements/{placement:path}")
"""Whether an endpoint names its placement."""


def key_of(scope: Scope) -> str | None:
    """The key in its own header, else in ours."""
    sent = header(scope, _KEY)
    return shown_key(scope) if sent is None else sent.decode("latin-1")


def error_body(error: ApiError, request_id: str, _: Mapping[str, str]) -> bytes:
    """An error as its clients read it; ``innerError`` has our own word for it."""
    where = "" if error.field is None else f"{error.field}: "
    said = {
        "code": _CODES.get(error.status, str(error.status)),
        "message": plain(where + error.message),
        "innerError": {"code": error.code},
    }
    if error.field is not None:
        said["target"] = plain(error.field)
    return orjson.dumps({"error": said, "requestId": request_id})


def _routes(start: str) -> tuple[Route, ...]:
    event = f"{start}/events/{{event_id:path}}"
    several = f"{start}/multislot/events/{{event_id:path}}"
    return (
        Route(_POST, f"{start}/rank", "personalizer_rank", Permission.RANK, rank),
        Route(_POST, f"{event}/reward", "personalizer_reward", Permission.RANK, reward),
        Route(_POST, f"{event}/activate", "personalizer_activate", Permission.RANK, activate),
        Route(_POST, f"{start}/multislot/rank", "personalizer_slots_rank", Permission.RANK, slots.rank),
        Route(_POST, f"{several}/reward", "personalizer_slots_reward", Permission.RANK, slots.reward),
        Route(_POST, f"{several}/activate", "personalizer_slots_activate", Permission.RANK, slots.activate),
    )


RANK_REWARD = Dialect(
    name="rank_reward",
    prefix="/personalizer/",
    routes=tuple(route for loop in _LOOPS for version in _VERSIONS for route in _routes(loop + version)),
    error_body=error_body,
    key_of=key_of,
    is_for_pages=False,
)
