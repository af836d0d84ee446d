"""The routes of our own dialect."""

from __future__ import annotations

from api.access.permissions import Permission
from api.dialect import Dialect, Route, own_shape
from api.dialects.own import (
    audit,
    collect,
    consent,
    decide,
    decisions,
    items,
    placements,
    rank,
    rights,
    unlink,
    visitors,
)

DECIDE_PATH = "/v1/decide"
_VISITOR = "/v1/visitors/{visitor_id:path}"
_CONTENT = "/v1/content/{content_id:path}"


OWN = Dialect(
    name="own",
    prefix="/",
    error_body=own_shape,
    routes=(
        Route(("POST",), DECIDE_PATH, "decide", Permission.DECIDE, decide.decide),
        Route(("GET",), DECIDE_PATH, "decide", Permission.DECIDE, decide.decide_by_address),
        Route(("POST",), "/v1/events", "collect", Permission.COLLECT, collect.collect),
        Route(("POST",), "/v1/decisions/{decision_id}/reward", "reward", Permission.COLLECT, decisions.reward),
        Route(
            ("POST",), "/v1/decisions/{decision_id}/activate", "activate", Permission.COLLECT, decisions.activate
        ),
        Route(("POST",), "/v1/exposures", "exposures", Permission.COLLECT, decisions.exposures),
        Route(("POST",), "/v1/rewards", "rewards", Permission.COLLECT, decisions.rewards),
        Route(("POST",), "/v1/consent", "consent", Permission.COLLECT, consent.answer),
        Route(("GET", "HEAD"), "/v1/consent/keys", "consent_keys", None, consent.keys),
        Route(("POST",), "/v1/unlink", "unlink", Permission.UNLINK, unlink.unlink, names_in_body=True),
        Route(("POST",), "/v1/rank", "rank", Permission.RANK, rank.rank),
        Route(("POST",), "/v1/content", "put_items", Permission.ITEMS, items.put_many, names_in_body=True),
        Route(("GET", "HEAD"), _CONTENT, "item", Permission.READ, items.show),
        Route(("PUT",), _CONTENT, "put_item", Permission.ITEMS, items.put),
        Route(("PATCH",), _CONTENT, "patch_item", Permission.ITEMS, items.patch),
        Route(("DELETE",), _CONTENT, "delete_item", Permission.ITEMS, items.delete),
        Route(("GET",), f"{_VISITOR}/export", "export_visitor", Permission.EXPORT, rights.export),
        Route(("DELETE",), _VISITOR, "erase_visitor", Permission.ERASE, rights.erase),
        Route(
            ("GET", "HEAD"),
            "/v1/erasures/{erasure_id}",
            "erasure",
            Permission.ERASE,
            rights.erasure,
            is_look=True,
        ),
        Route(("GET", "HEAD"), f"{_VISITOR}/consent", "kept_consent", Permission.VISITORS, consent.kept),
        Route(("GET", "HEAD"), _VISITOR, "visitor", Permission.VISITORS, visitors.show),
        Route(("GET", "HEAD"), "/v1/audit", "audit", Permission.AUDIT, audit.show),
        Route(("GET", "HEAD"), "/v1/placements/{name:path}", "placement", Permission.READ, placements.show),
    ),
)
