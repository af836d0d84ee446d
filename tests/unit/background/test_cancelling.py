from __future__ import annotations

import asyncio
import contextlib

from background.cancelling import pause, stop_if_cancelled


async def a_call_that_drops_a_cancellation(begun: asyncio.Event) -> None:
    """As ``asyncio.wait_for`` before Python 3.12 does where result and cancellation come at once."""
    begun.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def test_a_loop_ends_though_a_call_dropped_its_cancellation() -> None:
    begun, rounds = asyncio.Event(), 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await a_call_that_drops_a_cancellation(begun)
            await pause(0)

    task = asyncio.create_task(loop())
    await begun.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done == {task}
    assert task.cancelled()
    assert rounds == 1


async def test_whoever_was_not_cancelled_goes_on() -> None:
    stop_if_cancelled()
    await pause(0)
