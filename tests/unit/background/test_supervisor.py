"""Background tasks do not die unseen (the rule *Workers*): restarted, counted, and named by readiness."""

import asyncio

import pytest

from background import supervisor
from background.supervisor import TaskSupervisor
from personalization.errors import Refused
from tests.running import eventually


async def test_a_task_that_raises_is_started_again_counted_and_shown() -> None:
    ended: list[str] = []
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs <= 2:
            raise OSError("no space left on device")
        await asyncio.Event().wait()

    async with TaskSupervisor(ended.append) as tasks:
        tasks.keep("spool", work)
        await eventually(lambda: runs == 3)
        assert ended == ["spool", "spool"]
        assert tasks.restarts() == {"spool": 2}
        assert tasks.not_ready() == {"spool": "OSError: no space left on device"}


async def test_a_task_that_has_run_for_a_while_since_is_well_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HEALTHY_S", 0.2)
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("once")
        await asyncio.Event().wait()

    async with TaskSupervisor() as tasks:
        tasks.keep("models", work)
        await eventually(lambda: runs == 2)
        assert tasks.not_ready()
        await eventually(lambda: not tasks.not_ready())


async def test_a_task_that_returns_has_ended_too_unless_it_may() -> None:
    ended: list[str] = []
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    async with TaskSupervisor(ended.append) as tasks:
        tasks.keep("creation", work, may_return=True)
        await eventually(lambda: runs == 1)
        await asyncio.sleep(0)
        assert not ended
        tasks.keep("follower", work)
        await eventually(lambda: "follower" in ended)


async def test_a_fatal_error_is_handed_to_whoever_waits_for_it() -> None:
    async def work() -> None:
        raise Refused("another log")

    async with TaskSupervisor(fatal=(Refused,)) as tasks:
        tasks.keep("saving", work)
        with pytest.raises(Refused, match="another log"):
            await asyncio.wait_for(tasks.until_fatal(), 5)


async def test_stopping_ends_tasks_that_lose_a_cancellation() -> None:
    async def work() -> None:
        swallowed = False
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed = True

    tasks = TaskSupervisor()
    tasks.keep("deaf", work)
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.stop(), 5)


async def test_a_task_whose_call_is_cancelled_by_somebody_else_is_started_again() -> None:
    waited_for: list[asyncio.Future[None]] = []

    async def work() -> None:
        waited_for.append(asyncio.get_running_loop().create_future())
        await waited_for[-1]

    async with TaskSupervisor() as tasks:
        tasks.keep("reader", work)
        await eventually(lambda: len(waited_for) == 1)
        waited_for[0].cancel()
        await eventually(lambda: len(waited_for) == 2)
        assert tasks.not_ready() == {"reader": "what it waited for was cancelled"}


async def test_a_listener_that_raises_does_not_end_what_it_counts() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise ValueError("again")

    def listener(_: str) -> None:
        raise RuntimeError("no counter")

    async with TaskSupervisor(listener) as tasks:
        tasks.keep("spool", work)
        await eventually(lambda: runs > 1)
