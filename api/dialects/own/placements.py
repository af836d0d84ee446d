"""``GET /v1/placements/{name}``: what was learned about the arms of a placement, for server keys."""

from __future__ import annotations

import orjson

from api.dialect import Call, Reply
from api.errors import not_found
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot, unpack_version


async def show(call: Call) -> Reply:
    """Show one placement: what each arm brought as of the last durable checkpoint, and the model that decides."""
    services = call.core.services
    name = call.params["name"]
    prepared = services.catalog.current.placements.get(name)
    if prepared is None:
        raise not_found(call.scope["path"])
    model = services.models.get(name)
    book = await services.learned(name)
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
    return Reply(
        200,
        orjson.dumps(
            {
                "placement": name,
                "arms": arms,
                "model": model.model if isinstance(model, ModelSnapshot) else None,
                "modelVersion": version,
                "modelGeneration": generation,
                "learned": n_learned,
                "modelAgeMs": services.models.age_ms([name], services.clock_ms()),
                "trainedThrough": book.trained_through if book else None,
                "catalogVersion": services.catalog.current.catalog.version,
            }
        ),
    )
