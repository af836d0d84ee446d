"""What the doctor looks at, and by whose eyes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import InvalidSettings, Settings
from operations.doctor.machine import Machine
from operations.watching.inner_port import Address
from personalization.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Surroundings:
    """An installation, running or not.

    Attributes
    ----------
    environment
        The settings as they were given.
    settings
        What they mean; what could not be read has its default.
    wrong_settings
        What could not be read, and why.
    data_dir
        The data folder.
    runs_here
        Whether ``nextbest up`` runs on it.
    inner
        Where processes tell how they are, by name.
    not_running
        That nothing runs where somebody is looked for, in words: then no server is asked. Empty: something may.
    """

    environment: Mapping[str, str]
    settings: Settings
    data_dir: Path
    wrong_settings: tuple[InvalidInput, ...] = ()
    runs_here: bool = False
    inner: Mapping[str, Address] = field(default_factory=dict)
    not_running: str = ""
    machine: Machine = field(default_factory=Machine)

    def is_unknown(self, prefix: str) -> bool:
        """Whether a setting of this beginning could not be read, so that its server is not known."""
        return any(each.field.startswith(prefix) for each in self.wrong_settings)


def readable(environment: Mapping[str, str]) -> tuple[dict[str, str], tuple[InvalidInput, ...]]:
    """The settings of ``environment`` without those that are wrong, and what is wrong about these."""
    left, found = dict(environment), list[InvalidInput]()
    while True:
        try:
            Settings.from_environment(left)
        except InvalidSettings as errors:
            found += errors.errors
            dropped = [name for error in errors.errors for name in _names_of(error, left)]
            for name in dropped or [name for name in left if name.startswith("NEXTBEST_")]:
                left.pop(name, None)
        else:
            return left, tuple(found)


def _names_of(error: InvalidInput, environment: Mapping[str, str]) -> list[str]:
    """The variables that are behind a mistake: a secret may stand in a file, and one name tells of two ports."""
    beginnings = [error.field, f"{error.field}_FILE"]
    if error.field == "NEXTBEST_PORT":
        beginnings.append("NEXTBEST_METRICS_PORT")
    return [name for name in environment if name in beginnings]
