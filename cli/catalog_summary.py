"""What is in a catalog, as tables for people and as numbers for programs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.scalars import write_duration
from personalization.catalog.catalog import Cap, Catalog, Content, Placement, Score
from personalization.catalog.sections.variants import as_varied
from personalization.catalog.walk import SECTIONS, entries


def counts(catalog: Catalog) -> dict[str, int]:
    """How many of each there are, by section."""
    return {section.name: len(entries(section, catalog)) for section in SECTIONS}


def print_summary(where: Path, catalog: Catalog, warnings: str) -> None:
    """Print what is in the catalog.

    Parameters
    ----------
    warnings
        How many there are, in words; empty: none.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(f"The catalog in {where} {f'works, with {warnings}' if warnings else 'is fine'}.", markup=False)
    for table in _tables(catalog):
        if table.row_count:
            console.print("", table)


def _tables(catalog: Catalog) -> Iterator[Table]:
    yield _placements(catalog)
    yield _variants(catalog)
    yield _contents(catalog)
    table = _table("segment", "who")
    for name, rule in catalog.segments.items():
        table.add_row(name, escape(rule))
    yield table
    table = _table("conversion", "event", "which of them", "within", "labels", "model")
    for name, one in catalog.conversions.items():
        rule = escape(one.when or "")
        table.add_row(name, escape(one.event), rule, write_duration(one.horizon_ms), one.labels, one.model)
    yield table
    table = _table("score", "points of", "fading", "tiers", "trend")
    for name, score in catalog.scores.items():
        trend = write_duration(score.trend.over_ms) if score.trend else ""
        table.add_row(name, escape(_made_of(score)), _fading(score), _tiers(score), trend)
    yield table


def _placements(catalog: Catalog) -> Table:
    table = _table("placement", "slots", "contents", "policy", "rewarded by", "within", "held out")
    for name, placement in catalog.placements.items():
        table.add_row(
            name,
            str(placement.slots),
            _arms(placement),
            placement.policy.name,
            ", ".join(dict.fromkeys(reward.event for reward in placement.rewards)) or "calls",
            write_duration(placement.window_ms),
            f"{placement.holdout:.0%}" if placement.holdout else "",
        )
    return table


def _arms(placement: Placement) -> str:
    if placement.arms == "caller":
        return "the caller's"
    tags = f" and items tagged {', '.join(placement.tags)}" if placement.tags else ""
    return f"{len(placement.content)}{tags}"


def _variants(catalog: Catalog) -> Table:
    table = _table("variants", "share", "contents", "policy", "model", "learns")
    for name, placement in catalog.placements.items():
        for variant, spec in placement.variants.items():
            made = as_varied(placement, spec)
            table.add_row(
                f"{name}, {variant}",
                f"{spec.share:.4g}",
                _arms(made),
                made.policy.name,
                made.model,
                "with the placement" if spec.is_shared else "alone",
            )
    return table


def _contents(catalog: Catalog) -> Table:
    table = _table("content", "type", "languages", "who may see it", "when", "cap")
    for name, content in catalog.content.items():
        cap = ", ".join(map(_cap_in_words, content.cap))
        languages = " ".join(content.locales)
        table.add_row(name, content.type, languages, escape(content.when or ""), _schedule(content), cap)
    return table


def _made_of(score: Score) -> str:
    if score.axes:
        return " × ".join(score.axes)
    if score.blend:
        return " + ".join(f"{factor:g} {name}" for name, factor in score.blend.items())
    events = [f"{each.event} {each.points:+g}" for each in score.events]
    return ", ".join([*events, *(f"{each.when} {each.points:+g}" for each in score.traits)])


def _fading(score: Score) -> str:
    if score.half_life_ms:
        return f"half in {write_duration(score.half_life_ms)}"
    return f"gone after {write_duration(score.expires_ms)}" if score.expires_ms else ""


def _tiers(score: Score) -> str:
    return " ".join(f"{name} {points:g}" for name, points in sorted(score.tiers.items(), key=lambda tier: -tier[1]))


def _table(name: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _schedule(content: Content) -> str:
    dates = [
        f"{word} {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
        for word, ms in (("from", content.starts_ms), ("until", content.ends_ms))
        if ms is not None
    ]
    return " ".join(dates)


def _cap_in_words(cap: Cap) -> str:
    over = cap.per or "session" if cap.within_ms is None else write_duration(cap.within_ms)
    return f"{cap.limit} per {over}" if cap.of == "content" else f"{cap.limit} per {over} per {cap.of}"
