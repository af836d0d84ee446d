"""Requests in flight ask their models together: numpy costs the same for one context as for a dozen.

The coalesced read of visitors wakes the requests of one loop turn together; each gets as far as its first question
to a model, and the last thing of the turn answers them all. A request that is alone waits for nobody.
"""

from __future__ import annotations

import asyncio

from personalization.deciding.decide import Deciding
from personalization.deciding.decision import Answer
from personalization.deciding.distribution import ArmDistribution
from personalization.deciding.questions import Question, answers


class CoalescedScoring:
    """Runs decisions, answering their questions by the turn of the event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Question, asyncio.Future[ArmDistribution]]] = []

    async def run(self, deciding: Deciding, *, alone: bool = False) -> Answer:
        """The answer of ``deciding``.

        Parameters
        ----------
        alone
            No other decision is under way: its questions are answered as they are asked.
        """
        try:
            question = next(deciding)
            while True:
                try:
                    distribution = _answered(question) if alone else await self._ask(question)
                except Exception as error:  # the model's: the decision knows what to do without one
                    question = deciding.throw(error)
                else:
                    question = deciding.send(distribution)
        except StopIteration as finished:
            answer: Answer = finished.value
            return answer

    def _ask(self, question: Question) -> asyncio.Future[ArmDistribution]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ArmDistribution] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._answer_all)
        self._waiting.append((question, answer))
        return answer

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for (_, future), outcome in zip(waiting, answers([asked for asked, _ in waiting]), strict=True):
            if future.done():
                continue  # its request was cancelled
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _answered(question: Question) -> ArmDistribution:
    """The answer to one question; raises what its model raised."""
    (outcome,) = answers([question])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
