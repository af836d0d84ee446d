"""One API in this process, and each dialect's speaker in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from personalization.catalog.compiled_catalog import compile_catalog
from tests.contract.dialects.speakers import SPEAKERS, Speaker
from tests.unit.api.site import Site, open_site, shop


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site whose hero keeps its choice: only of such a one can two calls agree.

    It is the only placement, for some protocols always ask for all of them.
    """
    catalog = shop()
    hero = structs.replace(catalog.placements["home.hero"], sticky=True)
    placements = {"home.hero": hero}
    async with open_site() as opened:
        opened.compiled = compile_catalog(structs.replace(catalog, placements=placements), 12)
        yield opened


@pytest.fixture(params=SPEAKERS, ids=lambda speaker: speaker.name)
def speaker(request: pytest.FixtureRequest) -> Speaker:
    """Each dialect's in turn."""
    found: Speaker = request.param
    return found
