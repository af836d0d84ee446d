"""What every dialect speaks to: the services of one process, which know nothing of HTTP."""

from __future__ import annotations

from api.body_room import BodyRoom
from api.collecting import Collector
from api.consenting import ConsentTaker
from api.deciding import Decider
from api.rate_limits import RateLimiter
from api.rewarding import Rewarder
from api.services import Services
from api.stocking import Stock
from api.unlinking import Unlinker


class Core:
    """Decider, collector, taker of consents, rewarder, unlinker and stock of a process, and what is only read.

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
        "limiter",
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
        self.collector = Collector(services)
        self.consents = ConsentTaker(services, self.collector)
        self.rewarder = Rewarder(services)
        self.stock = Stock(services)
        self.unlinker = Unlinker(services)
