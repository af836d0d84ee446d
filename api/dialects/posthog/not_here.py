"""What PostHog's SDKs ask for and is not here, said so that whoever set it finds out."""

from __future__ import annotations

from typing import NoReturn

from api.errors import ApiError
from api.http.dialect import Call, Reply


async def definitions(_: Call) -> Reply:
    """Refuse to hand flags out for an SDK to evaluate by itself.

    By 403: then SDKs say so and ask less and less often; of a path that is not there they say nothing, and ask on.
    """
    _refuse(
        403,
        "no_local_evaluation",
        "flags are evaluated here, visitor by visitor, and never by the SDK itself: leave out its secret_key "
        "(secretKey, personal_api_key, personalApiKey), and it asks /flags/",
    )


async def decide(_: Call) -> Reply:
    """Refuse an evaluation of the kind whose answer has no place for the decision."""
    _refuse(
        404,
        "no_decide",
        "flags are asked for by /flags/, as SDKs have done since 2025: update yours; of what this path answers "
        "nothing could be told of what was shown, so that nothing would be learned",
    )


def _refuse(status: int, code: str, message: str) -> NoReturn:
    raise ApiError(status, code, message, "path")
