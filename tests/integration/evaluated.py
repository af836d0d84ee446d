"""Placements that real clients evaluate as flags: what the installation has stored of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from eventlog.topics import DECISIONS
from personalization.events.decision_record import DecisionRecord, decode_record
from tests.integration.site import Site
from tests.running import until


class SiteBesideABrowser(Site):
    """The browser's driver runs an event loop in the test's thread, so the log is read in another."""

    def raw(self, topic: str) -> list[tuple[str, int, bytes]]:
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(super().raw, topic).result()


def records(site: Site, key: str) -> list[DecisionRecord]:
    """What was decided of a visitor so far; the spool hands it over behind the answer."""
    return [decode_record(value) for found, _, value in site.raw(DECISIONS) if found == key]


def decided(site: Site, key: str, decision_id: str) -> DecisionRecord:
    """The record of a decision, once it is in the log."""
    found: list[DecisionRecord] = []

    def arrived() -> bool:
        found[:] = [record for record in records(site, key) if record.choice.decision_id == decision_id]
        return bool(found)

    until(arrived, f"{decision_id} is logged")
    return found[0]


def exposures(site: Site, key: str) -> dict[str, int]:
    return {arm: exposure.total for arm, exposure in site.state(key).exposures.items()}


def looped(
    site: Site, key: str, flag: str, variant: str, decision_id: str, show: Callable[[], object]
) -> DecisionRecord:
    """The loop, by what is stored: decided, not shown; shown; rewarded, an outcome that trains; learned."""
    record = decided(site, key, decision_id)
    assert (record.choice.placement, record.choice.arm, record.exposed, record.sticky) == (
        flag,
        variant,
        False,
        True,
    )
    assert record.tier == "personalised"
    assert variant not in exposures(site, key), "an evaluation is no exposure"
    show()
    until(lambda: exposures(site, key).get(variant) == 1, "the exposure is folded")
    before = site.learned(flag)
    site.call(f"/v1/decisions/{decision_id}/reward", {"value": 1.0, "final": True})
    until(lambda: decision_id in site.outcomes(flag), "the outcome is in the log")
    outcome = site.outcomes(flag)[decision_id]
    assert (outcome.choice.arm, outcome.reward, outcome.trains, outcome.choice.weight) == (
        variant,
        1.0,
        True,
        record.choice.weight,
    )
    until(lambda: site.learned(flag) == (before[0] + 1, before[1] + 1), "the outcome is learned")
    return record
