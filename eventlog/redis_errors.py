"""What a failure of Redis means: whether waiting may mend it, and how to say it to a person.

A server that refuses says why by a code in capitals, the first word of its reply. Redis 6.2 hides it where a script
was refused (``ERR Error running script (call to f_…): @user_script:5: -READONLY …``), so the code is looked for in
the whole text.
"""

from __future__ import annotations

import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from background.tls import tls_problem
from personalization.errors import Refused, ShutOut, StorageFull, Unavailable

SETTINGS = "NEXTBEST_REDIS"

REFUSALS = {
    "MISCONF": "the disk Redis writes to is full or cannot be written",
    "OOM": "Redis is out of memory",
    "READONLY": "Redis is a replica and takes no writes: a failover is under way",
    "NOREPLICAS": "Redis has fewer replicas than it needs to take writes",
    "MASTERDOWN": "Redis is a replica that has lost its master",
    "LOADING": "Redis is loading its data",
    "BUSY": "a script keeps Redis busy",
    "CLUSTERDOWN": "the Redis Cluster is down",
    "TRYAGAIN": "the Redis Cluster is moving these keys",
    "NOSCRIPT": "Redis has lost its scripts",
    "UNKILLABLE": "a script keeps Redis busy and cannot be ended",
    "NOAUTH": "Redis wants a password: see NEXTBEST_REDIS and NEXTBEST_REDIS_PASSWORD_FILE",
    "WRONGPASS": "Redis refuses the password: see NEXTBEST_REDIS and NEXTBEST_REDIS_PASSWORD_FILE",
    "NOPERM": "the user of Redis may not do this: see NEXTBEST_REDIS and the ACL of that user",
}
"""Codes a server refuses by for a while, or until its settings are changed: never the fault of what was sent."""

_PASSWORD = frozenset({"NOAUTH", "WRONGPASS"})

NO_ROOM = ("MISCONF", "OOM")
"""Refusals that end when somebody makes room on the server: told to callers, who cannot know otherwise."""

_CODE = re.compile(rf"(?<![A-Za-z])({'|'.join(REFUSALS)})(?![A-Za-z])")

_CODE_OF = (
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (BusyLoadingError, "LOADING"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (TryAgainError, "TRYAGAIN"),
    (NoPermissionError, "NOPERM"),
    (NoScriptError, "NOSCRIPT"),
)
"""redis-py takes the code out of the text where it has a class for it."""

_AWAY = (ConnectionError, TimeoutError, ClusterError, MovedError, AskError, OSError)


def refusal(error: BaseException) -> str | None:
    """The code by which a server refused; None where it did not, or for a reason of the call itself.

    >>> from redis.exceptions import ResponseError
    >>> refusal(ResponseError("MISCONF Redis is configured to save RDB snapshots, but it cannot"))
    'MISCONF'
    >>> refusal(ResponseError("Error running script (call to f_ab): @user_script:3: -READONLY You can't write"))
    'READONLY'
    >>> refusal(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")) is None
    True
    """
    for kind, code in _CODE_OF:
        if isinstance(error, kind):
            return code
    found = _CODE.search(str(error))
    return found.group(1) if found else None


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed later: the server is away, or refuses for now."""
    return isinstance(error, _AWAY) or refusal(error) is not None


def why_shut_out(error: BaseException) -> str | None:
    """Why Redis cannot be used until a person has acted: certificates, or the password; else None.

    >>> from redis.exceptions import AuthenticationError
    >>> why_shut_out(AuthenticationError("WRONGPASS invalid username-password pair"))
    'Redis refuses the password: see NEXTBEST_REDIS and NEXTBEST_REDIS_PASSWORD_FILE'
    >>> why_shut_out(ConnectionError("refused")) is None
    True
    """
    if problem := tls_problem(error, SETTINGS):
        return f"Redis cannot be used: {problem}"
    code = refusal(error)
    if code is None and isinstance(error, AuthenticationError):  # redis-py has taken the code out of the text
        code = "WRONGPASS" if "invalid" in str(error) else "NOAUTH"
    return REFUSALS[code] if code in _PASSWORD else None


def in_words(error: BaseException) -> str:
    """The failure as a sentence for a person, the server's own words behind it.

    >>> from redis.exceptions import ResponseError
    >>> in_words(ResponseError("MISCONF cannot write"))
    'the disk Redis writes to is full or cannot be written (MISCONF cannot write)'
    >>> in_words(ConnectionError("refused"))
    'Redis does not answer (refused)'
    """
    code = refusal(error)
    if code is None and (shut_out := why_shut_out(error)):
        return shut_out
    if code is not None:
        return f"{REFUSALS[code]} ({error})"
    return f"Redis does not answer ({error})" if isinstance(error, _AWAY) else f"Redis: {error}"


def translated(error: BaseException) -> Exception:
    """The failure of one of the log's own commands as one of ours.

    What Redis refuses for no passing reason (a key of the wrong type, a value that is no number) will be refused
    for ever: somebody has written into the keys of the log.

    >>> from redis.exceptions import OutOfMemoryError, ResponseError
    >>> translated(OutOfMemoryError("command not allowed"))
    StorageFull('Redis is out of memory')
    >>> translated(ResponseError("WRONGTYPE Operation against a key")).__class__.__name__
    'Refused'
    """
    code = refusal(error)
    if code in NO_ROOM:
        return StorageFull(REFUSALS[code])
    if shut_out := why_shut_out(error):
        return ShutOut(shut_out)
    if is_passing(error) or isinstance(error, AuthenticationError):
        return Unavailable(in_words(error))
    if isinstance(error, ResponseError):
        return Refused(
            f"Redis cannot carry out a command of the log ({error}): a key of the log holds what the log did not "
            "write. Look at the keys below the namespace (NEXTBEST_NAMESPACE); if the log is lost, run "
            "`nextbest epoch open`."
        )
    return error if isinstance(error, Exception) else Unavailable(in_words(error))
