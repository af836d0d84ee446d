"""What every dialect speaks to: the services of one process, which know nothing of HTTP."""

from __future__ import annotations

from api.collecting import Collector
from api.deciding import Decider
from api.rewarding import Rewarder
from api.services import Services
from api.stocking import Stock
from api.unlinking import Unlinker


class Core:
    """Decider, collector, rewarder, unlinker and stock of a process, and the parts that are only read.

    Attributes
    ----------
    services
        The parts; a dialect reads of them, and writes through the others.
    """

    __slots__ = ("collector", "decider", "rewarder", "services", "stock", "unlinker")

    def __init__(self, services: Services) -> None:
        self.services = services
        self.decider = Decider(services)
        self.collector = Collector(services)
        self.rewarder = Rewarder(services)
        self.stock = Stock(services)
        self.unlinker = Unlinker(services)
