"""The routes of our own dialect."""

from __future__ import annotations

from api.access.permissions import Permission
from api.dialects.own import (
    arms,
    audit,
    collect,
    consent,
    decide,
    decisions,
    experiments,
    explain,
    items,
    model,
    person,
    placements,
    preview,
    rank,
    rights,
    segments,
    unlink,
    visitors,
)
from api.dialects.own import descriptions as told
from api.http.dialect import Dialect, Route, own_shape

DECIDE_PATH = "/v1/decide"
_VISITOR = "/v1/visitors/{visitor_id:path}"
_CONTENT = "/v1/content/{content_id:path}"
_REWARD = "/v1/decisions/{decision_id}/reward"
_ACTIVATE = "/v1/decisions/{decision_id}/activate"
_GET = ("GET", "HEAD")
_POST = ("POST",)
_DECIDE, _COLLECT = Permission.DECIDE, Permission.COLLECT
_ITEMS, _READ, _VISITORS, _ERASE = Permission.ITEMS, Permission.READ, Permission.VISITORS, Permission.ERASE

_BY_PAGES = (
    Route(_POST, DECIDE_PATH, "decide", _DECIDE, decide.decide, description=told.DECIDE),
    Route(("GET",), DECIDE_PATH, "decide", _DECIDE, decide.decide_by_address, description=told.DECIDE_BY_ADDRESS),
    Route(_POST, "/v1/events", "collect", _COLLECT, collect.collect, description=told.COLLECT),
    Route(_POST, _REWARD, "reward", _COLLECT, decisions.reward, description=told.REWARD),
    Route(_POST, _ACTIVATE, "activate", _COLLECT, decisions.activate, description=told.ACTIVATE),
    Route(_POST, "/v1/exposures", "exposures", _COLLECT, decisions.exposures, description=told.EXPOSURES),
    Route(_POST, "/v1/rewards", "rewards", _COLLECT, decisions.rewards, description=told.REWARDS),
    Route(_POST, "/v1/consent", "consent", _COLLECT, consent.answer, description=told.CONSENT),
    Route(_POST, "/v1/me/explain", "explain_to_me", _DECIDE, person.explain_to_me, description=told.EXPLAIN_TO_ME),
    Route(_GET, "/v1/consent/keys", "consent_keys", None, consent.keys, description=told.CONSENT_KEYS),
)

_BY_SERVERS = (
    Route(
        _POST,
        "/v1/unlink",
        "unlink",
        Permission.UNLINK,
        unlink.unlink,
        names_in_body=True,
        description=told.UNLINK,
    ),
    Route(_POST, "/v1/rank", "rank", Permission.RANK, rank.rank, description=told.RANK),
    Route(
        _POST,
        "/v1/content",
        "put_items",
        _ITEMS,
        items.put_many,
        names_in_body=True,
        description=told.PUT_ITEMS,
    ),
    Route(_GET, _CONTENT, "item", _READ, items.show, description=told.ITEM),
    Route(("PUT",), _CONTENT, "put_item", _ITEMS, items.put, description=told.PUT_ITEM),
    Route(("PATCH",), _CONTENT, "patch_item", _ITEMS, items.patch, description=told.PATCH_ITEM),
    Route(("DELETE",), _CONTENT, "delete_item", _ITEMS, items.delete, description=told.DELETE_ITEM),
    Route(
        ("GET",),
        f"{_VISITOR}/export",
        "export_visitor",
        Permission.EXPORT,
        rights.export,
        description=told.EXPORT,
    ),
    Route(("DELETE",), _VISITOR, "erase_visitor", _ERASE, rights.erase, description=told.ERASE),
    Route(
        _GET,
        "/v1/erasures/{erasure_id}",
        "erasure",
        _ERASE,
        rights.erasure,
        is_look=True,
        description=told.ERASURE,
    ),
    Route(
        _POST,
        f"{_VISITOR}/explain",
        "explain_visitor",
        _VISITORS,
        person.explain,
        description=told.EXPLAIN_VISITOR,
    ),
    Route(_GET, f"{_VISITOR}/consent", "kept_consent", _VISITORS, consent.kept, description=told.KEPT_CONSENT),
    Route(_GET, _VISITOR, "visitor", _VISITORS, visitors.show, description=told.VISITOR),
    Route(
        _POST,
        "/v1/preview",
        "preview",
        _VISITORS,
        preview.preview,
        names_in_body=True,
        description=told.PREVIEW,
    ),
    Route(_GET, "/v1/segments", "segments", _READ, segments.show, description=told.SEGMENTS),
    Route(
        _GET,
        "/v1/segments/{name:path}/visitors",
        "segment_visitors",
        _VISITORS,
        segments.members,
        description=told.SEGMENT_VISITORS,
    ),
    Route(
        _GET,
        "/v1/decisions/{decision_id}/explain",
        "explain_decision",
        _VISITORS,
        explain.explained,
        names_in_body=True,
        description=told.EXPLAINED,
    ),
    Route(
        _POST,
        "/v1/preview-links",
        "make_preview_link",
        _VISITORS,
        explain.preview_link,
        names_in_body=True,
        description=told.PREVIEW_LINK,
    ),
    Route(_GET, "/v1/experiments", "experiments", _READ, experiments.show, description=told.EXPERIMENTS),
    Route(_GET, "/v1/audit", "audit", Permission.AUDIT, audit.show, description=told.AUDIT),
    Route(_GET, "/v1/placements/{name:path}/arms", "arms", _READ, arms.show, description=told.ARMS),
    Route(_GET, "/v1/placements/{name:path}/model", "model", _READ, model.show, description=told.MODEL),
    Route(_GET, "/v1/placements/{name:path}", "placement", _READ, placements.show, description=told.PLACEMENT),
)

OWN = Dialect(name="own", prefix="/", error_body=own_shape, routes=(*_BY_PAGES, *_BY_SERVERS))
