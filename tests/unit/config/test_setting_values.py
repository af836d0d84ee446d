"""What the text of a setting stands for: secrets and URLs that hide what is secret in them."""

from __future__ import annotations

import pytest

from config.setting_values import shown_url
from config.settings import Settings
from installation.secrets_of import secrets_of


def test_the_secret_hides_itself() -> None:
    secret, before = "hunter2" * 5, "hunter1"
    settings = Settings.from_environment({"NEXTBEST_SECRET": secret, "NEXTBEST_SECRET_BEFORE": before})
    assert "hunter" not in repr(settings)
    assert (settings.secret, settings.secret_before) == (secret, before)
    secrets = secrets_of(settings)
    assert "hunter" not in f"{secrets!r} {secrets.key('draws')!r}"


def test_a_password_in_the_redis_url_hides_itself() -> None:
    settings = Settings.from_environment({"NEXTBEST_REDIS": "redis://:hunter2@cache:6379/0"})
    assert "hunter2" not in repr(settings)
    assert shown_url(settings.redis) == "redis://:***@cache:6379/0"
    assert settings.redis == "redis://:hunter2@cache:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunt/er2@cache:6379",
        "redis://:hunt@er2:x@cache",
        "redis://u:hunter2@c?password=hunter2",
    ],
)
def test_no_part_of_a_password_is_shown(url: str) -> None:
    assert "er2" not in shown_url(url)
