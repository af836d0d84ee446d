"""An append is acknowledged within a bound, whatever the log does, and its outage is said in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from redis.exceptions import ResponseError

from api.process.bounded_log import BoundedLog
from eventlog.port import LogPosition, Record
from personalization.errors import Refused, Unavailable
from tests.unit.api.site import FakeLog, Site

RECORD = Record("visitor-log", "a:1", b"x")
TRACK = {"type": "track", "event": "Viewed", "anonymousId": "a1", "messageId": "m1"}


class HungLog:
    """Takes records and never says a word."""

    async def append(self, records: Sequence[Record]) -> list[LogPosition]:
        await asyncio.get_running_loop().create_future()
        return []


async def test_a_log_that_hangs_is_given_up_on_within_the_bound_by_every_caller() -> None:
    log = BoundedLog(HungLog(), within_s=0.05)
    began = time.monotonic()
    results = await asyncio.gather(*(log.append([RECORD]) for _ in range(500)), return_exceptions=True)
    assert time.monotonic() - began < 2
    assert {str(result) for result in results} == {"the log did not acknowledge within 0.05 s"}
    assert all(isinstance(result, Unavailable) for result in results)
    assert str(log.error) == "the log did not acknowledge within 0.05 s"


async def test_what_was_wrong_is_forgotten_with_the_next_acknowledgement() -> None:
    fake = FakeLog(error=Unavailable("away"))
    log = BoundedLog(fake)
    with pytest.raises(Unavailable):
        await log.append([RECORD])
    assert log.error is fake.error
    fake.error = None
    await log.append([RECORD])
    assert log.error is None


async def test_what_a_person_has_to_do_is_told_to_the_process_log_and_not_to_callers(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.log.error = Refused(
        "key nextbest:visitor-log of redis://10.1.2.3 holds a string: run `nextbest epoch open`"
    )
    answer = await site.collect(TRACK)
    assert (answer.status_code, answer.json()["code"]) == (503, "refused")
    assert "10.1.2.3" not in answer.text
    log = BoundedLog(site.log)
    for _ in range(3):
        with pytest.raises(Refused):
            await log.append([RECORD])
    told = [record for record in caplog.records if record.message == "log_takes_no_events"]
    assert [record.__dict__["reason"] for record in told] == [str(site.log.error)], "once, and whole"


async def test_a_full_disk_is_named_to_collectors_and_to_rewards(site: Site) -> None:
    site.log.error = Unavailable("Redis does not answer: MISCONF")
    site.log.error.__cause__ = ResponseError("MISCONF Errors writing to the AOF file: No space left on device")
    for answer in (await site.collect(TRACK), await site.reward()):
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_full")
        assert answer.json()["message"] == (
            "the disk Redis writes to is full or cannot be written; send the same again once there is room"
        )
        assert answer.headers["retry-after"] == "1"
