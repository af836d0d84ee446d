"""``GET /v1/placements/{name}``: what was learned about the arms of a placement, for server keys."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authorise
from api.errors import not_found
from api.services import Services
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot, unpack_version
from personalization.deciding.decider_catalog import PreparedPlacement


class PlacementEndpoint:
    """Shows placements."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """One placement: what each arm brought as of the last durable checkpoint, and the model that decides."""
        services = self._services
        authorise(request.scope, services.keys, server=True)
        name = request.path_params["name"]
        prepared = services.catalog.current.placements.get(name)
        if prepared is None:
            raise not_found(request.url.path)
        shown = {
            "placement": name,
            **await self._learned(prepared),
            "variants": {variant: await self._variant(each) for variant, each in prepared.variants.items()},
            "catalogVersion": services.catalog.current.catalog.version,
        }
        return Response(orjson.dumps(shown), media_type="application/json")

    async def _variant(self, prepared: PreparedPlacement) -> dict[str, Any]:
        """The same of a variant. One that is ``shared`` has the numbers of the placement's model."""
        compiled = prepared.compiled
        spec = self._services.catalog.current.placements[compiled.name].compiled.spec.variants[compiled.variant]
        return {"share": spec.share, "learn": spec.learn, **await self._learned(prepared)}

    async def _learned(self, prepared: PreparedPlacement) -> dict[str, Any]:
        services, key = self._services, prepared.compiled.model
        model = services.models.get(key)
        book = await services.learned(key)
        reports = {report.arm: report for report in book.arms} if book else {}
        low, high = prepared.compiled.spec.reward_range
        arms = []
        for arm in prepared.arms:
            report = reports.get(arm) or ArmReport(arm, 0, 0.0, low, low, high)
            arms.append(
                {
                    "contentId": arm,
                    "exposures": report.exposures,
                    "rewards": report.rewards,
                    "mean": report.mean if report.exposures else None,
                    "interval": [report.low, report.high],
                }
            )
        version = model.version if isinstance(model, ModelSnapshot) else None
        generation, n_learned = unpack_version(version) if version is not None else (None, None)
        return {
            "arms": arms,
            "model": model.model if isinstance(model, ModelSnapshot) else None,
            "modelVersion": version,
            "modelGeneration": generation,
            "learned": n_learned,
            "modelAgeMs": services.models.age_ms([key], services.clock_ms()),
            "trainedThrough": book.trained_through if book else None,
        }
