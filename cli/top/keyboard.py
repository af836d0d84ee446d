"""Keys of a terminal, read as they are pressed; the terminal is left as it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator

QUIT = b"qQ\x03\x04"
"""q, Ctrl-C and Ctrl-D."""


@contextlib.contextmanager
def until_quit(stop: asyncio.Event) -> Iterator[None]:
    """While the block runs, q, Ctrl-C or an end signal sets ``stop``."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        with _keys(stop) if sys.stdin.isatty() else contextlib.nullcontext():
            yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _keys(stop: asyncio.Event) -> Iterator[None]:
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()

    def pressed() -> None:
        keys = os.read(fd, 64)
        if not keys or any(key in QUIT for key in keys):  # nothing: the terminal is gone
            stop.set()

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        loop.add_reader(fd, pressed)
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
