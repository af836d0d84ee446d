"""The routes of Metarank."""

from __future__ import annotations

from api.access.permissions import Permission
from api.dialects.metarank.feedback import feedback
from api.dialects.metarank.rank import rank
from api.http.dialect import Dialect, Route

METARANK = Dialect(
    name="metarank",
    prefix="/rank/",
    routes=(
        Route(("POST",), "/feedback", "metarank_feedback", Permission.COLLECT, feedback),
        Route(("POST",), "/rank/{model:path}", "metarank_rank", Permission.RANK, rank),
    ),
)
