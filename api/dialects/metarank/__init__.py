"""Metarank: rankings of items, and feedback on them, as ``docs/dialects/metarank.md`` has it."""

from api.dialects.metarank.routes import METARANK

__all__ = ["METARANK"]
