"""What the learner tells of who teaches its models: whether few teach much, whether too little may be taught."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from prometheus_client import CollectorRegistry

from background.metrics import Gauge
from online_models.concentration import ArmShares, Share
from online_models.influence import OF_NETWORK
from online_models.placement_model import PlacementModel

SHOWN_ARMS = 20
"""Of a placement: so many series of each kind, whatever the catalog holds."""

LOOK_S = 10.0
"""Between two looks at one placement: a look takes some milliseconds."""

LEAST_OUTCOMES, LEAST_VISITORS = 100, 20
"""Below, one of few is always much."""

MUCH_OF_ARM = 0.25
"""From one visitor in a hundred: of page views of a site they are up to .15."""

MUCH_LEFT = 0.5


class InfluenceWatch:
    """Gauges and warnings of influence, of the placements learned here."""

    def __init__(self, registry: CollectorRegistry, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._looked_s: dict[str, float] = {}
        self._shown: dict[str, set[tuple[str, str]]] = {}
        self._warnings: dict[str, list[str]] = {}
        self._top = Gauge(
            "nextbest_arm_top_visitors_share",
            "Share of what an arm learned today and the day before that came from the 1 % of its visitors that "
            "brought most: of outcomes, and of rewards (by amount, of the visitors that brought any); the 20 arms "
            "of a placement with most outcomes",
            ["placement", "arm", "of"],
            registry=registry,
        )
        self._left = Gauge(
            "nextbest_outcomes_bounded_share",
            "Share of a placement's outcomes of today and the day before that was not learned, because their "
            "visitors or networks had taught as much as they may",
            ["placement"],
            registry=registry,
        )

    def look(self, book: PlacementModel) -> None:
        """Bring a placement's gauges and warnings up to date, unless that was done a moment ago."""
        placement, now_s = book.placement, self._now_s()
        if now_s - self._looked_s.get(placement, -LOOK_S) < LOOK_S:
            return
        self._looked_s[placement] = now_s
        shares = book.concentration.shares()
        self._left.labels(placement).set(book.influence.intake.report().left_share)
        self._show(placement, shares)
        self._warnings[placement] = [*_starving(book), *_few_teach(book, shares)]

    def warnings(self, book: PlacementModel) -> list[str]:
        """What is not well, a sentence each."""
        self.look(book)
        return self._warnings[book.placement]

    def forget(self, placement: str) -> None:
        """Somebody else learns the placement now."""
        if self._looked_s.pop(placement, None) is None:
            return
        self._left.remove(placement)
        for arm, of in self._shown.pop(placement, set()):
            self._top.remove(placement, arm, of)
        self._warnings.pop(placement, None)

    def _show(self, placement: str, shares: dict[str, ArmShares]) -> None:
        shown = {
            (arm, of): share.of_top
            for arm, of_arm in islice(shares.items(), SHOWN_ARMS)
            for of, share in of_arm._asdict().items()
            if _tells(of_arm, share)
        }
        for arm, of in self._shown.get(placement, set()) - shown.keys():
            self._top.remove(placement, arm, of)
        for (arm, of), value in shown.items():
            self._top.labels(placement, arm, of).set(value)
        self._shown[placement] = set(shown)


def _tells(of_arm: ArmShares, share: Share) -> bool:
    return of_arm.outcomes.whole >= LEAST_OUTCOMES and share.n_visitors >= LEAST_VISITORS


def _few_teach(book: PlacementModel, shares: dict[str, ArmShares]) -> list[str]:
    if book.concentration.is_free:
        return []
    found = [
        (share.of_top, arm, of, share)
        for arm, of_arm in shares.items()
        for of, share in of_arm._asdict().items()
        if _tells(of_arm, share) and share.of_top > MUCH_OF_ARM
    ]
    if not found:
        return []
    of_top, arm, of, share = max(found)
    n_others = len({other for _, other, _, _ in found}) - 1
    others = f" (and of {n_others} more arms much)" if n_others else ""
    return [
        f"{of_top:.0%} of the {of} that {book.placement} learned of {arm} today and the day before came from 1 % "
        f"of its {share.n_visitors:.0f} visitors{others}: robots, tests or colleagues teach it, or somebody forges "
        "rewards by a key that is believed; keep them out, or let servers alone say what it was worth "
        "(rewards_by: server)"
    ]


def _starving(book: PlacementModel) -> list[str]:
    report = book.influence.intake.report()
    if report.n_outcomes < LEAST_OUTCOMES or report.left_share <= MUCH_LEFT:
        return []
    return [
        f"{report.left_share:.0%} of the outcomes of {book.placement} of today and the day before were not "
        f"learned: its outcomes come from {report.n_networks} networks, and each teaches an arm {OF_NETWORK:.0%} "
        "at most. If these are an office, a carrier, or a proxy of yours, name the proxy in "
        "NEXTBEST_TRUSTED_PROXIES, decide and reward by a server key, or write influence: free in the catalog; if "
        "it is none of these, somebody floods, and is kept out"
    ]
