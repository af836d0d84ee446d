"""Our own dialect: camelCase JSON under ``/v1``, as ``docs/http-api.md`` describes it."""

from api.dialects.own.routes import OWN

__all__ = ["OWN"]
