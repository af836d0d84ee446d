"""The trace that is recorded of what this task does now, for whoever shows its id beside a figure."""

from __future__ import annotations

from contextvars import ContextVar


class Recording:
    """A trace while it is recorded.

    A task that a request begins, such as one that writes for all of them, keeps its context for as long as it runs:
    so it is this that ends with the request, and not the variable.

    Attributes
    ----------
    trace_id
        32 hexadecimal digits; None once what it belongs to is over.
    """

    __slots__ = ("trace_id",)

    def __init__(self, trace_id: str) -> None:
        self.trace_id: str | None = trace_id
        _current.set(self)

    def end(self) -> None:
        """Nothing of it happens any more."""
        self.trace_id = None


_current: ContextVar[Recording | None] = ContextVar("current_trace", default=None)


def current_trace_id() -> str | None:
    """The id of the trace; None if none is recorded."""
    recording = _current.get()
    return None if recording is None else recording.trace_id
