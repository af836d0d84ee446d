"""The catalog in force, as workers see it."""

from __future__ import annotations

from typing import Protocol

from personalization.catalog.compiled_catalog import CompiledCatalog


class CurrentCatalog(Protocol):
    """Which catalog is current: its version is stamped on time-outs, as the collector stamps it on events."""

    @property
    def current(self) -> CompiledCatalog:
        """The newest known; raises ``Unavailable`` before the first."""
        ...
