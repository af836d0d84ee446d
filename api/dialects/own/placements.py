"""``GET /v1/placements/{name}``: what was learned about the arms of a placement, for server keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from api.dialect import Call, Reply
from api.errors import not_found
from api.services import Services
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot, unpack_version
from personalization.deciding.decider_catalog import PreparedPlacement


async def show(call: Call) -> Reply:
    """Show one placement: what each arm brought as of the last durable checkpoint, and the model that decides."""
    services = call.core.services
    name = call.params["name"]
    prepared = services.catalog.current.placements.get(name)
    if prepared is None:
        raise not_found(call.scope["path"])
    variants = {}
    for variant, spec in prepared.compiled.spec.variants.items():
        learned = await _learned(services, prepared.variants[variant])
        variants[variant] = {"share": spec.share, "learn": spec.learn, **learned}
    shown = {
        "placement": name,
        **await _learned(services, prepared),
        "variants": variants,
        "catalogVersion": services.catalog.current.catalog.version,
    }
    return Reply(200, orjson.dumps(shown))


async def _learned(services: Services, prepared: PreparedPlacement) -> dict[str, Any]:
    """What the model of a placement has learned, or that of one of its variants, which may be the same."""
    key = prepared.compiled.model
    model = services.models.get(key)
    book = await services.learned(key)
    reports = {report.arm: report for report in book.arms} if book else {}
    low, high = prepared.compiled.spec.reward_range
    arms = []
    for arm in _arms(prepared, reports):
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


def _arms(prepared: PreparedPlacement, reports: Collection[str]) -> list[str]:
    """Its arms; of a placement whose arms come and go also those that are gone, as far as the model knows them."""
    arms, spec = prepared.candidates.arms, prepared.compiled.spec
    gone = sorted(set(reports).difference(arms)) if spec.tags or spec.arms == "caller" else []
    return [*arms, *gone]
