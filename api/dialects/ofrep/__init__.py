"""OFREP, the OpenFeature Remote Evaluation Protocol: placements as flags, as ``docs/dialects/ofrep.md`` has it."""

from api.dialects.ofrep.routes import OFREP

__all__ = ["OFREP"]
