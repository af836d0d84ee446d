"""What a section of the catalog is: one concept, and all that the house asks of it, in one file.

Names that a section does not define, rules it does not have: the defaults here. Whoever walks the catalog (checks,
warnings, the list of what is named, the compiler) walks its sections and knows none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from personalization.catalog.check import Check
from personalization.catalog.vocabulary import Kind, Variable

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

S = TypeVar("S")


class RuleAt(NamedTuple):
    """A rule as it is written.

    Attributes
    ----------
    path
        Where it stands.
    source
        CEL.
    variables
        What it may name: ``vocabulary.VISITOR`` or ``vocabulary.EVENT``.
    gives
        What it has to give.
    event
        Of a rule over events, the name of those it is asked of; empty: all of them.
    """

    path: str
    source: str
    variables: Mapping[str, Variable]
    gives: Kind
    event: str = ""


class Section(Generic[S]):
    """One section: names that people choose, each with a value of one type.

    Attributes
    ----------
    name
        Its name in the catalog.
    noun
        What one of its entries is called.
    defines
        The variables whose entries its names are (``affinities.category``).
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    defines: ClassVar[tuple[str, ...]] = ()

    def rules(self, where: str, spec: S) -> Iterator[RuleAt]:
        """Every rule of an entry that stands at ``where``."""
        return iter(())

    def events(self, where: str, spec: S) -> Iterator[tuple[str, str]]:
        """(path, name) of every event that an entry names."""
        return iter(())

    def features(self, where: str, spec: S) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(path, names) of every list of features."""
        return iter(())

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: S) -> None:
        """Enter an entry into the compiled catalog; the sections before it are there already."""

    def compile_all(self, check: Check, compiled: CompiledCatalog, specs: Mapping[str, S]) -> None:
        """Enter all of them, and check what concerns several at once."""
        for name, spec in specs.items():
            self.compile(check, compiled, name, spec)
