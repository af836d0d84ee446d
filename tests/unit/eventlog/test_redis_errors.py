"""What Redis answers, as one of our errors: with room to be made, to be waited for, or for a person."""

from __future__ import annotations

import pytest
from redis import exceptions

from eventlog.redis_errors import REFUSALS, translated
from personalization.errors import LogFull, NextbestError, Refused, ShutOut, StorageFull, Unavailable

IN_A_SCRIPT = "Error running script (call to f_ab): @user_script:5: -{} something the server says"


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("text", ["{} something the server says", IN_A_SCRIPT])
def test_every_refusal_by_code_passes(code: str, text: str) -> None:
    error = translated(exceptions.ResponseError(text.format(code)))
    assert isinstance(error, Unavailable)
    assert str(error).startswith(REFUSALS[code])


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("refused"),
        exceptions.TimeoutError("slow"),
        exceptions.BusyLoadingError("LOADING"),
        exceptions.NoScriptError("No matching script"),
        ConnectionResetError(104, "reset"),
        OSError("unreachable"),
    ],
)
def test_what_is_away_is_unavailable_and_not_for_the_public(error: Exception) -> None:
    found = translated(error)
    assert type(found) is Unavailable
    assert not found.public


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.AuthenticationError("Authentication required."), "Redis wants a password"),
        (exceptions.AuthenticationError("invalid username-password pair"), "Redis refuses the password"),
        (exceptions.ResponseError("WRONGPASS invalid username-password pair"), "Redis refuses the password"),
    ],
)
def test_who_is_not_let_in_hears_why_and_the_public_does_not(error: Exception, words: str) -> None:
    found = translated(error)
    assert type(found) is ShutOut
    assert str(found).startswith(words)
    assert not found.public


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"), "out of memory"),
        (
            exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, but"),
            "disk Redis writes to",
        ),
    ],
)
def test_want_of_room_says_which_and_nothing_of_the_server(error: Exception, words: str) -> None:
    found = translated(error)
    assert type(found) is StorageFull
    assert words in str(found)
    assert "maxmemory" not in str(found)
    assert "RDB" not in str(found)
    assert found.public


@pytest.mark.parametrize(
    "text", ["WRONGTYPE Operation against a key", "ERR value is not an integer", "ERR unknown"]
)
def test_what_no_waiting_mends_is_for_a_person(text: str) -> None:
    found = translated(exceptions.ResponseError(text))
    assert type(found) is Refused
    assert text in str(found)
    assert "nextbest epoch open" in str(found)


def test_a_full_log_is_not_a_full_disk() -> None:
    assert LogFull.public
    assert not issubclass(StorageFull, LogFull)
    assert issubclass(LogFull, NextbestError)
