"""The numbered directories below a spool's root: each belongs to the process that holds its lock, or to nobody.

A lock ends with its process, however that ends. What a process left behind is then anybody's: the next one to
start takes the directory, or a living one empties and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_SLOTS = 1024


class Slot:
    """A directory below the root, held until ``release``."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self._lock = lock

    def release(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the directory if nothing but our own files is left, and let go of it."""
        with contextlib.suppress(OSError):
            for name in ("cursor", "cursor.new"):
                (self.directory / name).unlink(missing_ok=True)
            if [path.name for path in self.directory.iterdir()] == ["lock"]:
                # Who has opened the lock file by now sees that it is gone from its place (`hold`).
                (self.directory / "lock").unlink()
                self.directory.rmdir()
        self.release()


def hold(directory: Path) -> Slot | None:
    """Take ``directory``, made if missing and private to this user; None if another process has it.

    Raises
    ------
    OSError
        If it cannot be made or opened.
    """
    path = directory / "lock"
    while True:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            directory.chmod(0o700)  # one that an earlier release made
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # removed between the two
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return Slot(directory, lock)
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # its holder removed the directory meanwhile


def take(root: Path, *, empty: bool = False) -> Slot:
    """The first directory below ``root`` that no live process has, with whatever was left there.

    Parameters
    ----------
    empty
        Only one with nothing left in it.

    Raises
    ------
    OSError
        If none can be had: the disk is full or cannot be written, or ``MAX_SLOTS`` processes have one each.
    """
    for number in range(MAX_SLOTS):
        try:
            if empty and _has_segments(root / str(number)):
                continue
            slot = hold(root / str(number))
        except PermissionError as error:
            # Another user's: the next may be ours, unless the root itself is closed to us.
            if not os.access(root, os.W_OK | os.X_OK):
                raise
            logger.warning("spool_slot_unusable", extra={"path": str(root / str(number)), "reason": str(error)})
            continue
        if slot is not None:
            return slot
    raise OSError(errno.EMFILE, f"{MAX_SLOTS} processes spool below {root}")


def abandoned(root: Path, but_not: Mapping[Path, int]) -> Slot | None:
    """A directory below ``root`` with records of a process that is gone.

    Parameters
    ----------
    but_not
        Directories in which nothing could be read, and when they were last changed (``changed_ns``): not looked
        at until they change again.
    """
    try:
        directories = sorted(path for path in root.iterdir() if path.name.isdecimal())
    except OSError:
        return None
    for directory in directories:
        with contextlib.suppress(OSError):
            if _has_segments(directory) and but_not.get(directory) != changed_ns(directory):
                slot = hold(directory)
                if slot is not None:
                    return slot
    return None


def changed_ns(directory: Path) -> int:
    """When a file was last added to ``directory`` or removed from it; 0 if it is not there."""
    try:
        return directory.stat().st_mtime_ns
    except OSError:
        return 0


def _has_segments(directory: Path) -> bool:
    return directory.is_dir() and any(path.suffix == ".spool" for path in directory.iterdir())
