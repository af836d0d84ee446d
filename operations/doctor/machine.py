"""The machine that the doctor runs on, as the checks see it."""

from __future__ import annotations

import os
import resource
import socket
import time
from pathlib import Path
from typing import NamedTuple


class Room(NamedTuple):
    """How full a disk is.

    Attributes
    ----------
    free_bytes, size_bytes
        Room for whoever is no superuser, and the disk's size.
    free_files, n_files
        Files that may still be made, and all there may be; 0 of 0 where the disk does not count them.
    """

    free_bytes: int
    size_bytes: int
    free_files: int
    n_files: int


class Machine:
    """This machine. Nothing here changes anything; what may wait for a disk is called in a thread."""

    def clock_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def room(self, path: Path) -> Room:
        """How full the disk of ``path`` is; raises ``OSError``."""
        found = os.statvfs(path)
        return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)

    def read(self, path: str) -> str:
        """The text of a file of the kernel's; empty where there is none."""
        try:
            return Path(path).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return ""

    def open_files(self) -> int:
        """How many files a process may have open."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def is_taken(self, host: str, port: int) -> bool:
        """Whether somebody listens on a port of this machine."""
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return True
        return False
