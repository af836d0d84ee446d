"""The data folder of ``nextbest up``: who uses it, its secret, where everything lies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from personalization.errors import Refused

OWNER_ONLY = 0o600
OWNER_ONLY_FOLDER = 0o700
UMASK = 0o077
"""Of whoever makes files here: visitors, models and keys are their owner's alone."""

OURS = ("logs", "redis", "spool", "metrics")
"""Folders in it."""

ORPHANS_S = 15.0
"""The children of a supervisor that was killed stop by themselves, within ``lifeline.GRACE_S``."""


def _unheard(_: str) -> None:
    """For who does not want to know."""


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


class DataDir:
    """A folder held by one ``nextbest up`` at a time.

    The lock is the kernel's (``flock``): it goes with the process, whatever ends it, and the last of the children,
    which inherit it. So the next ``up`` begins when nothing of one that was killed is left. Otherwise the old API
    could still have the port, and the next ``up`` would fail by it; the old workers would have the ports of their
    metrics, and the new ones others.

    Parameters
    ----------
    say
        Takes a line for people, if what a killed ``up`` left is waited for.

    Raises
    ------
    Refused
        Where another process holds it, or it cannot be written.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = _unheard) -> None:
        self.path = path.absolute()
        self._say = say
        self.logs = self.path / "logs"
        try:
            made_before = (self.path / "lock").exists()
            self.path.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
            self.logs.mkdir(exist_ok=True, mode=OWNER_ONLY_FOLDER)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        except OSError as error:
            raise Refused(
                f"cannot write to the data folder {path}: {error.strerror}; choose another with --data-dir"
            ) from error
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise
        self._tighten(made_before)

    @property
    def lock_fd(self) -> int:
        """The open lock: every child is to inherit it, and keeps the folder locked for as long as it lives."""
        return self._lock

    def _tighten(self, made_before: bool) -> None:
        """Take from others what an earlier release let them read; what is not ours in the folder stays as it is."""
        paths = [(self.path, OWNER_ONLY_FOLDER)] if made_before else []
        for folder in (self.path / name for name in OURS):
            if folder.is_dir() and not folder.is_symlink():
                for inside, _, files in os.walk(folder):
                    paths.append((Path(inside), OWNER_ONLY_FOLDER))
                    paths += [(Path(inside, name), OWNER_ONLY) for name in files]
        for path, mode in paths:
            if not path.is_symlink():
                with contextlib.suppress(OSError):  # somebody else's: not ours to say
                    path.chmod(mode)

    def _take(self) -> None:
        """Take the lock, once nothing is left of a holder that was killed."""
        until_s = time.monotonic() + ORPHANS_S
        told = False
        while not self._is_free():
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            if _lives(holder):
                raise Refused(
                    f"the data folder {self.path} is in use by another `nextbest up` (process {holder}); "
                    "stop that one, or choose another folder with --data-dir"
                )
            if time.monotonic() > until_s:
                raise Refused(
                    f"processes of a `nextbest up` that was killed (process {holder}) still use the data folder "
                    f"{self.path}: end them (`lsof {self.path / 'lock'}` names them), or choose another folder "
                    "with --data-dir"
                )
            if not told:
                self._say(f"waiting for what a `nextbest up` that was killed (process {holder}) left to end")
                told = True
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _is_free(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Refused(
                f"cannot lock {self.path / 'lock'} ({error.strerror}): choose a folder on another disk with "
                "--data-dir"
            ) from error
        return True

    def secret(self) -> str:
        """The installation's secret: made once, readable by its owner alone."""
        path = self.path / "secret"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        except FileExistsError:
            text = path.read_text().strip()
            if not text:
                raise Refused(
                    f"{path} is empty; put the secret back, or remove the file to make a new one"
                ) from None
            return text
        with os.fdopen(fd, "w") as file:
            text = secrets.token_urlsafe(32)
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        return text

    def fresh_folder(self, name: str) -> Path:
        """A folder in it, empty."""
        folder = self.path / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=OWNER_ONLY_FOLDER)
        return folder

    def empty(self) -> None:
        """Remove what is kept, but for the lock that holds it and the secret."""
        for entry in self.path.iterdir():
            if entry.name in ("lock", "secret"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.logs.mkdir(mode=OWNER_ONLY_FOLDER)

    def release(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)
