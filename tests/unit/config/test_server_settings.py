"""The settings of the way to Redis and Kafka: what does not fit together is said before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from background.redis_url import apart
from background.tls import TlsFiles
from config.setting_values import shown_url
from config.settings import InvalidSettings, Settings
from tests.certificates import Authority, Signed

TLS = {"NEXTBEST_REDIS": "rediss://cache"}
SSL = {"NEXTBEST_KAFKA": "kafka:9093", "NEXTBEST_KAFKA_SECURITY": "SSL"}
SASL = {
    "NEXTBEST_KAFKA_SECURITY": "SASL_SSL",
    "NEXTBEST_KAFKA_USER": "ali",
    "NEXTBEST_KAFKA_PASSWORD": "hunter2",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Signed:
    return authority.sign("ours")


def test_the_url_of_redis_says_everything_whoever_reads_it(
    authority: Authority, ours: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("p/w ?&#@\n")
    monkeypatch.chdir(authority.folder)
    environment = {
        "NEXTBEST_REDIS": "rediss://cache:6380/1",
        "NEXTBEST_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
        "NEXTBEST_REDIS_CA_FILE": "ca.pem",
        "NEXTBEST_REDIS_CERTIFICATE_FILE": "ours.pem",
        "NEXTBEST_REDIS_KEY_FILE": "ours.key",
        "NEXTBEST_REDIS_SERVER_NAME": "cache.internal",
    }
    settings = Settings.from_environment(environment)
    plain, tls = apart(settings.redis)
    assert plain == "rediss://cache:6380/1?password=p%2Fw+%3F%26%23%40"
    assert tls == TlsFiles(str(authority.file), str(ours.certificate), str(ours.key), "cache.internal")
    # A child process is told the whole, and reads the same settings besides.
    assert Settings.from_environment({**environment, "NEXTBEST_REDIS": settings.redis}).redis == settings.redis
    assert shown_url(settings.redis) == "rediss://cache:6380/1?password=***"
    assert "p/w" not in repr(settings)
    assert "p%2Fw" not in repr(settings)


def test_a_url_that_says_it_all_itself_stays_as_it_is() -> None:
    url = "rediss://:p%2Fw@cache:6380/1?ssl_ca_certs=/etc/ca.pem&health_check_interval=3"
    assert Settings.from_environment({"NEXTBEST_REDIS": url}).redis == url


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_kafka_with_a_user_is_taken(mechanism: str) -> None:
    settings = Settings.from_environment({**SASL, "NEXTBEST_KAFKA_MECHANISM": mechanism})
    assert (settings.kafka_user, settings.kafka_password) == ("ali", "hunter2")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"NEXTBEST_REDIS_CA_FILE": "{ca}"}, "REDIS_CA_FILE: is of use only where the URL begins with rediss://"),
        ({"NEXTBEST_REDIS_SERVER_NAME": "x"}, "REDIS_SERVER_NAME: is of use only where the URL begins with rediss"),
        ({**TLS, "NEXTBEST_REDIS_CA_FILE": "{folder}/none"}, "none cannot be read: No such file or directory"),
        ({**TLS, "NEXTBEST_REDIS_CA_FILE": "{folder}"}, "cannot be read: Is a directory"),
        ({**TLS, "NEXTBEST_REDIS_CA_FILE": "{key}"}, "holds no certificates in PEM"),
        ({**TLS, "NEXTBEST_REDIS_KEY_FILE": "{key}"}, "is set without NEXTBEST_REDIS_CERTIFICATE_FILE"),
        (
            {**TLS, "NEXTBEST_REDIS_CERTIFICATE_FILE": "{certificate}", "NEXTBEST_REDIS_KEY_FILE": "{other_key}"},
            "is not the key of",
        ),
        ({**TLS, "NEXTBEST_REDIS_CERTIFICATE_FILE": "{certificate}"}, "are not a certificate and its key in PEM"),
        (
            {"NEXTBEST_REDIS": "rediss://:one@cache", "NEXTBEST_REDIS_PASSWORD": "two"},
            "REDIS_PASSWORD: is set, and NEXTBEST_REDIS holds a password too",
        ),
        (
            {"NEXTBEST_REDIS": "rediss://cache?ssl_cert_reqs=none", "NEXTBEST_REDIS_CA_FILE": "{ca}"},
            "holds parameters that begin with ssl_",
        ),
        ({"NEXTBEST_REDIS_PASSWORD_FILE": "{folder}/none"}, "none cannot be read: No such file"),
        ({"NEXTBEST_REDIS_MEMORY_BYTES": "1000"}, "must be 0, or 16777216 or more"),
        ({"NEXTBEST_KAFKA_SECURITY": "TLS"}, "must be one of PLAINTEXT, SSL, SASL_SSL, not 'TLS'"),
        ({"NEXTBEST_KAFKA_CA_FILE": "{ca}"}, "is of use only where NEXTBEST_KAFKA_SECURITY is SSL or SASL_SSL"),
        ({**SSL, "NEXTBEST_KAFKA_CA_FILE": "{folder}/none"}, "none cannot be read: No such file or directory"),
        ({**SSL, "NEXTBEST_KAFKA_USER": "ali"}, "KAFKA_USER: is of use only where NEXTBEST_KAFKA_SECURITY is SASL"),
        ({**SASL, "NEXTBEST_KAFKA_USER": ""}, "NEXTBEST_KAFKA_USER: must name the user"),
        ({**SASL, "NEXTBEST_KAFKA_PASSWORD": ""}, "KAFKA_PASSWORD: must be set, or NEXTBEST_KAFKA_PASSWORD_FILE"),
        ({**SASL, "NEXTBEST_KAFKA_MECHANISM": "GSSAPI"}, "KAFKA_MECHANISM: must be one of SCRAM-SHA-512"),
        ({**SASL, "NEXTBEST_KAFKA_PASSWORD_FILE": "{ca}"}, "which of them is meant"),
    ],
)
def test_what_does_not_fit_is_named_with_its_setting(
    authority: Authority, ours: Signed, environment: dict[str, str], words: str
) -> None:
    places = {
        "{ca}": str(authority.file),
        "{certificate}": str(ours.certificate),
        "{key}": str(ours.key),
        "{other_key}": str(authority.sign("other").key),
        "{folder}": str(authority.folder),
    }
    for place, path in places.items():
        environment = {name: value.replace(place, path) for name, value in environment.items()}
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment(environment)
    (error,) = refused.value.errors
    assert words in str(error)
    assert "hunter2" not in str(error)
