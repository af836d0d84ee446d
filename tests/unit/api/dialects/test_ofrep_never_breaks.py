"""Whatever stands in a context, a flag is evaluated or the context is refused; nothing is our mistake."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.dialects.evaluating import FLAGS
from tests.unit.api.site import SERVER, WRITE, open_site

NAMES = st.sampled_from(
    [
        "targetingKey",
        "userId",
        "anonymousId",
        "consent",
        "userAgent",
        "locale",
        "device",
        "page",
        "ip",
        "timezone",
        "x",
    ]
)
NUMBERS = st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=16) | NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, ANYTHING), st.sampled_from([WRITE, SERVER]), st.booleans())
def test_any_context_is_evaluated_or_refused(context: dict[str, Any], key: dict[str, str], named: bool) -> None:
    asyncio.run(evaluated_or_refused({**context, **({"targetingKey": "a1"} if named else {})}, key))


async def evaluated_or_refused(context: dict[str, Any], key: dict[str, str]) -> None:
    async with open_site() as site:
        body = json.dumps({"context": context}).encode("utf-8", "surrogatepass")
        one = await site.client.post(f"{FLAGS}/home.hero", content=body, headers=key)
        every = await site.client.post(FLAGS, content=body, headers=key)
        assert one.status_code == every.status_code
        assert one.status_code in (200, 400), one.text
        if one.status_code == 400:
            assert one.json()["errorCode"] in ("INVALID_CONTEXT", "TARGETING_KEY_MISSING")
            assert one.json()["errorDetails"].startswith("context")
            assert site.spool.records == []
            return
        assert all(flag["metadata"]["decisionId"] for flag in every.json()["flags"])
        again = await site.client.post(FLAGS, content=body, headers={**key, "If-None-Match": every.headers["etag"]})
        drawn_anew = any(flag["metadata"]["tier"] == "contextual" for flag in every.json()["flags"])
        assert again.status_code in ((200, 304) if drawn_anew else (304,))
