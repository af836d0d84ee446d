"""The proxies of ``deploy/``, as they are but for names and ports: what they pass, and what stays inside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from background.ports import free_port
from tests.certificates import Authority
from tests.integration.site import Site
from tests.requirements import missing
from tests.running import until
from tests.servers import ROOT

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]

CATALOG = """
placements:
  hero: {content: [red], default: red}
  home.banner: {content: [sale], default: sale}
content:
  red: {body: {title: Red}}
  sale: {type: html, body: "<b>Sale</b>"}
sources: {site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}}
"""
EVENT = {"type": "track", "event": "Viewed", "anonymousId": "a1"}
KEY = {"Authorization": "Bearer pk_dev"}


def program(name: str) -> str:
    """Where it is; Debian keeps servers off the path of people."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    return found or missing(name, f"apt install {name}")


@dataclass
class Proxied:
    """A site behind a proxy."""

    site: Site
    http: httpx.Client
    https_port: int
    http_port: int
    context: ssl.SSLContext

    def raw(self, request: bytes) -> bytes:
        """The whole answer to what no client library would send."""
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=30) as plain,
            self.context.wrap_socket(plain, server_hostname="api.example.com") as connection,
        ):
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while piece := connection.recv(65_536):
                    answer += piece
            return answer


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A server, from its first connection to its end by its pid."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )

    def listens() -> bool:
        assert process.poll() is None, (folder / "said").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    try:
        until(listens, "the proxy listens")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the test looks for {old!r}"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, api_port: int, https: int, http: int, authority: Authority) -> list[str]:
    """The command; checked by nginx itself."""
    signed = authority.sign("nginx", "api.example.com")
    changes = {
        "127.0.0.1:8700": f"127.0.0.1:{api_port}",
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl": f"listen 127.0.0.1:{https} ssl",
        "/etc/nextbest/tls/fullchain.pem": str(signed.certificate),
        "/etc/nextbest/tls/privkey.pem": str(signed.key),
    }
    (folder / "nextbest.conf").write_text(replaced((ROOT / "deploy" / "nginx.conf").read_text(), changes))
    return nginx_command(folder, folder / "nextbest.conf")


def nginx_command(folder: Path, included: Path) -> list[str]:
    """The command of an nginx that includes a file; checked by nginx itself."""
    places = "".join(
        f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder / 'pid'}; error_log stderr; events {{}} "
        f"http {{ {places} types {{ text/html html; }} include {included}; }}"
    )
    command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    return command


def caddy(folder: Path, api_port: int, https: int, http: int, authority: Authority) -> list[str]:
    """The command; checked by Caddy itself, as it is and as it runs here."""
    written = ROOT / "deploy" / "Caddyfile"
    told = ["--adapter", "caddyfile", "--config"]
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    signed = authority.sign("caddy", "api.example.com")
    changes = {
        "127.0.0.1:8700": f"127.0.0.1:{api_port}",
        "\tadmin off\n": f"\tadmin off\n\tauto_https disable_certs\n\thttp_port {http}\n\thttps_port {https}\n",
        "api.example.com {": f"api.example.com {{\n\ttls {signed.certificate} {signed.key}\n\tbind 127.0.0.1\n",
    }
    ours = folder / "Caddyfile"
    ours.write_text(replaced(written.read_text(), changes))
    for path in (written, ours):
        checked = subprocess.run(
            [program("caddy"), "validate", *told, str(path)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr
    return [program("caddy"), "run", *told, str(ours)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG, NEXTBEST_TRUSTED_PROXIES="127.0.0.1") as site:
        yield site


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    make: Callable[..., list[str]] = request.param
    folder = tmp_path_factory.mktemp("proxy")
    authority = Authority.make(folder / "authority")
    https, http = free_port(), free_port()
    command = make(folder, int(site.up.url.rpartition(":")[2]), https, http, authority)
    context = ssl.create_default_context(cafile=str(authority.file))
    with (
        running(command, folder, https),
        httpx.Client(
            base_url=f"https://127.0.0.1:{https}",
            verify=context,
            headers={**KEY, "Host": "api.example.com"},
            timeout=30,
        ) as client,
    ):
        yield Proxied(site, client, https, http, context)


def test_a_decision_and_an_event_go_through(proxied: Proxied) -> None:
    body = {"visitor": {"anonymousId": "a1"}, "placements": ["hero"]}
    answer = post(proxied, "/v1/decide", body)
    assert answer.json()["decisions"][0]["contentId"] == "red"
    assert answer.headers["cache-control"] == "no-store"
    assert post(proxied, "/v1/events", {**EVENT, "anonymousId": "proxied"}).json()["accepted"] == 1
    until(lambda: proxied.site.up.event_count("proxied") >= 1, "it is folded")
    flag = post(proxied, "/ofrep/v1/evaluate/flags/hero", {"context": {"targetingKey": "a1"}})
    assert flag.json()["variant"] == "red"
    beacon = post(proxied, "/beacon/v1/batch", {"batch": [{**EVENT, "anonymousId": "beaconed"}]})
    assert beacon.json() == {"success": True}
    assert get(proxied, "/sourceConfig/").json()["source"]["writeKey"] == "pk_dev"
    assert "data-nextbest" in get(proxied, "/sdk/nextbest.js").text
    for path, body in OTHERS.items():
        assert post(proxied, path, body).status_code == 200, path


OTHERS: dict[str, Any] = {
    "/api/eval/pk_dev": {"attributes": {"id": "a1"}},
    "/flags/?v=2": {"distinct_id": "a1"},
    "/batch/": {"batch": [{"event": "Viewed", "distinct_id": "a1"}]},
    "/i/v0/e/": {"event": "Viewed", "distinct_id": "a1"},
    "/feedback": {"event": "user", "id": "1", "user": "a1", "fields": []},
}
"""What other protocols send."""


def post(proxied: Proxied, path: str, body: Any, **headers: str) -> httpx.Response:
    extensions = {"sni_hostname": "api.example.com"}
    return proxied.http.post(path, json=body, headers=headers, extensions=extensions)


def get(proxied: Proxied, path: str, **headers: str) -> httpx.Response:
    return proxied.http.get(path, headers=headers, extensions={"sni_hostname": "api.example.com"})


def test_errors_of_the_api_pass_as_they_are(proxied: Proxied) -> None:
    answer = get(proxied, "/v1/visitors/a%2Fb", Authorization="Bearer sk_dev")
    assert answer.status_code == 404
    assert "a/b" in answer.text, "the id is the one that was asked for"
    answer = post(proxied, "/v1/decide", {}, Authorization="Bearer nobody")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/readyz", "/healthz", "/", "/v1", "//metrics", "/v1/../metrics", "/v1/%2e%2e/metrics", "/METRICS",
     "/metrics/../v1/decide", "/v1/..%2fmetrics", "/v1/../v1/../readyz", "/v1//../../metrics",
     "/ofrep/v1/../../metrics", "/beacon/v1/../../metrics", "/sourceConfig/../metrics", "/personalizer/../metrics",
     "/placements/../metrics"],
)  # fmt: skip
def test_what_is_for_the_inside_stays_inside(proxied: Proxied, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"
    answer = proxied.raw(request.encode())
    assert int(answer.split()[1]) in (301, 308, 400, 401, 404, 405), answer
    assert b"nextbest_" not in answer.replace(b"/_nextbest_", b"")
    assert b'"status"' not in answer


def test_a_visitors_address_is_the_one_that_the_proxy_saw_whatever_it_claims(proxied: Proxied) -> None:
    """The proxy is called from this machine, behind which stands nobody's network: a claim must not make one."""
    visitor = f"claims-{proxied.https_port}"
    event = {**EVENT, "anonymousId": visitor}
    for headers in (
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"X-Real-IP": "203.0.113.7"},
    ):
        assert post(proxied, "/v1/events", event, **headers).status_code == 200

    def origins() -> list[bytes]:
        senders = [entry.sender for entry in proxied.site.logged(f"a:{visitor}")]
        return [sender.origin for sender in senders if sender is not None]

    assert origins() == [b"", b"", b""]
    # Whom the API trusts it believes: the claim above would have counted.
    proxied.site.collect(event, **{"X-Forwarded-For": "203.0.113.7"})
    assert origins()[3:] != [b""]
    assert len(origins()) == 4


def test_a_body_beyond_the_bound_is_refused_in_the_shape_of_every_error(proxied: Proxied) -> None:
    answer = post(proxied, "/v1/events", {"a": "x" * (4 * 1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    fits = {"events": [{**EVENT, "properties": {"a": "x" * 30_000}} for _ in range(130)]}
    assert 3_900_000 < len(json.dumps(fits)) < 4 * 1024 * 1024
    assert post(proxied, "/v1/events", fits).json()["accepted"] == 130


def test_plain_http_leads_to_https_and_old_tls_is_refused(proxied: Proxied) -> None:
    url = f"http://127.0.0.1:{proxied.http_port}/v1/decide?a=b"
    answer = httpx.get(url, headers={"Host": "api.example.com"})
    assert answer.status_code in (301, 308)
    assert answer.headers["location"].startswith("https://api.example.com")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", proxied.https_port), timeout=10) as plain,
        old.wrap_socket(plain, server_hostname="api.example.com"),
    ):
        pass


def test_http_2_is_spoken(proxied: Proxied) -> None:
    context = proxied.context
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", proxied.https_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="api.example.com") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"
    context.set_alpn_protocols(["http/1.1"])


def test_an_api_that_is_away_is_said_in_the_shape_of_every_error(
    proxied: Proxied, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make: Callable[..., list[str]] = request.node.callspec.params["proxied"]
    authority = Authority.make(tmp_path / "authority")
    https, http = free_port(), free_port()
    command = make(tmp_path, free_port(), https, http, authority)
    context = ssl.create_default_context(cafile=str(authority.file))
    with running(command, tmp_path, https), httpx.Client(verify=context) as client:
        answer = client.get(
            f"https://127.0.0.1:{https}/v1/decide",
            headers={"Host": "api.example.com"},
            extensions={"sni_hostname": "api.example.com"},
        )
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == "*"


PAGE = """<html><body>
<!--# block name="home.banner" --><i>Welcome</i><!--# endblock -->
[<!--# include virtual="/_nextbest/home.banner" stub="home.banner" -->]
</body></html>
"""


@contextmanager
def pages_with_includes(folder: Path, api_port: int) -> Iterator[httpx.Client]:
    """nginx with ``deploy/nginx-includes.conf``, and one page."""
    port = free_port()
    (folder / "index.html").write_text(PAGE)
    folder.chmod(0o755)
    changes = {
        "127.0.0.1:8700": f"127.0.0.1:{api_port}",
        "listen 80;": f"listen 127.0.0.1:{port};",
        "root /srv/shop;": f"root {folder};",
    }
    written = (ROOT / "deploy" / "nginx-includes.conf").read_text()
    (folder / "includes.conf").write_text(replaced(written, changes))
    with (
        running(nginx_command(folder, folder / "includes.conf"), folder, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield client


def test_a_page_holds_the_content_where_it_is_included(site: Site, tmp_path: Path) -> None:
    with pages_with_includes(tmp_path, int(site.up.url.rpartition(":")[2])) as pages:
        first = pages.get("/index.html")
        assert "[<b>Sale</b>]" in first.text
        assert "Welcome" not in first.text
        visitor = pages.cookies["nextbest"]

        def exposures() -> dict[str, int]:
            state = site.stored(f"a:{visitor}")
            return {name: each.total for name, each in state.exposures.items()}

        until(lambda: exposures().get("sale") == 1, "whom the page gave the cookie was shown it")
        assert "[<b>Sale</b>]" in pages.get("/index.html").text
        assert pages.cookies["nextbest"] == visitor
        until(lambda: exposures().get("sale") == 2, "and so was the same visitor once more")
        # What a cookie holds cannot become a parameter: here it would make the decision another visitor's.
        forged = httpx.get(f"{pages.base_url}/index.html", headers={"Cookie": "nextbest=x&userId=u1"})
        assert "[<b>Sale</b>]" in forged.text
        assert "x&userId" not in forged.headers["set-cookie"]
        assert pages.get("/_nextbest/home.banner").text == "", "it is for includes alone"


def test_a_page_holds_the_default_where_there_is_no_api(tmp_path: Path) -> None:
    with pages_with_includes(tmp_path, free_port()) as pages:
        answer = pages.get("/index.html")
    assert answer.status_code == 200
    assert "[<i>Welcome</i>]" in answer.text


def test_a_page_holds_the_default_where_the_api_refuses(site: Site, tmp_path: Path) -> None:
    with pages_with_includes(tmp_path, int(site.up.url.rpartition(":")[2])) as pages:
        page = (tmp_path / "index.html").read_text()
        (tmp_path / "index.html").write_text(page.replace("_nextbest/home.banner", "_nextbest/hero"))
        answer = pages.get("/index.html")  # a placement of JSON
    assert "[<i>Welcome</i>]" in answer.text
