"""The actions of a request, checked, as candidates in the caller's order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from api.dialects.rank_reward.features import action_features
from api.dialects.rank_reward.wire import WireAction
from api.reading.ids import WireId, check_id
from personalization.deciding.candidates import Candidates, passing_candidates
from personalization.deciding.eligibility import EXCLUDED
from personalization.errors import InvalidInput
from personalization.features import FeatureValue

MAX_ACTIONS = 50


class Actions(NamedTuple):
    """What may be shown: ids in order, and what the model is told of each."""

    bodies: dict[str, None]
    features: Mapping[str, Mapping[str, FeatureValue]] | None

    def without(self, excluded: dict[str, str]) -> Candidates:
        """As candidates."""
        return passing_candidates(self.bodies, self.features, excluded)

    def led_by(self, first: str, excluded: dict[str, str]) -> Candidates:
        """As candidates, with ``first`` as the one that is served if nothing may be decided."""
        return passing_candidates({first: None, **self.bodies}, self.features, excluded)


def actions_of(sent: list[WireAction]) -> Actions:
    """The actions.

    Raises
    ------
    InvalidInput
        Names the action by its index, and what is wrong with it.
    """
    if not sent:
        raise InvalidInput("actions", "are none; send at least one", "missing_field")
    if len(sent) > MAX_ACTIONS:
        raise InvalidInput("actions", f"are {len(sent)}; at most {MAX_ACTIONS} are ranked", "too_many")
    features: dict[str, dict[str, FeatureValue]] = {}
    bodies: dict[str, None] = {}
    for index, action in enumerate(sent):
        action_id = given_id(action.id, f"actions[{index}].id")
        if action_id in bodies:
            message = f"{action_id!r} stands there twice; name each action once"
            raise InvalidInput(f"actions[{index}].id", message, "duplicate_id")
        bodies[action_id] = None
        if action.features:
            features[action_id] = action_features(action.features, f"actions[{index}].features")
    return Actions(bodies, features or None)


def excluded_of(sent: list[WireId] | None, field: str, actions: Actions) -> dict[str, str]:
    """The excluded ones, each with the reason; raises ``InvalidInput`` where one is none, or none is left."""
    left_out: dict[str, str] = {}
    for index, each in enumerate(sent or ()):
        left_out[known_action(each, f"{field}[{index}]", actions)] = EXCLUDED
    if len(left_out) == len(actions.bodies):
        raise InvalidInput(field, "names every action; leave one in", "invalid_field")
    return left_out


def known_action(sent: WireId, field: str, actions: Actions) -> str:
    """The id of one of the actions."""
    action_id = given_id(sent, field)
    if action_id not in actions.bodies:
        raise InvalidInput(field, "is the id of no action here; name one of actions", "unknown_name")
    return action_id


def given_id(sent: WireId, field: str) -> str:
    """An id that has to be there."""
    checked = check_id(sent, field)
    if checked is None:
        raise InvalidInput(field, "is missing", "missing_field")
    return checked
