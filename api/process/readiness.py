"""What ``/readyz`` says: what this process still lacks, and what is not well though it answers.

503 is for load balancers, which take a process away for it. A part that all processes share, such as Redis, would
take all of them away at once, while each could answer decisions from what it has: so that is a warning. The same
goes for a task that ended for what may lie in data all share. Only until a process has once been whole is
everything it lacks a reason to wait: a release whose tasks keep ending never takes the place of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from api.process.outages import in_public_words
from background.supervisor import TaskSupervisor

Check: TypeAlias = Callable[[], str | None]
"""Why a part is not well, for everybody to read; None: it is."""

TASK = "task:"


@dataclass(frozen=True, slots=True)
class Report:
    """How a process is.

    Attributes
    ----------
    missing
        What it cannot do without, by name, and why.
    warnings
        What is not well though it answers, by name, and how.
    """

    missing: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether it can do its work."""
        return not self.missing


class Readiness:
    """Puts the parts' own words together.

    Parameters
    ----------
    needed
        Without these nothing can be answered.
    watched
        These are told of.
    tasks
        Whose ends are told of.
    """

    def __init__(self, needed: Mapping[str, Check], watched: Mapping[str, Check], tasks: TaskSupervisor) -> None:
        self._needed = needed
        self._watched = watched
        self._tasks = tasks
        self._was_whole = False

    def report(self) -> Report:
        """How it is now."""
        missing = _found(self._needed)
        warnings = _found(self._watched)
        ended = {
            TASK + name: "it ended, and is started again: "
            + (ended.reason if ended.error is None else in_public_words(ended.error))
            for name, ended in self._tasks.ended().items()
        }
        if self._was_whole:
            warnings |= ended
        else:
            missing |= ended
        self._was_whole = self._was_whole or not missing
        return Report(missing, warnings)


def _found(checks: Mapping[str, Check]) -> dict[str, str]:
    found = {name: check() for name, check in checks.items()}
    return {name: reason for name, reason in found.items() if reason is not None}
