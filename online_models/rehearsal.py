"""Whether a River estimator can do what will be asked of it, found out before anything rests on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from online_models.conversion.river_classifier import RiverClassifier
from online_models.reward_model import ARM
from online_models.river_model import RiverModel

N_ROWS = 108
"""River's stochastic gradient trees look at a hundred rows before they do anything, and then raise if one of the
features never varied."""

QUESTIONS: tuple[dict[str, Any], ...] = ({"price": -3.0, "device": "phone"}, {"price": 1e9, "device": "new"}, {})


def contexts() -> Iterator[dict[str, Any]]:
    """A number of either sign, one that never varies, one missing at times, one that comes late, and a category.

    >>> next(contexts())
    {'price': -3.0, 'weight': 2.5, 'device': 'phone', 'visits': 0.0}
    """
    for i in range(N_ROWS):
        context: dict[str, Any] = {"price": i % 7 - 3.0, "weight": 2.5, "device": ("phone", "desktop")[i // 2 % 2]}
        if i % 3 == 0:
            context["visits"] = float(i % 5)
        if i > N_ROWS // 2:
            context["late"] = float(i % 2)
        yield context


def trouble_with(model: RiverModel | RiverClassifier) -> str | None:
    """What goes wrong if a fresh model learns ``N_ROWS`` rows, answers, and is loaded back; None: nothing.

    Takes 5 ms for a linear model, some 100 ms for a forest.

    >>> from river import linear_model
    >>> trouble_with(RiverModel(linear_model.LinearRegression())) is None
    True
    """
    try:
        _teach(model)
        for each in (model, type(model).load(model.dump())):
            for question in QUESTIONS:
                if isinstance(each, RiverModel):
                    each.estimate(("a", "b"), question)
                else:
                    each.predict_proba_one(question)
            if each.complaint is not None:
                return each.complaint
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "its predictions are not finite" if model.n_rollbacks else None


def _teach(model: RiverModel | RiverClassifier) -> None:
    """Two arms and rewards of 0, 1 and between; or labels with the weights that early examples have."""
    for i, context in enumerate(contexts()):
        if isinstance(model, RiverModel):
            model.learn_one({ARM: "ab"[i % 2], **context}, (0.0, 1.0, 0.3)[i % 3])
        else:
            model.learn_one(context, i % 3 == 0, (1.0, 0.75, 1.5)[i // 3 % 3])
