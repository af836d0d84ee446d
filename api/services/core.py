"""What every dialect speaks to: the services of one process, which know nothing of HTTP."""

from __future__ import annotations

from api.limits.body_room import BodyRoom
from api.limits.rate_limits import RateLimiter
from api.services.collecting import Collector
from api.services.consenting import ConsentTaker
from api.services.deciding import Decider
from api.services.drafts import Drafts
from api.services.ports import Services
from api.services.previewing import Previewer
from api.services.rewarding import Rewarder
from api.services.stocking import Stock
from api.services.unlinking import Unlinker


class Core:
    """All that a process does for its callers, and what is only read.

    Attributes
    ----------
    services
        The parts; a dialect reads of them, and writes through the others.
    bodies
        Room for the bodies of requests under way.
    limiter
        Says who has asked for too much.
    """

    __slots__ = (
        "bodies",
        "collector",
        "consents",
        "decider",
        "drafts",
        "limiter",
        "previewer",
        "rewarder",
        "services",
        "stock",
        "unlinker",
    )

    def __init__(self, services: Services) -> None:
        self.services = services
        self.bodies = BodyRoom(services.max_body_bytes)
        self.limiter = RateLimiter(services.metrics, services.trusted_proxies)
        self.decider = Decider(services)
        self.drafts = Drafts(services)
        self.collector = Collector(services)
        self.consents = ConsentTaker(services, self.collector)
        self.previewer = Previewer(services)
        self.rewarder = Rewarder(services)
        self.stock = Stock(services)
        self.unlinker = Unlinker(services)
