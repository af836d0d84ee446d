"""Examples for conversion models: opened at a session's start, labelled by what follows, closed by a time-out.

They live in the folder's own part of a visitor, at most ``MAX_OPEN_EXAMPLES``. A visitor who has that many opens no
more until one closes: which starts are left out does not depend on what follows them, and none stays unlabelled.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from personalization.audience.conversion_features import conversion_features
from personalization.audience.variables import VisitorScope
from personalization.bounded import short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.entry import Position
from personalization.events.event import ClientEvent, Merged
from personalization.events.event_fields import name_in
from personalization.events.event_scope import event_scope
from personalization.events.example import Example, Stage, example_key
from personalization.folding.context import FoldContext
from personalization.visitor.folder_state import MAX_OPEN_EXAMPLES, Conversions, FolderState, OpenExample
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import Session

_ID_BYTES = 12


class OpenExamples:
    """The examples of one visitor while one entry is folded."""

    __slots__ = ("_fold", "catalog", "folder", "notes", "state")

    def __init__(self, fold: FoldContext) -> None:
        self._fold = fold
        self.state = fold.state
        self.folder = fold.folder
        self.catalog = fold.catalog
        self.notes = fold.notes

    def observe(self, event: ClientEvent, *, first: bool) -> None:
        """A client event was just applied to the state: it may be a conversion, or the first of a session.

        What begins the session is no conversion of its own example: it came before there was a question.
        """
        rules = self.catalog.conversions_by_event.get(name_in(event, self.catalog.events))
        if rules:
            scope = event_scope(event, self.catalog)
            for conversion in rules:
                if conversion.when is None or conversion.when.holds(scope):
                    self._convert(conversion.name)
        if self.catalog.conversions and first:
            self._begin(event)

    def time_out(self) -> None:
        """Close every horizon that has ended by now."""
        conversions = self.folder.conversions
        if conversions is None:
            return
        for example in sorted(conversions.open, key=lambda example: example.due_ms):
            if example.due_ms <= self.state.now_ms:
                conversions.open.remove(example)
                self._tell(example, Stage.CLOSED)
        self._tidy()

    def take_over(self, other: Conversions | None, ours: Session, theirs: Session) -> None:
        """Take over another visitor's examples by a merge; what either side bought labels those of both.

        Of two examples that turn out to be of one session the later is dropped; not where labels are early, since
        it has been learned as a negative and its conversion must still undo that.

        Parameters
        ----------
        ours, theirs
            The sessions of both sides before the merge.
        """
        if not may(self.state.consents, PERSONALISING, default=True):
            self.forget()
            return
        if other is None:
            return
        mine = self.folder.conversions or Conversions()
        found = {example.example_id: example for example in (*mine.open, *other.open)}
        kept = sorted(found.values(), key=lambda example: (example.opened_ms, example.example_id))
        if (
            ours.number
            and theirs.number
            and self.state.session.started_ms < max(ours.started_ms, theirs.started_ms)
        ):
            kept = self._one_of_a_session(kept)
        for skipped in kept[MAX_OPEN_EXAMPLES:]:
            self.notes.append(("example_skipped", example_key(skipped.conversion), ""))
        last_ms = dict(mine.last_ms)
        for name, at_ms in other.last_ms.items():
            last_ms[name] = max(at_ms, last_ms.get(name, 0))
        self.folder.conversions = Conversions(kept[:MAX_OPEN_EXAMPLES], last_ms)
        for name, at_ms in last_ms.items():
            # What began the session is no conversion of its own example.
            self._label(name, at_ms, opened_before_ms=at_ms)
        self._tidy()

    def _one_of_a_session(self, examples: list[OpenExample]) -> list[OpenExample]:
        """Keep the first example of each conversion in the running session; they come in order of opening."""
        kept: list[OpenExample] = []
        seen: set[str] = set()
        for example in examples:
            running = example.opened_ms >= self.state.session.started_ms
            if not running or example.early or example.conversion not in seen:
                kept.append(example)
            if running:
                seen.add(example.conversion)
        return kept

    def _begin(self, event: ClientEvent) -> None:
        state, key = self.state, self._fold.key
        scope = VisitorScope(state, event.context, self.catalog, state.now_ms, is_registered(key))
        conversions = self.folder.conversions
        if conversions is None:
            conversions = self.folder.conversions = Conversions()
        for name, conversion in self.catalog.conversions.items():
            if len(conversions.open) >= MAX_OPEN_EXAMPLES:
                self.notes.append(("example_skipped", example_key(name), ""))
                continue
            example = OpenExample(
                example_id=_example_id(key, self._fold.position, name),
                conversion=name,
                opened_ms=state.now_ms,
                due_ms=state.now_ms + conversion.spec.horizon_ms,
                early=conversion.spec.labels == "early",
                converted=False,
                features=conversion_features(conversion, scope),
            )
            conversions.open.append(example)
            self._tell(example, Stage.OPENED)

    def _convert(self, name: str) -> None:
        conversions = self.folder.conversions
        if conversions is None:
            conversions = self.folder.conversions = Conversions()
        conversions.last_ms[name] = self.state.now_ms
        self._label(name, self.state.now_ms, opened_before_ms=self.state.now_ms + 1)
        self._tidy()

    def _label(self, name: str, at_ms: int, opened_before_ms: int) -> None:
        """The conversion at ``at_ms`` counts for every example that was open then."""
        conversions = self.folder.conversions
        assert conversions is not None
        for example in conversions.open:
            if example.conversion != name or example.converted:
                continue
            if example.opened_ms >= opened_before_ms or at_ms > example.due_ms:
                continue
            example.converted = True
            self.notes.append(("example_converted", example_key(name), ""))
            if example.early:
                self._tell(example, Stage.CONVERTED)

    def forget(self) -> None:
        """Drop all that is open, untold: the visitor refused."""
        conversions = self.folder.conversions
        if conversions is not None:
            self.notes.extend(
                ("example_refused", example_key(example.conversion), "") for example in conversions.open
            )
            self.folder.conversions = None

    def _tidy(self) -> None:
        """Forget what can label nothing any more, and the whole where nothing is left."""
        conversions = self.folder.conversions
        if conversions is None:
            return
        known = self.catalog.conversions
        conversions.last_ms = {
            name: at_ms
            for name, at_ms in conversions.last_ms.items()
            if name in known and self.state.now_ms - at_ms <= known[name].spec.horizon_ms
        }
        if not conversions.open and not conversions.last_ms:
            self.folder.conversions = None

    def _tell(self, example: OpenExample, stage: Stage) -> None:
        if stage is not Stage.CONVERTED:
            self.notes.append((f"example_{stage.value}", example_key(example.conversion), ""))
        self._fold.emissions.append(
            Example(
                example_id=example.example_id,
                conversion=example.conversion,
                stage=stage,
                opened_at_ms=example.opened_ms,
                at_ms=self.state.now_ms,
                label=example.converted,
                early=example.early,
                features=example.features,
                catalog_version=self.catalog.version,
                unit=self.state.unit or short_hash(self._fold.key),
            )
        )


class Examples:
    """The part of the fold that keeps open examples, if the catalog has conversions or had some."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """The event may be a conversion, or begin a session."""
        if fold.catalog.conversions or fold.folder.conversions is not None:
            OpenExamples(fold).observe(event, first=first)

    def time_out(self, fold: FoldContext) -> None:
        """Close every horizon that has ended by now."""
        if fold.folder.conversions is not None:
            OpenExamples(fold).time_out()

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """Take over the other key's examples."""
        OpenExamples(fold).take_over(merged.folder.conversions, ours, merged.state.session)

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """Drop all that is open, untold, if the visitor refused."""
        if fold.folder.conversions is not None and not allowed(PERSONALISING):
            OpenExamples(fold).forget()

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """It is not: what is open keeps the terms it was opened under."""
        return False

    def due_ms(self, folder: FolderState) -> float:
        """When the first horizon ends; infinity if none is open."""
        due_ms = math.inf
        if folder.conversions is not None:
            for example in folder.conversions.open:
                if example.due_ms < due_ms:
                    due_ms = example.due_ms
        return due_ms


def _example_id(key: str, position: Position, conversion: str) -> str:
    """Stands for (conversion, entry) without naming the visitor."""
    text = f"{conversion}\x1f{position.epoch}\x1f{position.offset}\x1f{key}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).hexdigest()
