"""The bounds in the proxies' files are those of the API: one that is changed is changed in all of them."""

from __future__ import annotations

import re

from api.http.door import Bounds
from config.settings import Settings
from tests.servers import ROOT

NGINX = re.sub(r"#.*", "", (ROOT / "deploy" / "nginx.conf").read_text())
CADDY = re.sub(r"#.*", "", (ROOT / "deploy" / "Caddyfile").read_text())
BOUNDS, SETTINGS = Bounds(), Settings()
KIB, MIB = 1024, 1024 * 1024


def nginx(directive: str) -> list[str]:
    (found,) = re.findall(rf"^\s*{directive}\s+([^;]+);", NGINX, re.MULTILINE)
    return str(found).split()


def caddy(directive: str) -> str:
    (found,) = re.findall(rf"^\s*{directive}\s+(\S+)$", CADDY, re.MULTILINE)
    return str(found)


def test_nginx_bounds_what_the_api_bounds() -> None:
    assert nginx("client_max_body_size") == [f"{SETTINGS.max_body_bytes // MIB}m"]
    assert nginx("limit_conn") == ["nextbest_addresses", str(SETTINGS.max_connections_of_address)]
    assert nginx("large_client_header_buffers")[1] == f"{BOUNDS.head_bytes // KIB}k"
    assert nginx("client_header_timeout") == [f"{BOUNDS.head_s}s"]
    assert nginx("client_body_timeout") == [f"{BOUNDS.body_s}s"]
    assert nginx("send_timeout") == [f"{BOUNDS.unread_s}s"]


def test_caddy_bounds_what_the_api_bounds() -> None:
    assert caddy("max_header_size") == f"{BOUNDS.head_bytes // KIB}KiB"
    assert caddy("read_header") == f"{BOUNDS.head_s}s"
    assert caddy("read_body") == f"{BOUNDS.body_s}s"
    assert caddy("write") == f"{BOUNDS.unread_s}s"
    assert caddy("idle") == f"{BOUNDS.idle_s}s"


def test_a_connection_that_rests_is_let_go_of_by_the_proxy_first() -> None:
    (upstream, clients) = re.findall(r"keepalive_timeout\s+(\d+)s;", NGINX)
    assert int(upstream) < BOUNDS.idle_s == int(clients)
    assert int(caddy("keepalive").removesuffix("s")) < BOUNDS.idle_s
