"""``/v1/content``: items put in, changed, and taken out, one by one or many at once."""

from __future__ import annotations

import msgspec

from api.dialects.own.item_wire import ITEM, ITEMS, NAMED_ITEM, item_of, shown_item
from api.errors import ApiError, none_such, plain
from api.http.answer import Answer, reply
from api.http.dialect import NO_CONTENT, Call, Reply
from api.limits.slices import Slices
from api.reading.json_parts import read_elements, read_members
from api.taken import Rejected
from personalization.catalog.item import MAX_ITEM_BYTES, MAX_ITEMS, Item, check_item_id
from personalization.errors import InvalidInput

MAX_BODY_BYTES = 2 * MAX_ITEM_BYTES
"""Of one item as JSON, which says at greater length what is kept."""

MAX_AT_ONCE = 1_000

_PUT_BYTES = 64 * 1024
"""Of items as sent, which are encoded, kept and followed in one go: two milliseconds each."""


class ItemsAnswer(Answer, frozen=True, kw_only=True):
    """How many items were put in, and what was wrong with the others."""

    accepted: int
    rejected: list[Rejected]


async def show(call: Call) -> Reply:
    """One item."""
    item_id = call.params["content_id"]
    item = await call.core.stock.get(item_id)
    if item is None:
        raise _no_item(item_id)
    return reply(shown_item(item_id, item))


async def put(call: Call) -> Reply:
    """Put an item in, in place of one of that id."""
    item_id = _written_id(call)
    wire = ITEM.read(await call.body(MAX_BODY_BYTES))
    item = item_of(item_id, wire, app_schemes=call.core.stock.app_schemes)
    call.core.stock.check_id(item_id)
    done = await call.core.stock.put({item_id: item}, call.caller)
    _check_room(done[item_id])
    return reply(shown_item(item_id, item, done[item_id]))


async def patch(call: Call) -> Reply:
    """Change what is sent of an item."""
    item_id = _written_id(call)
    wire = ITEM.read(await call.body(MAX_BODY_BYTES))
    made: list[Item] = []

    def changed(held: Item) -> Item:
        made.append(item_of(item_id, wire, held=held, app_schemes=call.core.stock.app_schemes))
        return made[-1]

    revision = await call.core.stock.change(item_id, changed, call.caller)
    if revision is None:
        raise _no_item(item_id)
    return reply(shown_item(item_id, made[-1], revision))


async def delete(call: Call) -> Reply:
    """Take an item out."""
    if await call.core.stock.remove(call.params["content_id"], call.caller) is None:
        raise _no_item(call.params["content_id"])
    return NO_CONTENT


async def put_many(call: Call) -> Reply:
    """Put items in; each that cannot be is refused alone, with its index and field."""
    services = call.core.services
    slices = Slices(services.turnstile)
    items = await _read_items(await call.body(services.max_body_bytes), slices)
    call.weigh(len(items))
    good: dict[str, tuple[int, Item]] = {}
    rejected: list[Rejected] = []
    for index, raw in enumerate(items):
        if slices.is_over:
            await slices.pause()
        field = f"items[{index}]"
        try:
            sent = NAMED_ITEM.read(raw, field)
            item = item_of(sent.id, sent, field, app_schemes=call.core.stock.app_schemes)
            try:
                call.core.stock.check_id(sent.id)
            except InvalidInput as error:
                raise InvalidInput(f"{field}.{error.field}", error.message, error.code) from error
            good[sent.id] = index, item
        except InvalidInput as error:
            rejected.append(
                Rejected(index=index, code=error.code, field=plain(error.field), message=plain(error.message))
            )
    await call.audited.begin(objects=[f"content_id:{item_id}" for item_id in good])
    done: dict[str, int | None] = {}
    some: dict[str, Item] = {}
    n_bytes = 0
    for item_id, (index, item) in good.items():
        some[item_id] = item
        n_bytes += len(bytes(items[index]))
        if n_bytes >= _PUT_BYTES:
            done |= await call.core.stock.put(some, call.caller)
            some, n_bytes = {}, 0
            await slices.pause()
    done |= await call.core.stock.put(some, call.caller)
    for item_id, revision in done.items():
        if revision is None:
            index = good[item_id][0]
            rejected.append(Rejected(index=index, code="no_room", field=f"items[{index}]", message=_NO_ROOM))
    rejected.sort(key=lambda each: each.index)
    return reply(ItemsAnswer(accepted=len(items) - len(rejected), rejected=rejected))


async def _read_items(body: bytes, slices: Slices) -> list[msgspec.Raw]:
    members = await read_members(body, slices, "items")
    if "items" not in members:
        raise InvalidInput("items", 'is missing; send {"items": […]}', "missing_field")
    ITEMS.n_unknown += len(members) > 1
    return await read_elements(members["items"], slices, "items", MAX_AT_ONCE)


def _no_item(item_id: str) -> ApiError:
    return none_such(
        "id", f"there is no item {item_id[:64]!r}; PUT puts one in, and contents of the catalog are no items"
    )


def _written_id(call: Call) -> str:
    """The id in the path, under which an item is to be kept; raises ``InvalidInput`` where it cannot be."""
    item_id = call.params["content_id"]
    check_item_id(item_id)
    return item_id


_NO_ROOM = f"there are {MAX_ITEMS:,} items already; take some out first"


def _check_room(revision: int | None) -> None:
    if revision is None:
        raise ApiError(507, "no_room", _NO_ROOM, "id")
