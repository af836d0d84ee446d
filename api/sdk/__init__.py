"""The page script, served to the pages that use it."""

from api.sdk.routes import SDK

__all__ = ["SDK"]
