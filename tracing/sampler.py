"""Which traces are recorded, by the names that OpenTelemetry's ``OTEL_TRACES_SAMPLER`` has for it.

It is decided by the trace's id alone, before anything is made for the trace: a request that is not recorded costs a
comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from personalization.errors import InvalidInput

_ALL = 1 << 64

SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG"

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


class Sampler(NamedTuple):
    """Says whether a trace is recorded.

    Attributes
    ----------
    bound
        Traces whose lower 64 bits lie below it are recorded.
    follows_caller
        A caller that has begun the trace decides.
    """

    bound: int
    follows_caller: bool

    def records(self, trace_id: bytes) -> bool:
        """Whether a trace of that id is recorded, if nobody else decides.

        >>> half = Sampler(1 << 63, follows_caller=True)
        >>> half.records(bytes(16)), half.records(b"\\xff" * 16)
        (True, False)
        """
        return int.from_bytes(trace_id[8:]) < self.bound


def sampler_of(environment: Mapping[str, str]) -> Sampler:
    """The sampler that the environment names; OpenTelemetry's default records everything.

    Raises
    ------
    InvalidInput
        Names the variable.
    """
    name = environment.get(SAMPLER, "").strip().lower() or "parentbased_always_on"
    if name not in SAMPLERS:
        raise InvalidInput(SAMPLER, f"must be one of {', '.join(SAMPLERS)}, not {name!r}")
    follows = name.startswith("parentbased_")
    kind = name.removeprefix("parentbased_")
    if kind == "traceidratio":
        return Sampler(round(_share(environment.get(SAMPLER_ARG, "").strip() or "1") * _ALL), follows)
    return Sampler(_ALL if kind == "always_on" else 0, follows)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidInput(SAMPLER_ARG, f"must be a share from 0 to 1, such as 0.01, not {text!r}")
    return share
