"""Whatever the API's description allows is answered as it says, and so is what it does not allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.app import ANSWERED
from api.openapi.document import document
from tests.contract.openapi.aiming import ADMIN, aimed, filled
from tests.contract.openapi.served import served

ASKED_FOR = os.environ.get("NEXTBEST_FUZZ_EXAMPLES")
N_EXAMPLES = int(ASKED_FOR or 20)
"""Of each operation and kind, the same ones in every run; ``make fuzz`` takes many more, and others each time."""

SCHEMA = schemathesis.openapi.from_dict(document(ANSWERED))
SCHEMA.config.generation.update(with_security_parameters=False, allow_x00=False)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
DESCRIBED = [each for each in OPERATIONS if "default" not in each.definition.raw["responses"]]
BOUNDED = [each for each in DESCRIBED if each.body or each.query]
"""Those that not everything may be sent to: in a path nothing is wrong but for its length."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
]
KEY = {"X-API-Key": ADMIN}
SEEDED = settings(
    max_examples=N_EXAMPLES,
    derandomize=ASKED_FOR is None,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(filled()) as url:
        yield url


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_what_is_allowed_is_answered_as_described(operation: Any, url: str, session: requests.Session) -> None:
    statuses: set[int] = set()

    @SEEDED
    @given(case=operation.as_strategy(GenerationMode.POSITIVE), is_aimed=st.booleans())
    def ask(case: Case[Any], is_aimed: bool) -> None:
        if is_aimed:
            aimed(case)
        response = case.call(base_url=url, session=session, headers=KEY)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert operation not in DESCRIBED or min(statuses) < 300, "nothing got further than to a refusal"


@pytest.mark.parametrize("operation", BOUNDED, ids=lambda operation: operation.label)
def test_what_is_not_allowed_is_refused_as_described(operation: Any, url: str, session: requests.Session) -> None:
    @SEEDED
    @given(case=operation.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=url, session=session, headers=KEY)
        # Of a batch each bad one is refused by itself, and so is said in a 200.
        names_them = response.status_code == 200 and bool(response.json().get("rejected"))
        case.validate_response(response, checks=CHECKS if names_them else [*CHECKS, negative_data_rejection])

    ask()


@pytest.mark.parametrize("operation", DESCRIBED, ids=lambda operation: operation.label)
def test_who_shows_no_key_and_who_asks_otherwise_is_refused(
    operation: Any, url: str, session: requests.Session
) -> None:
    @settings(SEEDED, max_examples=1)
    @given(case=operation.as_strategy(GenerationMode.POSITIVE))
    def ask(case: Case[Any]) -> None:
        aimed(case)
        response = case.call(base_url=url, session=session, headers=KEY)
        case.validate_response(
            response, checks=[ignored_auth, unsupported_method], transport_kwargs={"base_url": url, "headers": KEY}
        )

    ask()
