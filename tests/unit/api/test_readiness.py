"""What ``/readyz`` tells (the rule *Workers*): what takes a process out of service, and what is only said."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from api.process.outages import in_public_words, outage_of
from api.process.readiness import Readiness, Report
from background import supervisor
from background.supervisor import TaskSupervisor
from personalization.errors import LogFull, StorageFull, Unavailable
from tests.running import eventually
from tests.unit.api.site import Site


def never_well() -> str | None:
    return "it does not answer"


def well() -> str | None:
    return None


async def test_what_a_process_cannot_do_without_is_503_and_what_all_share_is_only_told(site: Site) -> None:
    site.report = Report(warnings={"redis": "Redis does not answer"})
    response = await site.client.get("http://inner/readyz")
    assert response.status_code == 200, "one hung Redis must not take every process away from the load balancer"
    assert response.json() == {
        "status": "ready",
        "missing": [],
        "warnings": ["redis"],
        "reasons": {"redis": "Redis does not answer"},
    }
    site.report = Report(missing={"catalog": "none"}, warnings={"redis": "Redis does not answer"})
    response = await site.client.get("http://inner/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "waiting",
        "missing": ["catalog"],
        "warnings": ["redis"],
        "reasons": {"catalog": "none", "redis": "Redis does not answer"},
    }


async def test_a_task_that_keeps_ending_holds_back_a_new_process_and_warns_of_an_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "HEALTHY_S", 0.2)
    broken = True

    async def work() -> None:
        if broken:
            raise ConnectionRefusedError(111, "connecting to 10.9.8.7:6379 refused")
        await asyncio.Event().wait()

    async with TaskSupervisor() as tasks:
        new, old = (Readiness({"catalog": well}, {}, tasks) for _ in range(2))
        assert old.report().ready
        tasks.keep("models", work)
        await eventually(lambda: bool(tasks.ended()))
        told = "it ended, and is started again: Redis does not answer"
        assert new.report().missing == {"task:models": told}, "and names no address"
        assert old.report() == Report(warnings={"task:models": told})
        broken = False
        await eventually(lambda: new.report().ready)
        assert new.report() == Report()


async def test_a_process_that_was_whole_once_still_waits_for_what_it_cannot_do_without() -> None:
    away = False
    readiness = Readiness({"catalog": lambda: "none" if away else None}, {"redis": never_well}, TaskSupervisor())
    assert readiness.report() == Report(warnings={"redis": "it does not answer"})
    away = True
    assert readiness.report().missing == {"catalog": "none"}


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def test_outages_are_told_apart_in_words_and_say_nothing_of_the_house() -> None:
    full = ResponseError("MISCONF Errors writing to the AOF file: No space left on device /srv/secret-host")
    cases = [
        (
            caused(Unavailable("Redis does not answer: MISCONF"), full),
            "storage_full",
            "the disk Redis writes to is full or cannot be written; send the same again once there is room",
        ),
        (
            caused(StorageFull("Redis is out of memory"), ResponseError("OOM command not allowed")),
            "storage_full",
            "Redis is out of memory; send the same again once there is room",
        ),
        (
            LogFull("the log holds as much as it may"),
            "log_full",
            "the log holds as much as it may, and not all of it was read yet; send the same again shortly",
        ),
        (
            caused(Unavailable("x"), RedisConnectionError("Error 111 connecting to user:pass@10.1.2.3:6379")),
            "unavailable",
            "Redis does not answer; send the same again shortly",
        ),
        (
            caused(Unavailable("x"), ResponseError("NOPERM User shop has no permissions to run")),
            "unavailable",
            "Redis does not let this process in; send the same again shortly",
        ),
        (
            caused(Unavailable("Kafka does not answer at broker-7.internal:9092: x"), OSError(111, "refused")),
            "unavailable",
            "Kafka does not answer; send the same again shortly",
        ),
        (
            Unavailable("67108864 bytes wait to be written to Redis already"),
            "unavailable",
            "so much waits for the log already that no more is taken; send the same again shortly",
        ),
        (
            OSError(28, "No space left on device", "/var/lib/nextbest/spool/0"),
            "storage_full",
            "the disk this process writes to is full or cannot be written; send the same again once there is room",
        ),
        (
            Unavailable("whatever else"),
            "unavailable",
            "a part needed for this does not answer; send the same again shortly",
        ),
    ]
    for error, code, message in cases:
        outage = outage_of(error)
        assert (outage.code, outage.message) == (code, message)
    assert in_public_words(OSError(28, "x", "/var/lib/nextbest/spool/0")) == "No space left on device"
    assert in_public_words(KeyError("user:pass@10.1.2.3")) == "KeyError; this process's log has the whole"
