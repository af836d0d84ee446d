"""Asks nextbest what to show, and tells it what happened; never late, and never in the way."""

from nextbest_client.async_client import AsyncClient
from nextbest_client.client import Client
from nextbest_client.errors import NextbestError
from nextbest_client.options import Options
from nextbest_client.wire import Answer, Decision, Placement, Visitor, Warned

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Decision",
    "NextbestError",
    "Options",
    "Placement",
    "Visitor",
    "Warned",
]
