"""What each route of our own dialect takes and gives. Examples are those of ``docs/http-api.md``."""

from __future__ import annotations

from typing import Any

from api.dialects.own.arms import ArmsAnswer, OverQuery
from api.dialects.own.audit import AuditAnswer, AuditQuery, AuditRecord, UnreadableRecord
from api.dialects.own.consent import ConsentAnswer, JwkSet, KeptConsent
from api.dialects.own.decide_answer import DecideAnswer
from api.dialects.own.decide_query import DecideQuery
from api.dialects.own.experiments import ExperimentsAnswer, ExperimentsQuery
from api.dialects.own.explain import PreviewLinkAnswer, WirePreviewLink
from api.dialects.own.item_wire import ItemAnswer, WireItem, WireItems, WireNamedItem
from api.dialects.own.items import ItemsAnswer
from api.dialects.own.model import ModelAnswer, ModelQuery
from api.dialects.own.person import PersonAnswer
from api.dialects.own.placements import PlacementAnswer
from api.dialects.own.preview_answer import MistakenDraftAnswer, PreviewAnswer
from api.dialects.own.preview_wire import WirePreview
from api.dialects.own.rank import RankAnswer
from api.dialects.own.rank_request import WireRank
from api.dialects.own.rights import ErasureAnswer, ExportAnswer
from api.dialects.own.segments import MembersAnswer, PageQuery, SegmentsAnswer
from api.dialects.own.visitors import KindQuery, VisitorAnswer
from api.dialects.own.wire import (
    WireBatch,
    WireConsent,
    WireDecide,
    WireExposures,
    WireMe,
    WireNamedReward,
    WireReward,
    WireRewards,
    WireUnlink,
)
from api.errors import ErrorAnswer
from api.http.description import Description, Given, json_of
from api.reading.wire import WireEvent
from api.taken import NotTaken, TakenAnswer
from personalization.explaining.explanation import Explanation

_TAKEN = json_of(TakenAnswer, what="The log has the good ones; each other one is named by its index.")
_NONE_TAKEN = json_of(NotTaken, ErrorAnswer, what="None was taken; each that can be read is named.")
_DONE = Given(what="Done.")
_ME = {"anonymousId": "me"}

DECIDE = Description(
    summary="Decides what to show",
    body=(WireDecide,),
    given={200: json_of(DecideAnswer, what="Valid content, Redis, models or log away or not.")},
    example={
        "visitor": {"anonymousId": "me", "userId": None},
        "placements": ["home.hero", {"placement": "home.recommendations", "slots": 3}],
        "context": {"locale": "en", "userAgent": "…"},
        "events": [{"type": "page", "messageId": "m-2", "anonymousId": "me", "name": "Home"}],
    },
)

DECIDE_BY_ADDRESS = Description(
    summary="Decides by an address: for beacons and server-side includes",
    query=DecideQuery,
    given={
        200: Given(
            what="Valid content: the whole answer, or with `format` the content alone.",
            types={"application/json": (DecideAnswer, list[Any]), "text/html": (str,)},
            headers={
                "X-Nextbest-Decision-Id": "With `format`: the decision of each slot.",
                "X-Nextbest-Content-Id": "With `format`: the content of each slot, percent-encoded.",
                "X-Nextbest-Tier": "With `format`: what the choice of each slot rests on.",
            },
        )
    },
)

COLLECT = Description(
    summary="Collects events: one, or a batch",
    body=(WireEvent, WireBatch),
    given={200: _TAKEN, 400: _NONE_TAKEN},
    example={
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m-1",
        "anonymousId": "me",
        "properties": {"productId": "p7", "category": "shoes", "price": 79},
    },
)

REWARD = Description(
    summary="Says what a decision was worth",
    body=(WireReward,),
    given={204: _DONE},
    example={"name": "click", "value": 1.0, "messageId": "r-1", "final": False},
)

ACTIVATE = Description(summary="Says that a deferred decision was shown", given={204: _DONE}, errors=(400,))

REWARDS = Description(
    summary="Says what many decisions were worth",
    body=(WireRewards,),
    parts=(WireNamedReward,),
    given={200: _TAKEN, 400: _NONE_TAKEN},
)

EXPOSURES = Description(
    summary="Says that many deferred decisions were shown",
    body=(WireExposures,),
    given={200: _TAKEN, 400: _NONE_TAKEN},
)

CONSENT = Description(
    summary="Records what a visitor answered, and gives a receipt",
    body=(WireConsent,),
    given={200: json_of(ConsentAnswer, what="The log has it.")},
    example={
        "visitor": _ME,
        "purposes": {"personalization": True, "advertising": False},
        "language": "en",
        "collectionMethod": "banner 3",
    },
)

CONSENT_KEYS = Description(
    summary="The public keys of receipts",
    given={200: Given(what="A JWK set.", types={"application/jwk-set+json": (JwkSet,)})},
)

KEPT_CONSENT = Description(
    summary="What is kept of a visitor's answers",
    query=KindQuery,
    given={200: json_of(KeptConsent, what="By purpose.")},
    errors=(404,),
)

EXPLAIN_VISITOR = Description(
    summary="What to tell a person of the automated decisions made about them",
    query=KindQuery,
    given={200: json_of(PersonAnswer, what="In plain words.")},
    errors=(404,),
)

EXPLAIN_TO_ME = Description(
    summary="Tells a person of the automated decisions made about them",
    body=(WireMe,),
    given={200: json_of(PersonAnswer, what="In plain words.")},
    errors=(403, 404),
    example={"userId": "user-7", "userHash": "…"},
)

PREVIEW = Description(
    summary="Says what a visitor would see, and why; nothing of it is kept",
    body=(WirePreview,),
    given={
        200: json_of(PreviewAnswer, what="By placement."),
        400: json_of(MistakenDraftAnswer, ErrorAnswer, what="Of a draft, each mistake with file and line."),
    },
    example={
        "visitor": {"userId": "user-7"},
        "placements": ["home.hero"],
        "facts": {"traits": {"plan": "pro"}, "device": "mobile", "events": [{"event": "Viewed", "ago": "2d"}]},
    },
)

SEGMENTS = Description(
    summary="How large each segment is",
    given={200: json_of(SegmentsAnswer, what="As they were counted last, in the order of the catalog.")},
)

SEGMENT_VISITORS = Description(
    summary="Who is in a segment",
    query=PageQuery,
    given={200: json_of(MembersAnswer, what="Some hundred of them; a page may be empty and not the last.")},
    errors=(404,),
)

UNLINK = Description(
    summary="Says that a browser is not a user's any more",
    body=(WireUnlink,),
    given={204: _DONE},
    example={"anonymousId": "a1", "userId": "user-7"},
)

RANK = Description(
    summary="Ranks items that you bring",
    body=(WireRank,),
    given={200: json_of(RankAnswer, what="What was drawn for each slot first, then the others.")},
    example={
        "visitor": _ME,
        "placement": "search.results",
        "items": [
            {"id": "p1", "features": {"category": "shoes", "price": 79}},
            {
                "id": "p2",
                "features": {"category": "bags", "tags": ["sale", "new"]},
                "content": {"title": "Bag"},
            },
        ],
        "excluded": ["p2"],
        "context": {"locale": "en"},
    },
)

PUT_ITEMS = Description(
    summary="Puts many items in",
    body=(WireItems,),
    parts=(WireNamedItem,),
    given={200: json_of(ItemsAnswer, what="How many; each other one is named by its index.")},
)

ITEM = Description(summary="An item", given={200: json_of(ItemAnswer, what="As it stands.")}, errors=(404,))

PUT_ITEM = Description(
    summary="Puts an item in, in place of one of that id",
    body=(WireItem,),
    given={200: json_of(ItemAnswer, what="As it stands now.")},
    errors=(507,),
    example={
        "type": "html",
        "body": "<h3>The derby</h3>",
        "tags": ["teaser"],
        "features": {"section": "sport"},
        "ends": "2026-12-01T06:00:00Z",
    },
)

PATCH_ITEM = Description(
    summary="Changes what is sent of an item; null takes a field back",
    body=(WireItem,),
    given={200: json_of(ItemAnswer, what="As it stands now.")},
    errors=(404,),
    example={"inStock": False},
)

DELETE_ITEM = Description(summary="Takes an item out", given={204: _DONE}, errors=(400, 404))

VISITOR = Description(
    summary="What is known of a visitor",
    query=KindQuery,
    given={200: json_of(VisitorAnswer, what="As decisions see it.")},
    errors=(404,),
)

EXPORT = Description(
    summary="All that is kept of a person, to take along",
    query=KindQuery,
    given={
        200: json_of(
            ExportAnswer,
            what="Under every id of theirs.",
            headers={"Content-Disposition": "It is a file."},
        )
    },
    errors=(404,),
)

ERASE = Description(
    summary="Erases a person",
    query=KindQuery,
    given={
        200: json_of(ErasureAnswer, what="It is done."),
        202: json_of(
            ErasureAnswer, what="It is under way.", headers={"Location": "Where to see what became of it."}
        ),
    },
    headers={
        "Prefer": "`wait=SECONDS` for it to be done, 10 unless you say so and 30 at most; `respond-async`: none."
    },
    errors=(404,),
)

ERASURE = Description(
    summary="What became of an erasure",
    given={
        200: json_of(ErasureAnswer, what="It is done."),
        202: json_of(ErasureAnswer, what="It is under way.", headers={"Location": "The same."}),
    },
    errors=(404,),
)

AUDIT = Description(
    summary="Who did what",
    query=AuditQuery,
    parts=(AuditRecord, UnreadableRecord),
    given={200: json_of(AuditAnswer, what="Records, in order.")},
)

ARMS = Description(
    summary="What each arm of a placement was chosen, shown and worth lately",
    query=OverQuery,
    given={200: json_of(ArmsAnswer, what="As far as the projector has read.")},
    errors=(404,),
)

EXPERIMENTS = Description(
    summary="What experiments brought",
    query=ExperimentsQuery,
    given={200: json_of(ExperimentsAnswer, what="With intervals that are valid at every look.")},
    errors=(404,),
)

EXPLAINED = Description(
    summary="Why a recorded decision was made",
    given={200: json_of(Explanation, what="By its record, and by the visitor as they are now.")},
    errors=(404,),
)

PREVIEW_LINK = Description(
    summary="Makes a preview link: its token lets a page see why its decisions are made",
    body=(WirePreviewLink,),
    given={200: json_of(PreviewLinkAnswer, what="The token, and when it ends.")},
    example={"placements": ["home.hero"], "validMs": 86_400_000},
)

MODEL = Description(
    summary="What a placement's model goes by: weights, what matters, how its arms fare",
    query=ModelQuery,
    given={200: json_of(ModelAnswer, what="As of the last durable checkpoint.")},
    errors=(404,),
)

PLACEMENT = Description(
    summary="What was learned about a placement's content",
    given={200: json_of(PlacementAnswer, what="As of the last durable checkpoint.")},
    errors=(404,),
)
