"""The catalog in force, and the files it was published from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from redis.asyncio import Redis

from config.development_keys import development_keys, keys_problem
from config.loader import CheckedCatalog, check_catalog
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings
from personalization.catalog.catalog import Catalog
from personalization.catalog.tier_thresholds import MIN_VISITORS, TierThresholds, shares_of, thresholds_kept
from personalization.explaining.number_words import counted
from state.catalog_store import CatalogStore, encode_catalog

FOLLOWED = "catalog-followed.json"
"""Where ``nextbest up`` notes in its data folder which catalog folder it follows."""


async def check_published(around: Surroundings, redis: Redis) -> list[Finding]:
    """What is in force, and whether the files on disk say the same."""
    store = CatalogStore(redis, around.settings.namespace)
    latest = await store.latest()
    if latest is None:
        remedy = "`nextbest publish FOLDER` puts one in force"
        return [wrong("catalog", "none is published: nothing is decided", remedy)]
    version, catalog = latest
    found = [*_keys(around, catalog), *of_thresholds(catalog, (await store.history(1))[0].thresholds)]
    folder = await asyncio.to_thread(_folder, around)
    if folder is None:
        return found or [ok("catalog", _summary(version, catalog))]
    checked = await asyncio.to_thread(check_catalog, folder)
    found += of_files(folder, checked, version, (await store.history(1))[0].digest)
    return found or [ok("catalog", f"{_summary(version, catalog)}, as {folder} says")]


def of_files(folder: Path, checked: CheckedCatalog, version: int, digest: str) -> list[Finding]:
    """What the files of a catalog are worth beside what is in force.

    Parameters
    ----------
    digest
        Of the catalog in force.
    """
    if checked.catalog is None:
        what = f"the files in {folder} have {counted(len(checked.mistakes), 'mistake')}: {checked.mistakes[0]}"
        remedy = f"`nextbest check {folder}` lists them; version {version} stays in force"
        return [look("catalog", what, remedy)]
    found = []
    if encode_catalog(checked.catalog)[0] != digest:
        what = f"the files in {folder} are another catalog than version {version}, which is in force"
        found.append(look("catalog", what, f"`nextbest publish {folder}` puts them in force"))
    if checked.warnings:
        what = f"the files in {folder} have {counted(len(checked.warnings), 'warning')}: {checked.warnings[0]}"
        found.append(look("catalog", what, f"`nextbest check {folder}` lists them"))
    return found


def _keys(around: Surroundings, catalog: Catalog) -> list[Finding]:
    if problem := keys_problem(around.settings, catalog):
        return [wrong("catalog", f"an API will not serve it: {problem}", "give its sources keys of your own")]
    if named := development_keys(catalog):
        what = f"its sources have {' and '.join(named)}, which everybody knows"
        return [look("catalog", what, "make keys of your own before others reach the API: `nextbest keys`")]
    return []


def of_thresholds(catalog: Catalog, known: Mapping[str, TierThresholds]) -> list[Finding]:
    """What is to be said of tiers by shares of visitors that begin nowhere yet."""
    wanted = {name for name, score in catalog.scores.items() if shares_of(score.tiers)}
    if waiting := sorted(wanted - thresholds_kept(catalog, known).keys()):
        what = f"the tiers of {' and '.join(waiting)} begin nowhere yet: nobody reaches one"
        remedy = (
            f"once there are {MIN_VISITORS} visitors the projector computes where they begin, within minutes; if "
            "there are, see whether it runs: `nextbest top`"
        )
        return [look("catalog", what, remedy)]
    return []


def _summary(version: int, catalog: Catalog) -> str:
    return f"version {version} is in force: {len(catalog.placements)} placements, {len(catalog.content)} contents"


def _folder(around: Surroundings) -> Path | None:
    """The folder that is followed; None: not known, or gone."""
    named = around.settings.catalog
    if not named:
        try:
            named = str(json.loads((around.data_dir / FOLLOWED).read_bytes())["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
    folder = Path(named)
    return folder if folder.is_dir() else None
