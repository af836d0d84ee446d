"""Settings that can be read and make no sense: refused with the remedy."""

from __future__ import annotations

import pytest

from config.settings import InvalidSettings, Settings

OWN = "0123456789abcdef" * 2


def test_a_short_secret_is_refused_and_the_refusal_says_what_to_do_and_not_the_secret() -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({"NEXTBEST_SECRET": "hunter2" * 4})
    assert "NEXTBEST_SECRET: has 28 characters, and must have 32 or more; `openssl rand -hex 32`" in str(
        refused.value
    )
    assert "goes on with it as NEXTBEST_SECRET_BEFORE" in str(refused.value)
    assert "hunter" not in str(refused.value)
    Settings.from_environment({"NEXTBEST_SECRET": OWN, "NEXTBEST_SECRET_BEFORE": "hunter2"})


def test_the_secret_before_is_another_one() -> None:
    with pytest.raises(InvalidSettings, match="NEXTBEST_SECRET_BEFORE: is the secret in force"):
        Settings.from_environment({"NEXTBEST_SECRET": OWN, "NEXTBEST_SECRET_BEFORE": OWN})


def test_the_development_secret_stays_on_this_machine() -> None:
    with pytest.raises(InvalidSettings, match="must be one of your own"):
        Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0"})
    assert Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0", "NEXTBEST_SECRET": OWN}).host == "0.0.0.0"


@pytest.mark.parametrize("host", ["localhost.corp", "127.evil.example", "127.0.0.1.nip.io", "::", "10.0.0.1"])
def test_what_only_begins_like_loopback_is_beyond_this_machine(host: str) -> None:
    with pytest.raises(InvalidSettings, match="must be one of your own"):
        Settings.from_environment({"NEXTBEST_HOST": host})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_may_use_the_development_secret(host: str) -> None:
    assert Settings.from_environment({"NEXTBEST_HOST": host}).host == host


@pytest.mark.parametrize("url", ["redis://:hunt/er2@cache:6379", "redis://cache:hunter2", "hunter2"])
def test_a_refusal_quotes_no_url_as_a_password_may_be_in_it(url: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({"NEXTBEST_REDIS": url})
    assert "er2" not in str(refused.value)


def test_a_url_that_cannot_be_read_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidSettings, match=r"In a password, write / as %2F"):
        Settings.from_environment({"NEXTBEST_REDIS": "redis://:pass/word@cache:6379"})


def test_a_redis_cluster_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidSettings, match=r"a Redis Cluster cannot be used: .* through one server"):
        Settings.from_environment({"NEXTBEST_REDIS": "redis+cluster://cache:6379"})
