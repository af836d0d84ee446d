from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from personalization.catalog.compiled_catalog import compile_catalog
from tests.unit.api.dialects.ranking import loops
from tests.unit.api.site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def ranking() -> AsyncIterator[Site]:
    """A site whose one placement has its arms brought by callers."""
    async with open_site() as opened:
        opened.compiled = compile_catalog(loops(), 13)
        yield opened
