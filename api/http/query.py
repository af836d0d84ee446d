"""The query of an address, read as the struct that lists its parameters says; what it does not list is refused.

Whoever misspells a member of a body is told of it by a count. Whoever misspells a parameter gets another page, and
sees it months later: so the answer names the parameters that there are.
"""

from __future__ import annotations

from typing import Generic, TypeVar, get_origin, get_type_hints
from urllib.parse import parse_qs

import msgspec

from api.access.shown_key import IN_ADDRESS
from api.reading.wire import refusal
from personalization.errors import InvalidInput

T = TypeVar("T", bound=msgspec.Struct)

MAX_PARAMETERS = 100


class Query(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The parameters of an address."""


class QueryReader(Generic[T]):
    """Reads one kind of query.

    Parameters
    ----------
    parameters
        A parameter whose type is a list may stand several times.
    """

    def __init__(self, parameters: type[T]) -> None:
        self._type = parameters
        types = get_type_hints(parameters)
        names = {field.encode_name: types[field.name] for field in msgspec.structs.fields(parameters)}
        self._names = frozenset(names)
        self._lists = frozenset(name for name, type_ in names.items() if get_origin(type_) is list)
        self._good = {
            field.encode_name: good
            for field in msgspec.inspect.type_info(parameters).fields  # type: ignore[attr-defined]
            if (good := _good(field.type)) is not None
        }
        self._known = ", ".join(sorted(self._names | {IN_ADDRESS[0]}))

    def read(self, query: bytes) -> T:
        """The parameters; the key that an address may hold is none of them.

        Raises
        ------
        InvalidInput
            Names the parameter.
        """
        given: dict[str, str | list[str]] = {}
        for name, values in _fields(query).items():
            if name in IN_ADDRESS:
                continue
            if name not in self._names:
                message = f"is no parameter here; there are: {self._known}"
                raise InvalidInput(name[:64], message, "unknown_parameter")
            if any("\x00" in value for value in values):
                raise InvalidInput(name, "holds a NUL character; remove it", "bad_text")
            if name not in self._lists and len(values) > 1:
                raise InvalidInput(name, f"stands {len(values)} times; send it once", "invalid_field")
            given[name] = values if name in self._lists else values[0]
        try:
            return msgspec.convert(given, self._type, strict=False)
        except msgspec.ValidationError as error:
            found = refusal(error, b"{}")
            good = None if found.code == "missing_field" else self._good.get(found.field)
            if good is None:
                raise found from error
            value = str(given.get(found.field, ""))[:64]
            message = f"is {value!r}; send {good}, or leave it out"
            raise InvalidInput(found.field, message, found.code) from error


def _fields(query: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput("query", f"is not a UTF-8 query string of at most {MAX_PARAMETERS} fields") from error


def _good(type_: msgspec.inspect.Type) -> str | None:
    """What a parameter may be, in words; ``None`` of any text."""
    if isinstance(type_, msgspec.inspect.Metadata):
        return _good(type_.type)
    if isinstance(type_, msgspec.inspect.UnionType):
        return next((good for each in type_.types if (good := _good(each)) is not None), None)
    if isinstance(type_, msgspec.inspect.LiteralType):
        return " or ".join(str(value) for value in type_.values if value is not None)
    if isinstance(type_, msgspec.inspect.BoolType):
        return "true or false"
    if isinstance(type_, msgspec.inspect.IntType):
        return f"a whole number{_span(type_.ge, type_.le)}"
    return None


def _span(least: int | None, most: int | None) -> str:
    return ("" if least is None else f" from {least}") + ("" if most is None else f" to {most}")
