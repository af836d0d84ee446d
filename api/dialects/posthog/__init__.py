"""PostHog: events as its SDKs capture them, placements as its flags, as ``docs/dialects/posthog.md`` has it."""

from api.dialects.posthog.routes import POSTHOG

__all__ = ["POSTHOG"]
