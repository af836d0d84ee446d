"""``nextbest model``: what a placement's model goes by, in a terminal."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.terminal import cell, json_line
from config.settings import Settings
from installation.opened import Installation, open_installation
from installation.secrets_of import secrets_of
from installation.stored_models import stored_model
from online_models.insight import ArmInsight, Effect, ModelInsight, insight_of
from personalization.errors import Refused
from personalization.projecting.calibration import OVER_MS, Calibrated, calibration
from personalization.visitor.choice import model_key
from state.checkpoint_store import CheckpointStore
from state.read_models import ReadModels

_WIDE = 200
_SHOWN_EFFECTS = 4
_SHOWN_FEATURES = 12


@click.command("model", short_help="What a placement's model goes by: weights, what matters, how its arms fare.")
@click.argument("placement")
@click.option("--variant", default="", metavar="NAME", help="Of this variant of the placement, which has a model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def model(placement: str, variant: str, as_json: bool) -> None:
    """Show what the model of PLACEMENT goes by, as of its last durable checkpoint.

    What matters is the mean size of each feature's contribution to estimates. Of an arm it shows what a standard
    deviation more of a number changes, and what a level of a category changes against the mean context.
    """
    insight, calibrated = asyncio.run(_insight(Settings.from_environment(), placement, variant))
    if as_json:
        told = {**msgspec.to_builtins(insight), "calibration": [each._asdict() for each in calibrated]}
        click.echo(json_line(told))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    _show(console, placement, insight, calibrated)


async def _insight(settings: Settings, placement: str, variant: str) -> tuple[ModelInsight, list[Calibrated]]:
    async with open_installation(settings) as opened:
        key, reward_range = await _key(opened, placement, variant)
        checkpoints = CheckpointStore(opened.redis, opened.keys, opened.cipher)
        found = await stored_model(checkpoints, opened.log, key, secrets_of(settings).key("models"))
        now_ms = time.time_ns() // 1_000_000
        arms = await ReadModels(opened.redis, opened.keys).arms(placement, OVER_MS, now_ms)
    if found is None:
        raise Refused(
            f"nothing of {placement} is learned and saved yet: a checkpoint comes every ten seconds or so"
        )
    return insight_of(found.book), calibration(arms, variant, reward_range)


async def _key(opened: Installation, placement: str, variant: str) -> tuple[str, tuple[float, float]]:
    """The key of the model, and the range of its rewards.

    Raises
    ------
    Refused
        Where the catalog in force has no such placement or variant.
    """
    version = await opened.catalogs.latest_version()
    catalog = await opened.catalogs.published(version) if version else None
    if catalog is None:
        raise Refused("no catalog is published here: `nextbest publish FOLDER` first")
    spec = catalog.placements.get(placement)
    if spec is None:
        known = ", ".join(sorted(catalog.placements)) or "none"
        raise Refused(f"the catalog has no placement {placement!r}: it has {known}")
    if variant and variant not in spec.variants:
        known = ", ".join(sorted(spec.variants)) or "none"
        raise Refused(f"{placement} has no variant {variant!r}: it has {known}")
    shared = bool(variant) and spec.variants[variant].learn == "shared"
    return model_key(placement, variant, shared=shared), spec.reward_range


def _show(console: Console, placement: str, insight: ModelInsight, calibrated: list[Calibrated]) -> None:
    curved = f", curved at {insight.n_landmarks} contexts" if insight.n_landmarks else ""
    console.print(
        f"{_text(placement)}: {_text(insight.model)}, {insight.n_learned:,} learned, "
        f"{insight.n_dimensions} dimensions{curved}."
    )
    done = [f"{n} {kind.replace('_', ' ')}" for kind, n in insight.adaptations.items() if n]
    if insight.n_forgotten:
        done.append(f"{insight.n_forgotten} erasures")
    if done:
        console.print(f"Since it began: {', '.join(done)}.")
    matters = Table("what matters", f"moves estimates by ({insight.matters_over})", box=None, pad_edge=False)
    for each in insight.matters[:_SHOWN_FEATURES]:
        matters.add_row(_text(each.feature), f"{each.moves:.4g}")
    console.print(matters)
    arms = Table("arm", "held", "of late", "first", "last", "at the mean", "what counts", box=None, pad_edge=False)
    for arm in insight.arms:
        arms.add_row(*_row(arm))
    console.print(arms)
    if not calibrated:
        console.print(
            "Whether predictions came true is added up by `nextbest projector`: nothing of it is there yet."
        )
        return
    came = Table("predicted", "observed", "outcomes of seven days", box=None, pad_edge=False)
    for tenth in calibrated:
        came.add_row(f"{tenth.predicted:.4g}", f"{tenth.observed:.4g}", f"{tenth.n:,.0f}")
    console.print(came)


def _row(arm: ArmInsight) -> list[str]:
    return [
        _text(arm.arm),
        f"{arm.held:,}",
        "" if arm.share_of_late is None else f"{arm.share_of_late:.0%}",
        _day(arm.first_ms),
        _day(arm.last_ms),
        "" if arm.mean_estimate is None else f"{arm.mean_estimate:.4g}",
        ", ".join(_effect(each) for each in arm.effects[:_SHOWN_EFFECTS]),
    ]


def _effect(effect: Effect) -> str:
    return f"{_text(effect.what)} {effect.change:+.3g}"


def _text(text: str) -> str:
    return cell(text)


def _day(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
