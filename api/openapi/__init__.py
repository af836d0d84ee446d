"""The API's description of itself: ``/openapi.json`` for programs, ``/docs`` for people."""

from api.openapi.routes import describing

__all__ = ["describing"]
