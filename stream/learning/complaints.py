"""What a learner says is wrong with it, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stream.learning.held_partition import HeldPartition
from stream.learning.training import Trainings


def why_not_ready(lost: Collection[int], full: Collection[int]) -> str | None:
    """What keeps the learner from its work as a whole; None if nothing does.

    Parameters
    ----------
    lost
        Partitions that another learner has taken.
    full
        Partitions that stand at their bound and may let go of nothing.
    """
    if lost:
        return f"another learner has taken partitions {_listed(lost)}: waiting for an assignment"
    if full:
        return (
            f"partitions {_listed(full)} of outcomes are full, and models that catch up need what is in "
            "them: the log takes no more until they have"
        )
    return None


def warnings_of(partitions: Iterable[HeldPartition], trainings: Trainings) -> list[str]:
    """What is served older than it should be, or taught by too few, a sentence each."""
    found = []
    for held in partitions:
        for key, model in sorted(held.models.items()):
            waiting = f"{model.n_waiting()} outcomes wait for it"
            if model.trouble is not None and not model.live:
                trouble = model.trouble
                found.append(f"the model of {key} is put aside, {waiting}: {trouble.stage} raised {trouble.cause}")
            elif not model.live:
                found.append(f"the model of {key} is catching up, {waiting}")
            elif model.book is not None:
                found.extend(trainings.of(key).warnings(model.book))
    return found


def _listed(numbers: Collection[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
