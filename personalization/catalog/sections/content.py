"""What may be shown: content blocks and offers, the arms of placements."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from personalization.catalog.check import Check
from personalization.catalog.duration import read_duration_ms
from personalization.catalog.rules import Rule
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Moment, Spec
from personalization.catalog.vocabulary import VISITOR
from personalization.catalog.windows import MAX_TIMES
from personalization.features import Attribute

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

MAX_TAG_CHARS = 64

_CAP = re.compile(
    r"(?P<limit>\d{1,9})"
    r"(?:\s*(?:x|times)?\s*(?:per|a|/)\s*(?P<per>[a-z0-9. ]+?)(?:\s+(?:per|a)\s+(?P<of>placement|group))?)?",
    re.IGNORECASE,
)
_PERIODS: dict[str, Literal["session", "day", "visitor"]] = {
    "session": "session",
    "day": "day",
    "visitor": "visitor",
}
_KINDS: dict[str, Literal["content", "placement", "group"]] = {"placement": "placement", "group": "group"}


class Cap(Spec, frozen=True, kw_only=True):
    """At most ``limit`` exposures to one visitor: per session or day, in a length of time, or ever.

    Attributes
    ----------
    limit
        How often, 1 or more.
    per
        Over what: one session (if nothing is said), one day (UTC), or the visitor's whole time.
    within_ms
        Over any length of time up to this moment, in place of ``per``; then ``limit`` is 32 at most.
    of
        What is counted: this content, wherever it is shown; all contents with such a cap that are shown in the same
        placement; or all contents of the same ``group``, wherever they are shown.
    """

    short_form: ClassVar[str] = "3 per day"
    short_schema: ClassVar[dict[str, Any]] = {
        "type": ["string", "integer"],
        "pattern": r"^\d+(\s*(x|times)?\s*(per|a|/)\s*(session|day|visitor|[\d.]+\s*[a-z][a-z\d. ]*)"
        r"(\s+(per|a)\s+(placement|group))?)?$",
        "examples": ["3 per day", "2 per 7d", "1 per visitor", "10 per 30d per group"],
    }

    limit: int
    per: Literal["session", "day", "visitor"] | None = None
    within_ms: int | None = None
    of: Literal["content", "placement", "group"] = "content"

    @classmethod
    def from_short(cls, text: str) -> Cap | None:
        """``2 per 7d``, ``3 per day per group`` or ``3``; None if the text is none of them.

        >>> Cap.from_short("3 per day per group")
        Cap(limit=3, per='day', within_ms=None, of='group')
        """
        match = _CAP.fullmatch(text.strip())
        if match is None:
            return None
        limit, over = int(match["limit"]), match["per"]
        of = _KINDS.get((match["of"] or "").lower(), "content")
        if over is None:
            return cls(limit=limit)
        over = over.strip().lower()
        if over in _PERIODS:
            return cls(limit=limit, per=_PERIODS[over], of=of)
        within_ms = read_duration_ms(over)
        return cls(limit=limit, within_ms=within_ms, of=of) if within_ms else None


class Content(Spec, frozen=True, kw_only=True):
    """One content block or offer: an arm wherever a placement lists it.

    Attributes
    ----------
    type
        ``html`` and ``redirect`` (a URL) hold text in ``body``, ``json`` any JSON value.
    body
        What is served. ``{{traits.first_name|there}}`` is filled in from the visitor, or with what follows the bar.
    locales
        Other bodies by language tag (``de``, ``de-AT``); the best match of ``context.locale`` is served.
    trusted
        Whether HTML may hold what does more than show something: scripts, frames, forms, handlers.
    when
        CEL over the visitor: who may see it.
    starts_ms, ends_ms
        The schedule, [start, end).
    priority
        Higher first where rules alone must choose.
    cap
        How often one visitor may see it, or several contents together; of several caps each holds.
    group
        Contents that caps may count together.
    cost
        What showing it once costs, in the unit of the metrics that are money.
    features
        What the model knows of it, e.g. category or price; several categories as a list. Where a feature names what
        an affinity of visitors does (``category: shoes``, ``affinities.category.shoes``), how much a visitor likes
        what this content is about is learned across all contents.
    """

    type: Literal["html", "json", "redirect"] = "json"
    body: Any = None
    locales: dict[str, Any] = {}
    trusted: bool = False
    when: Cel | None = None
    starts_ms: Moment | None = None
    ends_ms: Moment | None = None
    priority: int = 0
    cap: tuple[Cap, ...] = ()
    group: str | None = None
    cost: float = 0.0
    features: dict[str, Attribute] = {}


def texts_of(content: Content) -> Iterator[str]:
    """Its bodies as text, for whoever looks for template variables."""
    for body in (content.body, *content.locales.values()):
        yield body if isinstance(body, str) else repr(body)


@dataclass(frozen=True, slots=True)
class Arm:
    """A content ready to be an arm.

    Attributes
    ----------
    in_stock
        Whether it may be shown at all; items alone may say that they may not.
    """

    id: str
    content: Content
    when: Rule | None
    in_stock: bool = True


class ContentSection(Section[Content]):
    """``content``."""

    name = "content"
    noun = "content"

    def rules(self, where: str, spec: Content) -> Iterator[RuleAt]:
        """Who may see it."""
        if spec.when is not None:
            yield RuleAt(f"{where}.when", spec.when, VISITOR, "yes_no")

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Content) -> None:
        """An arm."""
        where = f"content.{name}"
        check.demand(
            spec.type == "json" or isinstance(spec.body, str),
            f"{where}.body",
            f"a {spec.type} content needs text here",
        )
        check.demand(spec.type == "html" or not spec.trusted, f"{where}.trusted", "is of html alone; leave it out")
        if spec.starts_ms is not None and spec.ends_ms is not None:
            check.demand(spec.starts_ms < spec.ends_ms, f"{where}.ends", "must lie after starts")
        for index, cap in enumerate(spec.cap):
            _check_cap(check, f"{where}.cap[{index}]" if len(spec.cap) > 1 else f"{where}.cap", spec, cap)
        check.demand(spec.group != "", f"{where}.group", "needs a name, or leave it out")
        check.demand(math.isfinite(spec.cost), f"{where}.cost", "must be a finite number")
        compiled.arms[name] = Arm(name, spec, check.of_visitor(spec.when, f"{where}.when"))


def _check_cap(check: Check, where: str, spec: Content, cap: Cap) -> None:
    check.demand(cap.limit >= 1, f"{where}.limit", "must be 1 or more")
    if cap.within_ms is not None:
        check.demand(cap.within_ms > 0, f"{where}.within", "must be longer than nothing, e.g. 7d")
        check.demand(cap.limit <= MAX_TIMES, f"{where}.limit", f"is at most {MAX_TIMES} in a length of time")
        check.demand(
            cap.per is None,
            f"{where}.per",
            "stands beside within, and a cap counts over one of them: leave one out, or write two caps",
        )
    if cap.of == "group":
        check.demand(
            spec.group is not None,
            f"{where}.of",
            "counts the contents of a group, and this one is in none; write group: NAME beside cap",
        )
