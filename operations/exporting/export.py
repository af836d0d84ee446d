"""An export from its beginning, or from where one was interrupted, to the finished file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from installation.audit import recorded
from installation.opened import Installation
from installation.secrets_of import installed_secrets
from installation.visitors import visitors_of
from operations.exporting.columns import What
from operations.exporting.departures import Departures, forgotten_in
from operations.exporting.log_export import begin, check_log, export_log
from operations.exporting.log_rows import TOPICS, Reading
from operations.exporting.progress import Asked, Progress, Standing
from operations.exporting.rows_file import RowsFile
from operations.exporting.target import Target
from operations.exporting.visitor_export import export_visitors
from operations.exporting.visitor_rows import VisitorRows
from operations.moments import moment_ms
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.errors import InvalidInput, Refused
from state.conversion_store import ConversionFollower
from state.segment_store import SegmentStore

Tell = Callable[[int, int | None], None]
"""Is told how many entries were read, and of how many; None: nobody knows."""


class Exported(NamedTuple):
    """What an export has brought.

    Attributes
    ----------
    left_out
        How many records have no row, by reason.
    notes
        What else is to be known of it, in words.
    """

    path: Path
    n_rows: int
    left_out: dict[str, int]
    notes: list[str]


async def export(opened: Installation, asked: Asked, to: Path, *, resume: bool, tell: Tell) -> Exported:
    """Export what is asked for; what is interrupted stays beside the file, for ``resume``.

    Raises
    ------
    InvalidInput, Refused
        If it cannot be done as it is asked for.
    Unavailable, OSError
        If log, Redis or the disk do not do their part.
    """
    what = What(asked.what)
    target = Target(to)
    if what not in TOPICS and (asked.placements or asked.since or asked.until or asked.closed_by_all):
        raise InvalidInput(
            what, "visitors are exported as they are now: --placement, --since, --until and --all are of the log"
        )
    begun = _begun(asked, time.time_ns() // 1_000_000)
    notes = await _unknown_placements(opened, asked)
    objects = (what.value, *(f"placement:{name}" for name in asked.placements), *["with ids"][: asked.with_ids])
    async with recorded(opened.settings, opened.redis, "export", *objects):
        with Progress(target.progress) as progress:
            standing = await _standing(opened, begun, target, progress, resume=resume)
            if not standing.is_read:
                with RowsFile(target.rows, standing.n_bytes) as rows:
                    if what in TOPICS:
                        await _read_log(opened, progress, rows, tell)
                    else:
                        notes += await _read_visitors(opened, what, asked, progress, rows, tell)
                standing.is_read = True
                progress.commit()
            target.finish(what, progress.columns, with_ids=asked.with_ids)
            progress.remove()
    return Exported(to, standing.n_rows, standing.left_out, notes)


async def _standing(
    opened: Installation, begun: Standing, target: Target, progress: Progress, *, resume: bool
) -> Standing:
    """From where it goes on, or ``begun``."""
    asked = begun.asked
    before = progress.standing if resume else None
    if before is not None:
        if before.asked != asked:
            raise Refused(
                f"the export to {target.path} was begun with other options ({_difference(before.asked, asked)}): "
                "give the same, or begin anew, without --resume"
            )
        if before.is_read:
            return before
        if What(asked.what) in TOPICS:
            await check_log(opened.log, before)
            return before
        if before.n_rows:
            raise Refused(
                f"{asked.what} are of the moment at which they are read: a walk over visitors is begun anew, "
                "without --resume"
            )
    if What(asked.what) in TOPICS:
        await begin(opened.log, begun)
    progress.begin(begun)
    return begun


def _begun(asked: Asked, now_ms: int) -> Standing:
    """An export at its beginning; raises ``InvalidInput`` for times that are none."""
    begun = Standing(
        asked=asked,
        since_ms=moment_ms("--since", asked.since, now_ms) if asked.since else None,
        until_ms=moment_ms("--until", asked.until, now_ms) if asked.until else None,
    )
    if begun.since_ms is not None and begun.until_ms is not None and begun.since_ms >= begun.until_ms:
        raise InvalidInput("--until", f"{asked.until!r} is not after --since {asked.since!r}")
    return begun


def _difference(before: Asked, now: Asked) -> str:
    was, given = structs.asdict(before), structs.asdict(now)
    return "; ".join(
        f"{name}: then {was[name]!r}, now {value!r}" for name, value in given.items() if was[name] != value
    )


async def _unknown_placements(opened: Installation, asked: Asked) -> list[str]:
    """Words on names that the catalog does not have: they are mistyped, or of an earlier version."""
    if not asked.placements:
        return []
    known = (await _catalog(opened)).placements
    unknown = [name for name in asked.placements if name not in known]
    there_are = f"the catalog in force has {', '.join(sorted(known)) or 'none'}"
    return [f"{', '.join(unknown)}: no such placement now; {there_are}"] if unknown else []


async def _catalog(opened: Installation) -> CompiledCatalog:
    latest = await opened.catalogs.latest()
    if latest is None:
        raise Refused("no catalog is published here: `nextbest publish` puts one in force")
    version, catalog = latest
    return compile_catalog(catalog, version)


async def _read_log(opened: Installation, progress: Progress, rows: RowsFile, tell: Tell) -> None:
    standing = progress.standing
    assert standing is not None
    visitors = visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
    departures = Departures(visitors, await forgotten_in(opened.log))
    reading = Reading(standing, installed_secrets(opened.settings).key("decision-ids"))
    total = sum(standing.ends) - sum(standing.begins)
    n_read = sum(standing.next) - sum(standing.begins)

    def advance(n_more: int) -> None:
        nonlocal n_read
        n_read += n_more
        tell(n_read, total)

    tell(n_read, total)
    await export_log(opened.log, reading, departures, progress, rows, advance)


async def _read_visitors(
    opened: Installation, what: What, asked: Asked, progress: Progress, rows: RowsFile, tell: Tell
) -> list[str]:
    catalog = await _catalog(opened)
    secret = installed_secrets(opened.settings).key("models")
    conversions = ConversionFollower(opened.redis, opened.keys, secret, cipher=opened.cipher)
    await conversions.refresh()
    models = {name: found.served for name in conversions.names if (found := conversions.get(name)) is not None}
    visitor_rows = VisitorRows(what, catalog, models, with_ids=asked.with_ids)
    visitors = visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
    n_read = 0

    def advance(n_more: int) -> None:
        nonlocal n_read
        n_read += n_more
        tell(n_read, None)

    await export_visitors(SegmentStore(opened.redis, opened.keys, visitors), visitor_rows, progress, rows, advance)
    of_requests = ", ".join(visitor_rows.not_listed)
    return [f"only a request tells who is in {of_requests}"] if of_requests else []
