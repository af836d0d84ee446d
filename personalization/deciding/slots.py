"""The slots of one placement: each keeps its choice, or gets one from the ladder, and is written down."""

from __future__ import annotations

from collections.abc import Generator

from personalization.deciding.distribution import ArmDistribution, ticket
from personalization.deciding.draw import decision_id_by_arm, sticky_decision_id, sticky_draw_name
from personalization.deciding.filling import Filling
from personalization.deciding.ladder import Rung, answered, climb, failed
from personalization.deciding.questions import Question
from personalization.deciding.watching import filled_slot
from personalization.deciding.writing import Beside, Drawn, write, write_kept
from personalization.events.decision_id import mint, trial_of


def fill(filling: Filling, slot: int) -> Generator[Question, ArmDistribution, bool]:
    """Decide one slot; False where nothing is left to show."""
    arms = filling.arms_left() if filling.call.taken else filling.arms
    if filling.sticky and _keep(filling, slot, arms):
        return True
    rung = climb(filling, arms)
    scorer = beside = None
    if isinstance(rung, Question):
        asked, scorer = rung, rung.scorer
        try:
            rung = answered(filling, (yield asked))
        except Exception as error:
            rung = failed(filling, arms, error)
            scorer = None
        else:
            beside = yield from _asked_beside(filling, asked)
    if rung is None:
        return False
    drawn = _draw(filling, slot, rung) if rung.draws else _certain(filling, slot, rung)
    if filling.call.watch is not None:
        filling.call.watch(filled_slot(filling, slot, arms, rung=rung, drawn=drawn, scorer=scorer))
    write(filling, slot, rung, drawn, beside)
    return True


def _asked_beside(filling: Filling, asked: Question) -> Generator[Question, ArmDistribution, Beside | None]:
    """What the policy on trial says, if there is one, and time: nobody waits for it, or fails by it."""
    shadow = filling.placement.compiled.shadow
    if shadow is None or filling.call.out_of_time():
        return None
    try:
        return Beside(shadow.trial, (yield asked.by(shadow.policy)))
    except Exception as error:
        filling.call.answer.faults.append((filling.model, error))
        return None


def _keep(filling: Filling, slot: int, arms: tuple[str, ...]) -> bool:
    """Serve the choice this session has already, if it still may be shown."""
    kept = filling.kept(slot) if filling.missing is None else None
    if kept is None or kept.at_ms < filling.call.session_start_ms:
        return False
    if kept.arm not in arms and not (filling.control and kept.arm == filling.default):
        return False
    if kept.arm in filling.call.taken:
        return False
    if filling.call.watch is not None:
        filling.call.watch(filled_slot(filling, slot, arms, kept=kept))
    write_kept(filling, slot, kept)
    return True


def _draw(filling: Filling, slot: int, rung: Rung) -> Drawn:
    """Draw from what the rung says."""
    if filling.sticky and filling.scope.state is not None:
        return _draw_sticky(filling, slot, rung)
    call = filling.call
    name = mint(call.keys.ids, filling.key, filling.nonce(slot))
    drawn = ticket(call.keys.draws, name)
    index = rung.distribution.draw(drawn)
    if call.request.by_arm:
        return Drawn(_id_by_arm(filling, rung, index), index, drawn, name=name)
    return Drawn(name, index, drawn)


def _draw_sticky(filling: Filling, slot: int, rung: Rung) -> Drawn:
    """Draw what the session keeps: calls that agree on what is known draw the same, with the same id."""
    call, distribution = filling.call, rung.distribution
    kept = filling.kept(slot)
    replaces = "" if kept is None else trial_of(kept.decision_id)
    name = sticky_draw_name(unit=call.unit, placement=filling.name, slot=slot, replaces=replaces)
    drawn = ticket(call.keys.assignment, name)
    index = distribution.draw(drawn)
    decision_id = sticky_decision_id(
        call.keys,
        key=call.key,
        unit=call.unit,
        placement=filling.name,
        slot=slot,
        replaces=replaces,
        arm=distribution.arms[index],
    )
    return Drawn(decision_id, index, drawn, True, replaces)


def _certain(filling: Filling, slot: int, rung: Rung) -> Drawn:
    call = filling.call
    name = mint(call.keys.ids, filling.key, filling.nonce(slot))
    if call.request.by_arm:
        return Drawn(_id_by_arm(filling, rung, 0), 0, None, name=name)
    return Drawn(name, 0, None)


def _id_by_arm(filling: Filling, rung: Rung, index: int) -> str:
    call = filling.call
    arm = rung.distribution.arms[index]
    return decision_id_by_arm(call.keys, key=filling.key, request_id=call.request.request_id, arm=arm)
