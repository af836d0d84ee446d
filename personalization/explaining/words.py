"""An explanation in plain words: a short paragraph that a marketer reads aloud."""

from __future__ import annotations

from typing import Literal, TypeAlias

from personalization.explaining.explanation import Effects, ExplainedArm, Explanation
from personalization.explaining.feature_words import feature_words
from personalization.explaining.number_words import counted, length, listed, moment, percent, reward, signed
from personalization.explaining.ways import Way, way_of
from personalization.features import Features

KEPT_REASON = "kept in this session"
"""The reason of a choice that the session keeps."""

MOST_REFUSALS = 5
"""Refusals that are told of one by one: a paragraph is read aloud."""

MOST_EFFECTS = 3

Tense: TypeAlias = Literal["past", "deferred", "now"]
"""Was shown; was chosen, and is shown once that is said; would be shown if it were asked for now."""

_SHOWN: dict[Tense, str] = {
    "past": "The visitor was shown {}",
    "deferred": "{} was chosen for the visitor",
    "now": "The visitor would be shown {}",
}


def in_plain_words(explained: Explanation, features: Features, tense: Tense) -> str:
    """The explanation as a paragraph.

    Parameters
    ----------
    features
        What the model was told of the visitor.
    """
    sentences = [
        *_choice(explained, tense),
        *_estimates(explained),
        *_effects(explained, features),
        *_refusals(explained),
        *_belongs(explained),
        *_consent(explained),
        *_notes(explained),
    ]
    return " ".join(sentences)


def _choice(explained: Explanation, tense: Tense) -> list[str]:
    shown = _SHOWN[tense].format(explained.shown)
    holdout = explained.holdout
    kept = explained.kept
    way = way_of(
        explained.tier,
        held_out=holdout is not None and holdout.control is True,
        apprentice=explained.apprentice is not None,
        repeated=kept is not None and kept.repeated,
    )
    if way is Way.KEPT and kept is not None:
        return [
            f"{shown}, which this visit keeps: it was chosen at {moment(kept.since_ms)} with a probability of "
            f"{percent(explained.probability)}, and stays until the visitor is silent for "
            f"{length(kept.until_silent_ms)} or may not be shown it any more."
        ]
    if way is Way.DEFAULT:
        return [f"{shown}, the placement's default, as nothing else may be shown."]
    if way is Way.HELD_OUT:
        return [*_held_out(explained, shown)]
    if way is Way.RULES:
        obstacle = explained.reason.partition(":")[0]
        if obstacle.startswith("no consent"):
            obstacle = f"there was {obstacle}"
        baseline = (
            "the baseline" if "baseline" in explained.reason else "the first by priority of what may be shown"
        )
        return [f"{shown} by rules alone, without a model, as {obstacle}. It is {baseline}."]
    if way is Way.APPRENTICE and explained.apprentice is not None:
        return [
            f"{shown}, the baseline.",
            "This placement is an apprentice: it shows what would be shown without it, and watches.",
            f"Its policy would have drawn {explained.apprentice.policy_arm}.",
        ]
    sentences = [f"{shown}, with a probability of {percent(explained.probability)}."]
    if way is Way.REQUEST:
        named = "nobody was named" if "no visitor" in explained.reason else "the visitor's state could not be read"
        sentences.append(f"The model went by the request alone, as {named}.")
    if kept is not None:
        sentences.append(f"This visit keeps it until the visitor is silent for {length(kept.until_silent_ms)}.")
    return sentences


def _held_out(explained: Explanation, shown: str) -> list[str]:
    holdout = explained.holdout
    how = (
        f"drawn evenly from {counted(len(explained.arms), 'arm')}" if explained.drawn else "the placement's control"
    )
    of = "out of all placements, " if holdout is not None and holdout.layer == "catalog" else ""
    held = "They are held out"
    if holdout is not None and holdout.since_ms is not None:
        held = f"They have been held out since {moment(holdout.since_ms)}"
    return [f"{shown}, {how}.", f"{held}, {of}so that what personalization is worth can be measured."]


def _estimates(explained: Explanation) -> list[str]:
    by_name = {arm.arm: arm for arm in explained.arms}
    shown = by_name.get(explained.shown)
    if shown is None or shown.estimate is None:
        return []
    told = f"The model expects a reward of {_estimate(shown)} from it"
    others = [arm for arm in explained.arms if arm.arm != explained.shown and arm.estimate is not None]
    best = max(others, key=lambda arm: arm.estimate or 0.0, default=None)
    if best is None or best.estimate is None:
        return [f"{told}; nothing else could be shown."]
    if reward(shown.estimate) == reward(best.estimate):
        return [f"{told}, about as much as from {best.arm}."]
    if shown.estimate > best.estimate:
        return [f"{told}, more than from {best.arm} ({reward(best.estimate)})."]
    less = f"{told}, less than from {best.arm} ({reward(best.estimate)})."
    if explained.apprentice is not None:
        return [less]
    return [less, "Now and then others are shown too, so that the model keeps learning about them."]


def _estimate(arm: ExplainedArm) -> str:
    said = reward(arm.estimate or 0.0)
    return f"{said} (± {reward(arm.uncertainty)})" if arm.uncertainty else said


def _effects(explained: Explanation, features: Features) -> list[str]:
    for effects in explained.effects:
        if effects.arm == explained.shown:
            return [*_spoke(effects, features)]
    return []


def _spoke(effects: Effects, features: Features) -> list[str]:
    parts = [(name, value) for name, value in effects.by_feature.items() if abs(value) >= 5e-5]
    sentences = []
    for what, chosen in (
        ("for", [part for part in parts if part[1] > 0]),
        ("against", [part for part in parts if part[1] < 0]),
    ):
        if chosen:
            told = [f"{feature_words(name, features)} ({signed(value)})" for name, value in chosen[:MOST_EFFECTS]]
            sentences.append(f"What spoke {what} {effects.arm}: {'; '.join(told)}.")
    return sentences


def _refusals(explained: Explanation) -> list[str]:
    if explained.placement_rule is not None:
        return [f"Nothing of the placement was allowed: {explained.placement_rule.words}."]
    sentences = [
        f"{refused.arm} was not allowed{_all_the_same(explained, refused.arm)}: {refused.words}."
        for refused in explained.refused[:MOST_REFUSALS]
    ]
    n_more = len(explained.refused) - MOST_REFUSALS
    if n_more > 0:
        sentences.append(f"{counted(n_more, 'more arm')} {'was' if n_more == 1 else 'were'} not allowed.")
    return sentences


def _all_the_same(explained: Explanation, arm: str) -> str:
    return ", and is shown all the same as nothing else was left" if arm == explained.shown else ""


def _belongs(explained: Explanation) -> list[str]:
    """Variant and segments."""
    sentences = []
    if explained.variant is not None:
        sentences.append(f"The visitor is in the placement's variant {explained.variant}.")
    if explained.segments:
        now = "now " if explained.segments_as_of == "now" else ""
        noun = "segment" if len(explained.segments) == 1 else "segments"
        sentences.append(f"The visitor is {now}in the {noun} {listed(explained.segments)}.")
    return sentences


def _consent(explained: Explanation) -> list[str]:
    """One sentence for all purposes on which the same was said; a refusal alone, if there is one."""
    refused = [word for word in explained.consent if not word.granted]
    by_word: dict[tuple[bool, str, int | None], list[str]] = {}
    for word in refused or explained.consent:
        by_word.setdefault((word.granted, word.by, word.at_ms), []).append(word.purpose)
    return [_said(listed(purposes), *word) for word, purposes in by_word.items()]


def _said(purposes: str, granted: bool, by: str, at_ms: int | None) -> str:
    if by == "default":
        return f"The visitor has said nothing about {purposes}, which their source takes for a {_YES_NO[granted]}."
    if by == "browser":
        return f"The visitor's browser refuses {purposes}."
    if by == "request":
        return f"The request says that the visitor {'agrees to' if granted else 'refuses'} {purposes}."
    when = "" if at_ms is None else f" on {moment(at_ms)}"
    shown = ", and the request brought the receipt for it" if by == "receipt" else ""
    return f"The visitor {'agreed to' if granted else 'refused'} {purposes}{when}{shown}."


_YES_NO = {True: "yes", False: "no"}


def _notes(explained: Explanation) -> list[str]:
    notes = [] if explained.effects_note is None else [explained.effects_note]
    versions = explained.versions
    if versions.explained_by_catalog != versions.catalog:
        notes.append(
            f"The decision was made under catalog {versions.catalog}; rules are told as catalog "
            f"{versions.explained_by_catalog} has them."
        )
    return notes
