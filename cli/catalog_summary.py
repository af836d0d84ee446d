"""What is in a catalog, as tables for people and as numbers for programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.scalars import write_duration
from personalization.catalog.catalog import Cap, Catalog, Content, Placement, Score
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import entries_of
from personalization.catalog.sections.events import MEANINGS, meanings_by_name, own_mappings, sometimes
from personalization.catalog.sections.variants import as_varied
from personalization.catalog.tier_thresholds import MIN_VISITORS, TopShare, shares_of
from personalization.catalog.vocabulary import VISITOR
from personalization.catalog.walk import SECTIONS, entries, events_of, rules_of
from personalization.catalog.windows import windows_of


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
    yield _events(catalog)
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


def _events(catalog: Catalog) -> Table:
    """Of each meaning that does something: which events have it, and what for."""
    table = _table("meaning", "events that have it", "changes", "looked at by")
    sent: dict[str, list[str]] = {}
    for one in sometimes(catalog.events):
        sent.setdefault(one.meaning, []).append(f"{one.event} ({one.when})")
    for name, meaning in meanings_by_name(catalog.events).items():
        if name != meaning:
            sent.setdefault(meaning, []).append(name)
    looking = _looked_at(catalog)
    own = {meaning for _, meaning, _ in own_mappings(catalog.events)}
    for meaning in MEANINGS:
        changes = _CHANGES.get(meaning, "")
        if meaning in sent and (changes or meaning in looking or meaning in own):
            table.add_row(meaning, escape(", ".join(sent[meaning])), changes, escape(", ".join(looking[meaning])))
    return table


_CHANGES = {
    "added": "cart",
    "removed": "cart",
    "cart_cleared": "cart",
    "ordered": "cart, revenue, orders",
    "subscribed": "revenue, orders",
    "renewed": "revenue, orders",
    "refunded": "revenue",
}


def _looked_at(catalog: Catalog) -> defaultdict[str, list[str]]:
    """What names each event, or meaning, by its name."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for path, event in events_of(catalog):
        if not path.startswith("events."):
            found[event][path.partition("[")[0].rpartition(".")[0]] = None
    for rule in rules_of(catalog):
        if rule.variables is VISITOR:
            try:
                named = {*entries_of(parse(rule.source), "counts")[0]}
            except Unreadable:
                continue
            for event in sorted(named | {window.series.event for window in windows_of([rule.source])}):
                found[event][rule.path] = None
    return defaultdict(list, {event: [*paths] for event, paths in found.items()})


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
    if shares := shares_of(score.tiers):
        ordered = sorted(shares.items(), key=lambda tier: tier[1])
        said = ", ".join(f"{name} {TopShare(top=share).words}" for name, share in ordered if share < 1)
        return f"{said}, {ordered[-1][0]} for all others (once there are {MIN_VISITORS} visitors)"
    points = {name: each for name, each in score.tiers.items() if not isinstance(each, TopShare)}
    return " ".join(f"{name} {each:g}" for name, each in sorted(points.items(), key=lambda tier: -tier[1]))


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
