"""Whose outcomes count, on real processes: an office behind one address starves a model, and that is said."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.requirements import require
from tests.running import Up, start, stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  office: {content: [red], default: red, window: 300ms}
  street: {content: [red], default: red, window: 300ms}
content:
  red: {type: html, body: <p>red</p>}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
N_VISITORS = 120


@pytest.fixture
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    require("redis")
    catalog = tmp_path_factory.mktemp("catalog")
    (catalog / "placements.yaml").write_text(CATALOG)
    settings = {
        "NEXTBEST_REDIS_TIMEOUT_MS": "1000",
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_TRUSTED_PROXIES": "127.0.0.1",
    }
    running = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog), **settings)
    yield running
    stop(running)


def decide(up: Up, placement: str, visitor: str, address: str) -> None:
    body = {"visitor": {"anonymousId": visitor}, "placements": [placement]}
    request = urllib.request.Request(
        f"{up.url}/v1/decide",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer pk_dev", "Content-Type": "application/json", "X-Forwarded-For": address},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def of_learner(up: Up, path: str) -> str:
    """What the learner answers on its own port, which ``up`` told."""
    found = re.search(r"learner (\S+)/metrics", "".join(up.said))
    assert found is not None, up.said
    with urllib.request.urlopen(f"{found[1]}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def counted(up: Up, placement: str, result: str) -> int:
    name = f'nextbest_outcomes_total{{placement="{placement}",result="{result}"}}'
    return next(
        (int(float(line.split()[-1])) for line in of_learner(up, "/metrics").splitlines() if name in line), 0
    )


def test_an_office_behind_one_address_starves_its_model_and_readyz_says_what_helps(up: Up) -> None:
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(decide, up, "office", f"office-{n}", "198.51.100.7") for n in range(N_VISITORS)]
        asked += [callers.submit(decide, up, "street", f"street-{n}", f"203.0.{n}.9") for n in range(N_VISITORS)]
        for each in asked:
            each.result()
    until(lambda: counted(up, "street", "learned") == N_VISITORS, "the street's outcomes are learned")
    until(lambda: counted(up, "office", "learned") + counted(up, "office", "bounded") == N_VISITORS, "all came")
    assert counted(up, "office", "learned") == 5

    def warnings() -> list[Any]:
        found: list[Any] = json.loads(of_learner(up, "/readyz"))["warnings"]
        return found

    # The learner looks once in ten seconds, and may look while outcomes still come: its next look has them all.
    top = 'nextbest_arm_top_visitors_share{arm="red",of="outcomes",placement="street"}'
    bounded = 'bounded_share{placement="office"} 0.958'
    until(lambda: all(each in of_learner(up, "/metrics") for each in (top, bounded)), "it looked when all had come")
    (warning,) = warnings()
    assert warning.startswith("96% of the outcomes of office of today and the day before were not learned")
    assert "NEXTBEST_TRUSTED_PROXIES" in warning
