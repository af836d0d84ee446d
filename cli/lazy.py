"""A click group that imports a command when it is run: ``nextbest --help`` loads neither Faust nor River."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from background.garbage import loading


class LazyGroup(click.Group):
    """A group that knows its commands by ``module:attribute`` and one line of help.

    Parameters
    ----------
    lazy
        Command name → (``module:attribute``, short help), in the order shown.
    dressed
        Command name → what is done to the command once it is imported.
    """

    def __init__(
        self,
        *args: Any,
        lazy: dict[str, tuple[str, str]],
        dressed: dict[str, Callable[[click.Command], click.Command]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self._dressed = dressed or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order given."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and hand out one command."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        with loading():
            command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        dress = self._dressed.get(cmd_name)
        return command if dress is None else dress(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the one-line helps, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in self._lazy.items()])
