"""``GET /v1/placements/{name}``: what was learned about the arms of a placement, for server keys."""

from __future__ import annotations

import math

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authorise
from api.errors import not_found
from api.services import Services
from online_models.snapshot import ModelSnapshot, unpack_version

Z_95 = 1.959963984540054
"""Quantile of the standard normal: a 95 % interval is mean ± z · sd."""


class PlacementEndpoint:
    """Shows placements."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """One placement: per arm the outcomes learned from, the estimate in an empty context, its interval."""
        services = self._services
        authorise(request.scope, services.keys, server=True)
        name = request.path_params["name"]
        prepared = services.catalog.current.placements.get(name)
        if prepared is None:
            raise not_found(request.url.path)
        model = services.models.get(name)
        arms = []
        if isinstance(model, ModelSnapshot):
            low, high = model.reward_range
            estimates = model.estimate(prepared.arms, {})
            for arm, mean, sd, n in zip(estimates.arms, estimates.mean, estimates.sd, estimates.n, strict=True):
                centre = low + float(mean) * (high - low)
                spread = Z_95 * float(sd) * (high - low)
                arms.append(
                    {
                        "contentId": arm,
                        "exposures": float(n),
                        "rewards": float(n) * centre,
                        "mean": centre,
                        "interval": [max(low, centre - spread), min(high, centre + spread)]
                        if math.isfinite(spread)
                        else [low, high],
                    }
                )
        version = model.version if isinstance(model, ModelSnapshot) else None
        generation, n_learned = unpack_version(version) if version is not None else (None, None)
        return Response(
            orjson.dumps(
                {
                    "placement": name,
                    "arms": arms,
                    "modelVersion": version,
                    "modelGeneration": generation,
                    "learned": n_learned,
                    "modelAgeMs": services.models.age_ms([name], services.clock_ms()),
                    "trainedThrough": await services.trained_through(name),
                    "catalogVersion": services.catalog.current.catalog.version,
                }
            ),
            media_type="application/json",
        )
