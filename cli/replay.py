"""``nextbest replay``: compare what is stored with the log, write it anew, save a base to begin from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import orjson

from cli.replay_target import target
from cli.running_file import read_running
from config.settings import Settings
from eventlog.port import check_identity
from installation.audit import recorded
from installation.opened import Installation, open_installation
from operations.replay.backfill import backfill_windows
from operations.replay.base import Base, read_base, save_base
from operations.replay.check import Checked, check_states
from operations.replay.log_reach import shown_ms
from operations.replay.models import rebuild_models
from operations.replay.states import rebuild_states
from operations.replay.stopped import workers_stopped
from personalization.errors import Refused
from state.log_identity import LogIdentityStore

MAX_NAMED = 20


@click.command(short_help="Fold the log anew: compare, or write states and models anew.")
@click.option("--check", is_flag=True, help="Compare every stored state with the log; nothing is written.")
@click.option("--rebuild", is_flag=True, help="Write states and models anew from the log. Workers must be stopped.")
@click.option(
    "--windows",
    is_flag=True,
    help="Give windows that were declared lately the past that the log still holds; while all runs.",
)
@click.option("--states", is_flag=True, help="With --rebuild: the states alone.")
@click.option("--models", is_flag=True, help="With --rebuild: the models alone.")
@click.option(
    "--save-base",
    "saved",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Save states, checkpoints and offsets, so that a replay can begin here once the log was trimmed.",
)
@click.option(
    "--base",
    "base_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Begin from such a file instead of the log's beginning.",
)
@click.option("--retained", is_flag=True, help="With --models: learn from what is still there, from nothing.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of a stopped `nextbest up`: its Redis is started meanwhile.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def replay(
    check: bool,
    rebuild: bool,
    windows: bool,
    states: bool,
    models: bool,
    saved: Path | None,
    base_file: Path | None,
    retained: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Fold the log anew.

    --check compares every state with the stored one: they must be equal byte for byte, whatever crashed in between;
    exit code 1 where they are not. --rebuild writes states and models anew, and emits nothing: what is not
    committed yet is left to the workers, to be started afterwards. --save-base may be given while all runs.

    --windows counts what the log holds of the time before windows were declared, gives it to each visitor through
    their own log, and publishes the catalog anew with windows that reach back as far as the log. All has to run.
    """
    if sum((check, rebuild, windows, saved is not None)) != 1:
        raise click.UsageError("say what to do: one of --check, --rebuild, --windows, --save-base FILE")
    if windows and base_file is not None:
        raise click.UsageError("--base belongs to --check and --rebuild; --windows reads what the log holds")
    if windows and data_dir is not None and read_running(data_dir) is None:
        raise click.UsageError(f"--windows needs the folder at work: start `nextbest up --data-dir {data_dir}`")
    if (states or models or retained) and not rebuild:
        raise click.UsageError("--states, --models and --retained belong to --rebuild")
    if states and models:
        states = models = False
    with target(Settings.from_environment(), data_dir) as settings:
        if saved is not None:
            report = asyncio.run(_with_opened(settings, lambda opened: _save(opened, saved), "replay_save_base"))
        elif windows:
            report = asyncio.run(_with_opened(settings, _backfill, "replay_windows"))
        elif check:
            report = asyncio.run(_with_opened(settings, lambda opened: _check(opened, base_file)))
        else:
            roles = [role for role, other in (("folder", models), ("learner", states)) if not other]
            rebuild_these = partial(_rebuild, roles=roles, base_file=base_file, retained=retained)
            report = asyncio.run(_with_opened(settings, rebuild_these, "replay_rebuild"))
    lines = report.pop("lines")
    click.echo(orjson.dumps(report).decode() if as_json else "\n".join(lines))
    if report.get("different") or report.get("unknown"):
        raise SystemExit(1)


async def _with_opened(
    settings: Settings, work: Callable[[Installation], Awaitable[dict[str, Any]]], act: str = ""
) -> dict[str, Any]:
    """Do it; ``act`` is what the audit calls it, empty: it changes nothing and takes nothing out."""
    async with open_installation(settings) as opened:
        if not act:
            return await work(opened)
        async with recorded(settings, opened.redis, act):
            return await work(opened)


async def _read_base(opened: Installation, path: Path | None) -> Base | None:
    return None if path is None else read_base(path, await opened.log.identity(), opened.cipher)


async def _save(opened: Installation, path: Path) -> dict[str, Any]:
    n_visitors = await save_base(opened, path)
    return {"visitors": n_visitors, "lines": [f"{n_visitors:,} visitors and the models saved in {path}."]}


async def _backfill(opened: Installation) -> dict[str, Any]:
    done = await backfill_windows(opened, partial(click.echo, err=True))
    since_ms = done.reach.least_ms
    return {
        "entries": done.n_entries,
        "visitors": done.n_visitors,
        "times": done.n_times,
        "series": done.series,
        "since_ms": since_ms,
        "catalog_version": done.version,
        "lines": [
            f"{done.n_entries:,} entries read; {done.n_visitors:,} visitors were given {done.n_times:,} times.",
            f"Version {done.version} of the catalog: these reach back to {shown_ms(since_ms)}:",
            *(f"  {series}" for series in done.series),
        ],
    }


async def _check(opened: Installation, base_file: Path | None) -> dict[str, Any]:
    checked = await check_states(opened, await _read_base(opened, base_file))
    return {
        "entries": checked.n_entries,
        "visitors": checked.n_visitors,
        "dead": checked.n_dead,
        "different": checked.different,
        "unknown": checked.unknown,
        "lines": _lines(checked),
    }


def _lines(checked: Checked) -> list[str]:
    lines = [f"{checked.n_entries:,} entries folded into {checked.n_visitors:,} visitors."]
    lines += _named("Different from what is stored", checked.different)
    lines += _named("Stored, but not in the log", checked.unknown)
    return [*lines, "Every stored state is what the log says."] if checked.exact else lines


def _named(what: str, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return [f"{what}: {', '.join(keys[:MAX_NAMED])}{more}"]


async def _rebuild(
    opened: Installation, roles: Sequence[str], base_file: Path | None, *, retained: bool
) -> dict[str, Any]:
    identities = LogIdentityStore(opened.redis, opened.keys)
    identity = await opened.log.identity()
    check_identity(identity, await identities.known())
    base = await _read_base(opened, base_file)
    report: dict[str, Any] = {"lines": []}
    async with workers_stopped(opened, roles):
        if "folder" in roles:
            states = await rebuild_states(opened, base)
            await identities.remember_first(identity)
            report["states"] = {
                "entries": states.n_entries,
                "visitors": states.n_visitors,
                "dead": states.n_dead,
                "removed": states.n_removed,
            }
            line = f"{states.n_entries:,} entries folded into {states.n_visitors:,} visitors, all written anew."
            report["lines"].append(line)
            if states.n_removed:
                report["lines"].append(f"{states.n_removed:,} states removed that the log knows nothing of.")
        if "learner" in roles:
            try:
                models = await rebuild_models(opened, base, retained=retained)
            except Refused as refused:
                done = "States are rebuilt; models are not: " if "states" in report else ""
                raise Refused(f"{done}{refused}") from refused
            report["models"] = {"outcomes": models.n_outcomes, "dead": models.n_dead, "learned": models.learned}
            learned = ", ".join(f"{name} {n:,}" for name, n in sorted(models.learned.items())) or "nothing"
            report["lines"].append(f"{models.n_outcomes:,} outcomes read; learned: {learned}.")
            report["models"]["raised"] = models.raised
            report["lines"] += [f"Left as it was, {key}: {cause}." for key, cause in sorted(models.raised.items())]
    return report
