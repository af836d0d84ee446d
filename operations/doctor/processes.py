"""The processes: there, ready, of one version, with files left to open."""

from __future__ import annotations

import asyncio

from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings
from operations.watching.inner_port import Address, InnerPorts
from operations.watching.scrape import Scrape, read_metrics

FEW_FILES_SHARE = 0.8
WANTED = frozenset({"nextbest_build_info", "process_open_fds", "process_max_fds"})


async def check_processes(around: Surroundings, ports: InnerPorts) -> list[Finding]:
    """What each process that is known says of itself."""
    if around.not_running:
        return []
    if not around.inner:
        what = "where processes tell how they are is not known"
        return [look("processes", what, "name their inner ports: --inner host:port (NEXTBEST_METRICS_PORT)")]
    asked = await asyncio.gather(*(_one(ports, name, address) for name, address in around.inner.items()))
    found = [finding for findings, _ in asked for finding in findings]
    versions = {version for _, version in asked if version}
    if len(versions) > 1:
        what = f"processes run different versions: {', '.join(sorted(versions))}"
        found.append(look("processes", what, "restart those that are old"))
    return found


async def _one(ports: InnerPorts, name: str, address: Address) -> tuple[list[Finding], str]:
    readiness, text = await asyncio.gather(ports.readiness(address), ports.metrics(address))
    if readiness is None:
        what = f"{_named(name, address)} does not answer"
        return [wrong("processes", what, "start it; one that hangs has to be ended first", "process-silent")], ""
    scrape = Scrape(0.0, {}) if text is None else read_metrics(text, 0.0, WANTED)
    version = next((labels.get("version", "") for labels, _ in scrape.series("nextbest_build_info")), "")
    found = []
    if readiness.waits_for:
        remedy = "it goes on by itself once that is there"
        found.append(
            wrong("processes", f"{name} is not ready: {readiness.waits_for}", remedy, "something-is-not-well")
        )
    for words in readiness.not_well:
        found.append(look("processes", f"{name}: {words}", "the runbook has a row for it", "something-is-not-well"))
    open_files, may_open = scrape.total("process_open_fds"), scrape.total("process_max_fds")
    if may_open and open_files > FEW_FILES_SHARE * may_open:
        what = f"{name} has {open_files:,.0f} of the {may_open:,.0f} files open that it may"
        found.append(
            look("processes", what, "raise its limit (ulimit -n, LimitNOFILE)", "who-takes-up-too-much-is-closed")
        )
    return found or [ok("processes", f"{_named(name, address)} is ready")], version


def _named(name: str, address: Address) -> str:
    return name if name == str(address) else f"{name} at {address}"
