"""What the log holds goes by its age on a site that fell silent: nobody has to append anything for that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventlog.topics import DECISIONS, VISITOR_LOG
from tests.integration.site import Site
from tests.running import until

pytestmark = pytest.mark.redis

CATALOG = """
placements: {hero: {content: [red], default: red}}
content: {red: {body: red}}
sources: {shop: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG, NEXTBEST_LOG_AGE_MS="2000") as site:
        yield site


def test_a_site_that_fell_silent_keeps_no_entry_beyond_its_age(site: Site) -> None:
    site.decide({"anonymousId": "v1"}, "hero")
    site.collect({"type": "track", "event": "Viewed", "anonymousId": "v1"})
    until(lambda: site.stored("a:v1").event_count == 1, "the event is folded")
    until(lambda: site.raw(VISITOR_LOG) == site.raw(DECISIONS) == [], "the log is empty")
    assert site.stored("a:v1").event_count == 1
