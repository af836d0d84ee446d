"""What the API answers to the outside passes both proxies' files, and what is for the inside neither."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from api.app import DIALECTS
from api.health import HEALTH, INNER
from tests.unit.deploy.test_proxy_bounds import CADDY, NGINX

INSIDE = {route.path for dialect in (HEALTH, INNER) for route in dialect.routes} | {"/openapi.json", "/docs"}
OUTSIDE = sorted({route.path for dialect in DIALECTS for route in dialect.routes} - INSIDE)
LOCATIONS = re.findall(r"^\s*location\s+(?:(=|~|\^~)\s+)?(\S+)\s*\{([^}]*)\}", NGINX, re.MULTILINE)
((_, PATTERNS),) = re.findall(r"^\s*@(outside)\s+path\s+(.+)$", CADDY, re.MULTILINE)


def passes_nginx(path: str) -> bool:
    """An equal location goes before patterns, which go before the longest beginning."""
    equal = [block for kind, of, block in LOCATIONS if kind == "=" and of == path]
    patterns = [block for kind, of, block in LOCATIONS if kind == "~" and re.search(of, path)]
    beginnings = [(len(of), block) for kind, of, block in LOCATIONS if kind == "" and path.startswith(of)]
    return "proxy_pass" in [*equal, *patterns, max(beginnings)[1]][0]


def passes_caddy(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in PATTERNS.split())


@pytest.mark.parametrize("path", OUTSIDE)
def test_every_path_of_every_protocol_passes(path: str) -> None:
    named = re.sub(r"\{[^}]*\}", "x", path)
    assert passes_nginx(named)
    assert passes_caddy(named)


@pytest.mark.parametrize("path", sorted(INSIDE))
def test_what_is_for_the_inside_does_not(path: str) -> None:
    assert not passes_nginx(path)
    assert not passes_caddy(path)
