"""One request at the door: who sends it, when it came, and what its sender is to be told."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from api.access.caller import Caller
from api.access.proof import USER_HASH, USER_TOKEN, Identities
from api.reading.ids import DegenerateIds, WireId, check_id
from api.reading.notice import Notice
from api.services.item_features import E, ItemOf, no_item, with_item
from api.services.senders import Senders
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.deciding.decision import Answer
from personalization.events.entry import Entry, Sender, encode_entry
from personalization.events.event import Event
from personalization.visitor.degenerate_id import is_degenerate
from tracing.request_trace import RequestTrace


class Intake:
    """Stamps what one request brings.

    Attributes
    ----------
    received_at_ms
        When the request came: the fold's clock.
    catalog
        What it brings is folded under it.
    refused
        Purposes that the visitor's browser refuses by ``Sec-GPC: 1``.
    identities
        Say who may speak for which user.
    notices
        What its sender is told.
    answered_as
        What its answer calls the request.
    trace
        Records the request; None where nobody does.
    answer
        What was decided last for it; None: nothing.
    """

    __slots__ = (
        "_degenerate",
        "_item_of",
        "answer",
        "answered_as",
        "caller",
        "catalog",
        "identities",
        "notices",
        "received_at_ms",
        "refused",
        "sender",
        "trace",
    )

    def __init__(
        self,
        caller: Caller,
        address: str,
        gpc: bool,
        senders: Senders,
        degenerate: DegenerateIds,
        identities: Identities,
        received_at_ms: int,
        catalog: CompiledCatalog,
        item_of: ItemOf = no_item,
    ) -> None:
        self.caller = caller
        self.received_at_ms = received_at_ms
        self.catalog = catalog
        self.sender: Sender = senders.of(caller.access, address, received_at_ms)
        self.refused = caller.access.gpc if gpc else ()
        self.notices: list[Notice] = []
        self._degenerate = degenerate
        self.identities = identities
        self._item_of = item_of
        self.answered_as = ""
        self.trace: RequestTrace | None = None
        self.answer: Answer | None = None

    def id(self, value: WireId, field: str) -> str | None:
        """An id as sent, None where there is none; one that is nobody's is none, counted and told of.

        Raises
        ------
        InvalidInput
            Where it cannot be an id.
        """
        if value is None:
            return None
        checked = check_id(value, field)
        if checked is None or not (checked == self.caller.key or is_degenerate(checked)):
            return checked
        self._degenerate.note(self.caller.access.source, field, self.received_at_ms)
        what = "is the key of a source" if checked == self.caller.key else f"is {checked[:40]!r}"
        self.notices.append(
            Notice(
                field, "degenerate_id", f"{what}, which is nobody's id, and was left out; mend what makes the id"
            )
        )
        return None

    def with_item(self, event: E) -> E:
        """The event, with what is known of the item that it names."""
        return with_item(event, self.catalog, self._item_of)

    def record(
        self, key: str, event: Event, at_ms: int | None = None, *, agreed: bool = False, proven: bool = False
    ) -> Record:
        """The log record of one event.

        Parameters
        ----------
        at_ms
            When it happened, if not now.
        agreed
            See ``personalization.events.entry.Entry``.
        proven
            Whether its sender proved to be the user it names.

        Raises
        ------
        InvalidInput
            Where it holds what cannot be stored.
        """
        entry = Entry(
            received_at_ms=self.received_at_ms,
            occurred_at_ms=self.received_at_ms if at_ms is None else at_ms,
            catalog_version=self.catalog.version,
            event=event,
            sender=structs.replace(self.sender, verified=True) if proven else self.sender,
            agreed=agreed,
            trace=b"" if self.trace is None else self.trace.carried,
        )
        return Record(VISITOR_LOG, key, encode_entry(entry))


def storable(context: dict[str, Any] | None) -> dict[str, Any]:
    """The context, but for the visitor's address, which nothing here needs, for proofs and for consent receipts."""
    if not context:
        return {}
    for name in _NEVER_STORED:
        context.pop(name, None)
    return context


CONSENT_RECEIPT = "consentReceipt"
"""Where a context carries the visitor's consent receipt."""

_NEVER_STORED = ("ip", USER_HASH, USER_TOKEN, CONSENT_RECEIPT)
