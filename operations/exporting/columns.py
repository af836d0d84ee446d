"""The columns of an export: names, kinds, and what each means. ``docs/export.md`` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]
"""One line of a file, by column: what JSON can say."""

FEATURE, ARM_FEATURE = "feature.", "arm_feature."
"""What the names of columns of features begin with."""

OTHERS = "other_features"
"""Of a file with a header, where features stand that have no column of their own."""

MAX_FEATURE_COLUMNS = 2_000
"""A table that is wider is of use to nobody, and names of features may be anybody's."""

WITH_IDS = "visitor_id"
"""Left out unless it is asked for."""


class Kind(StrEnum):
    """What stands in a column."""

    ID = "id"
    """Text of ours: letters, digits, ``-`` and ``_``."""
    TEXT = "text"
    """Text that others may have written."""
    WHOLE = "whole number"
    NUMBER = "number"
    YES_NO = "yes or no"
    TEXTS = "texts"
    NUMBERS = "numbers"
    JSON = "JSON"
    """An object of which nobody knows the names beforehand."""


class Column(NamedTuple):
    """One column; what is not known is missing in it."""

    name: str
    kind: Kind
    meaning: str


class What(StrEnum):
    """What can be exported."""

    DECISIONS = "decisions"
    OUTCOMES = "outcomes"
    SCORES = "scores"
    SEGMENTS = "segments"


_VISITOR = (
    Column(
        "visitor", Kind.ID, "The person, as 8 bytes in hexadecimal: a hash of an id. Intervals are clustered by it."
    ),
    Column(WITH_IDS, Kind.TEXT, "`u:` and a user id, or `a:` and an anonymous one; with `--with-ids` alone."),
)

_CHOICE = (
    Column("decision_id", Kind.ID, "The decision. Rows of one id are one trial, told of several times."),
    *_VISITOR,
    Column("placement", Kind.TEXT, "Where it was shown."),
    Column("slot", Kind.WHOLE, "The place within the placement, from 0."),
    Column("arm", Kind.TEXT, "The content that was chosen."),
    Column(
        "propensity",
        Kind.NUMBER,
        "Probability with which it was chosen, given the arms placed before its slot; (0, 1].",
    ),
    Column("policy", Kind.TEXT, "What chose: a policy, or `control`, `rules`, `default`."),
    Column("policy_arm", Kind.TEXT, "Of an apprentice, the arm its policy would have chosen, if that is another."),
    Column(
        "model_version",
        Kind.WHOLE,
        "Version of the model that was asked; 0: none, or one that had learned nothing.",
    ),
    Column("catalog_version", Kind.WHOLE, "The catalog it was made under."),
    Column("holdout", Kind.YES_NO, "Whether the visitor was held out; missing: the side was not known."),
    Column("variant", Kind.TEXT, "Variant of the placement; empty: as written."),
)

_NOW = Column("as_of_ms", Kind.WHOLE, "When it was looked at, milliseconds since 1970.")
_REGISTERED = Column("registered", Kind.YES_NO, "Whether the visitor is a user, and no anonymous browser.")
_OTHERS = Column(
    OTHERS,
    Kind.JSON,
    f"Features beyond the first {MAX_FEATURE_COLUMNS:,} names, which have no column; not in `.jsonl`.",
)

COLUMNS: Final[Mapping[What, tuple[Column, ...]]] = MappingProxyType(
    {
        What.DECISIONS: (
            *_CHOICE,
            Column("request_id", Kind.TEXT, "The request it was made for."),
            Column("decided_at_ms", Kind.WHOLE, "When, milliseconds since 1970."),
            Column("tier", Kind.TEXT, "How it was decided: `personalised`, or the fallback that stood in."),
            Column("tier_reason", Kind.TEXT, "Why by that tier, in words."),
            Column(
                "exposed",
                Kind.YES_NO,
                "Whether the request said that it is shown at once; else an activation or a reward says it later.",
            ),
            Column("sticky", Kind.YES_NO, "Whether the session keeps it."),
            Column(
                "trains",
                Kind.YES_NO,
                "Whether a model may learn from it: false for the holdout, fallbacks and crawlers.",
            ),
            Column("crawler", Kind.YES_NO, "Whether it was made for a program that reads pages."),
            Column("session", Kind.WHOLE, "Number of the visitor's session."),
            Column(
                "state_revision",
                Kind.WHOLE,
                "Revision of the visitor's state that was read; missing: it could not be read.",
            ),
            Column("state_age_ms", Kind.WHOLE, "How old that was, in milliseconds."),
            Column("eligible_arms", Kind.TEXTS, "The arms that could have been chosen."),
            Column(
                "eligible_propensities",
                Kind.NUMBERS,
                "Their probabilities, in the same order; of an apprentice those of its policy, by which "
                "it did not choose.",
            ),
            Column("eligible_means", Kind.NUMBERS, "The rewards that the model expected of them (float32)."),
            Column("eligible_sds", Kind.NUMBERS, "How unsure it was of each: a standard deviation (float32)."),
            Column(
                "placed_above",
                Kind.TEXTS,
                "Arms of the call placed before this slot: the propensities are given them.",
            ),
            Column("filtered", Kind.JSON, "The other arms, each with the reason."),
            Column(
                "arm_features",
                Kind.JSON,
                "What the model was told of arms that no catalog has: items, and what callers bring.",
            ),
            _OTHERS,
        ),
        What.OUTCOMES: (
            *_CHOICE,
            Column("reward", Kind.NUMBER, "What it brought in all, within the placement's `reward_range`."),
            Column("n_rewards", Kind.WHOLE, "Of how many rewards that was made."),
            Column(
                "closed_because",
                Kind.TEXT,
                "`window` or `final`; with `--all` also `evicted`, `withdrawn`, `unexposed`.",
            ),
            Column("decided_at_ms", Kind.WHOLE, "When it was decided, milliseconds since 1970."),
            Column("exposed_at_ms", Kind.WHOLE, "When it was shown; missing: that is not known."),
            Column("closed_at_ms", Kind.WHOLE, "When its window closed."),
            Column(
                "trains",
                Kind.YES_NO,
                "Whether models learned from it: false for the holdout, fallbacks and what was never shown.",
            ),
            Column("training_weight", Kind.NUMBER, "How many decisions of its visitor it stands for in training."),
            Column("sample_weight", Kind.NUMBER, "How many outcomes it stands for: weigh rows by it."),
            Column(
                "predicted",
                Kind.NUMBER,
                "The reward the model expected of the arm; missing: no policy chose by one.",
            ),
            Column(
                "registered",
                Kind.YES_NO,
                "Whether the visitor was a user, and no anonymous browser, when it was decided.",
            ),
            Column(
                "key_class",
                Kind.TEXT,
                "`write`: a key that stands in pages asked for it or rewarded it; `server`: only server "
                "keys did; missing: not known.",
            ),
            Column(
                "shown_by_reward",
                Kind.YES_NO,
                "Only a reward says that it was shown: of such decisions none is known that failed.",
            ),
            _OTHERS,
        ),
        What.SCORES: (
            *_VISITOR,
            _REGISTERED,
            Column("score", Kind.TEXT, "A score of the catalog, or a conversion."),
            Column(
                "kind",
                Kind.TEXT,
                "`points` of a score by rules, or `probability` of a conversion within its horizon.",
            ),
            Column("value", Kind.NUMBER, "How many, or how probable."),
            Column("tier", Kind.TEXT, "Of a score with tiers, the one the visitor is in."),
            Column("trend", Kind.TEXT, "`rising`, `steady` or `falling`, of a score that has a trend."),
            Column("last_event_ms", Kind.WHOLE, "When the visitor was heard of last, milliseconds since 1970."),
            _NOW,
        ),
        What.SEGMENTS: (
            *_VISITOR,
            _REGISTERED,
            Column("segment", Kind.TEXT, "A segment that the visitor is in; who is in none has no row."),
            Column("last_event_ms", Kind.WHOLE, "When the visitor was heard of last, milliseconds since 1970."),
            _NOW,
        ),
    }
)
"""By what is exported, in the order of the file. Columns of features come behind them, by name."""


def columns_of(what: What, *, with_ids: bool, with_header: bool = True) -> tuple[Column, ...]:
    """The columns that every row of a file has.

    Parameters
    ----------
    with_header
        The file names its columns once: then features beyond the bound have a place.

    >>> [column.name for column in columns_of(What.SEGMENTS, with_ids=False)]
    ['visitor', 'registered', 'segment', 'last_event_ms', 'as_of_ms']
    """
    left_out = {*(() if with_ids else (WITH_IDS,)), *(() if with_header else (OTHERS,))}
    return tuple(column for column in COLUMNS[what] if column.name not in left_out)


def feature_columns(known: Mapping[str, bool]) -> tuple[Column, ...]:
    """The columns of features.

    Parameters
    ----------
    known
        By name of a column, whether any row has text in it; then all have.

    >>> feature_columns({"feature.team": True, "feature.age": False})[0]
    Column(name='feature.age', kind=<Kind.NUMBER: 'number'>, meaning='')
    """
    return tuple(Column(name, Kind.TEXT if known[name] else Kind.NUMBER, "") for name in sorted(known))
