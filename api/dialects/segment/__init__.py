"""Segment's wire, spoken by RudderStack's and customer.io's clients too: ``docs/dialects/segment.md`` has it."""

from api.dialects.segment.routes import SEGMENT

__all__ = ["SEGMENT"]
