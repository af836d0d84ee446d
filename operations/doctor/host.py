"""This machine: open files, ports."""

from __future__ import annotations

import asyncio

from operations.doctor.finding import Finding, look, ok
from operations.doctor.surroundings import Surroundings

CONNECTIONS = 8_192
"""An API process holds so many at most, unless settings say less."""

OWN_FILES = 128


async def check_open_files(around: Surroundings) -> list[Finding]:
    """Whether a process that is started here may hold as many connections as it would."""
    limit = around.machine.open_files()
    wanted = (around.settings.max_connections or CONNECTIONS) + OWN_FILES
    if 0 <= limit < wanted:
        holds = max(0, limit - OWN_FILES)
        what = f"a process may open {limit:,} files here: an API process holds {holds:,} connections"
        remedy = f"`ulimit -n {wanted}` before it is started, or LimitNOFILE"
        return [look("host", what, remedy, "who-takes-up-too-much-is-closed")]
    return [ok("host", "a process that is started here may open as many files as it wants")]


async def check_ports(around: Surroundings) -> list[Finding]:
    """Whether the API's port is free for one that does not run yet."""
    settings = around.settings
    if around.inner or around.runs_here:
        return []
    if await asyncio.to_thread(around.machine.is_taken, settings.host, settings.port):
        what = f"port {settings.port} on {settings.host} is taken, or may not be used"
        return [look("host", what, "if that is no API of ours, stop it, or set NEXTBEST_PORT")]
    return []
