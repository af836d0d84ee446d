"""What a site logged, folded: the states and outcomes that came of it."""

from __future__ import annotations

from eventlog.topics import VISITOR_LOG
from tests.unit.api.site import Site
from tests.unit.personalization.world import World


def folded(site: Site) -> World:
    """Everything logged so far, decisions first: the spool does not wait for what is acknowledged."""
    world = World(site.compiled)
    logged = [*site.spool.records, *site.log.records]
    world.log = [(record.key, record.value) for record in logged if record.topic == VISITOR_LOG]
    world.pump()
    return world
