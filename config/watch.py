"""Live reload: a saved catalog is checked and, if every file of it is right, published."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TypeAlias

import watchfiles

from config.catalog_errors import CatalogWarning
from config.loader import CheckedCatalog, check_catalog
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog
from personalization.errors import NextbestError

logger = logging.getLogger(__name__)

Publish: TypeAlias = Callable[[Catalog], Awaitable[int]]
Report: TypeAlias = Callable[[str], None]


async def watch_catalog(
    folder: Path,
    publish: Publish,
    *,
    report: Report = logger.warning,
    stop: asyncio.Event | None = None,
    load: Callable[[Path], CheckedCatalog] = check_catalog,
    debounce_ms: int = 300,
    warned: Collection[CatalogWarning] = (),
) -> None:
    """Publish ``folder`` whenever it changes, until ``stop`` is set or the task is cancelled.

    What is wrong is reported, all of it at once, and the published version stays. A warning is reported once: again
    only after it was gone.

    Parameters
    ----------
    publish
        Gives the number of the version, as ``CatalogStore.publish`` does.
    report
        Told in plain words what happened.
    debounce_ms
        Editors save in several steps: changes this close together are one.
    warned
        The warnings that were reported before.
    """
    version: int | None = None
    said = {(warning.path, warning.message) for warning in warned}  # lines move while others are edited
    async for changes in watchfiles.awatch(
        folder, watch_filter=_is_catalog_file, debounce=debounce_ms, stop_event=stop, recursive=True
    ):
        try:
            checked = await asyncio.to_thread(load, folder)
            published = await publish(checked.catalog_or_raise())
        except InvalidCatalog as invalid:
            report(f"catalog not published, {len(invalid.errors)} to mend:\n{invalid}")
        except (NextbestError, OSError) as error:
            report(f"catalog not published: {error}")
        except Exception:  # Redis or the disk may fail in many ways: the watch goes on, the next save tries again
            logger.exception("catalog_watch_failed")
            report("catalog not published; saving again tries again")
        else:
            if published != version:
                names = ", ".join(sorted({Path(path).name for _, path in changes}))
                report(f"catalog version {published} published ({names})")
            version = published
            for warning in checked.warnings:
                if (warning.path, warning.message) not in said:
                    report(str(warning))
            said = {(warning.path, warning.message) for warning in checked.warnings}


def _is_catalog_file(_: watchfiles.Change, path: str) -> bool:
    name = Path(path).name
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")
