"""The check of a catalog's meaning: it collects every mistake instead of stopping at the first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from personalization.catalog.rules import EVENT_VARIABLES, VISITOR_VARIABLES, Rule
from personalization.errors import InvalidInput, NextbestError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class InvalidCatalog(NextbestError):
    """A catalog with mistakes: all of them, each an ``InvalidInput``."""

    def __init__(self, errors: list[InvalidInput]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class Check:
    """Collects mistakes, and the rules that look back at a visitor's past.

    Attributes
    ----------
    errors
        Every mistake so far.
    looking_back
        Rules with windows, whose series have to be kept.
    """

    def __init__(self) -> None:
        self.errors: list[InvalidInput] = []
        self.looking_back: list[Rule] = []

    def fail(self, where: str, message: str, code: str = "invalid_field") -> None:
        """Note a mistake at ``where``."""
        self.errors.append(InvalidInput(where, message, code))

    def demand(self, holds: bool, where: str, message: str) -> None:
        """Note a mistake unless ``holds``."""
        if not holds:
            self.fail(where, message)

    def demand_name(self, name: str, where: str, rules_name_it: str) -> None:
        """Note a mistake unless rules can write ``name`` behind a dot."""
        self.demand(
            _NAME.fullmatch(name) is not None,
            where,
            f"rules name it as {rules_name_it}: use at most 64 letters, digits and _, beginning with a letter or _",
        )

    def of_visitor(
        self, source: str | None, where: str, variables: Collection[str] = VISITOR_VARIABLES
    ) -> Rule | None:
        """A rule over the visitor and the request, compiled; it may look at windows."""
        return self._rule(source, where, variables, looks_back=True)

    def of_event(self, source: str | None, where: str, variables: Collection[str] = EVENT_VARIABLES) -> Rule | None:
        """A rule over an event, compiled."""
        return self._rule(source, where, variables, looks_back=False)

    def _rule(self, source: str | None, where: str, variables: Collection[str], *, looks_back: bool) -> Rule | None:
        if source is None:
            return None
        try:
            rule = Rule(source, where, variables, looks_back=looks_back)
        except InvalidInput as error:
            self.errors.append(error)
            return None
        if rule.windows:
            self.looking_back.append(rule)
        return rule


def nearest(name: str, known: Collection[str], otherwise: str) -> str:
    """The remedy for an unknown name: one that is much like it, else ``otherwise``.

    >>> nearest("heros", ["hero"], "define it"), nearest("footer", ["hero"], "define it")
    ("did you mean 'hero'?", 'define it')
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
