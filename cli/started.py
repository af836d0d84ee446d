"""What ``nextbest up`` has started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.live_catalog import CatalogInForce
from cli.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Started:
    """A running installation.

    Attributes
    ----------
    metrics_host
        Where processes tell how they are.
    metrics_ports
        Of folder, learner, API and projector, by name of the process.
    """

    url: str
    catalog: CatalogInForce
    data_dir: Path
    log: str
    redis_url: str
    metrics_host: str
    metrics_ports: Mapping[str, int]
    supervisor: Supervisor
    started_in_s: float
