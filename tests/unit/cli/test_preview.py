"""``nextbest preview`` asks the API that runs, and says in words what it answers."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.preview import preview
from cli.running_file import RunningInstallation
from personalization.explaining.words import MOST_REFUSALS

EXPLANATION = {
    "words": "The visitor would be shown tents.\x1b[2J",
    "arms": [
        {"arm": "bags", "probability": 0.375},
        {"arm": "tents", "probability": 0.625},
        {"arm": "boots", "probability": 0.0},
    ],
    "refused": [{"arm": f"a{n}", "words": "it has ended"} for n in range(MOST_REFUSALS + 1)],
    "placementRule": None,
}
ANSWER = {
    "placements": [
        {
            "placement": "hero",
            "slots": [{"slot": 0, "contentId": "tents", "probability": 0.625, "explanation": EXPLANATION}],
        },
        {"placement": "list", "slots": []},
    ]
}
MISTAKE = {"file": "a.yaml", "line": 3, "path": "placements.x", "message": "is wrong"}


@dataclass
class Api:
    """An API that was told what to answer."""

    status: int = 200
    answer: dict[str, Any] = field(default_factory=lambda: ANSWER)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            api.asked.append((self.path, self.headers["x-api-key"], body))
            self.send_response(api.status)
            self.end_headers()
            self.wfile.write(json.dumps(api.answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()


def ran(api: Api, *arguments: str) -> Result:
    return CliRunner().invoke(preview, ["--api", api.url, "--key", "sk", *arguments])


def test_what_would_be_shown_is_said_with_all_that_could_be_and_could_not(api: Api) -> None:
    assert ran(api, "--visitor", "u1", "--placement", "hero").output.splitlines() == [
        "hero",
        "  slot 0: tents (62 %)",
        "    or bags (38 %)",
        "    The visitor would be shown tents.\N{REPLACEMENT CHARACTER}[2J",
        "    not a5: it has ended",
        "list",
        "  nothing is left: what it could show stands in a placement before it",
    ]
    assert api.asked == [("/v1/preview", "sk", {"visitor": {"userId": "u1"}, "placements": ["hero"]})]


def test_facts_and_files_go_along(api: Api, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "a.yaml").write_text("placements: {}\n")
    (tmp_path / "facts.json").write_text('{"device": "mobile"}')
    (tmp_path / "key").write_text("sk_file\n")
    arguments = [str(folder), "--facts", str(tmp_path / "facts.json"), "--key-file", str(tmp_path / "key")]
    assert json.loads(ran(api, *arguments, "--visitor", "a1", "--kind", "anonymous", "--json").output) == ANSWER
    assert api.asked == [
        (
            "/v1/preview",
            "sk_file",
            {
                "visitor": {"anonymousId": "a1"},
                "facts": {"device": "mobile"},
                "catalog": {"files": {"more/a.yaml": "placements: {}\n"}},
            },
        )
    ]


def test_mistakes_of_a_draft_are_printed_as_check_prints_them(api: Api) -> None:
    api.status, api.answer = 400, {"message": "m", "mistakes": [MISTAKE]}
    result = ran(api)
    assert (result.exit_code, result.output) == (1, "a.yaml:3: placements.x: is wrong\n")


def test_a_refusal_is_said_in_the_apis_own_words(api: Api) -> None:
    api.status, api.answer = 403, {"field": "authorization", "message": "this needs a server key"}
    result = ran(api)
    assert (result.exit_code, result.output) == (1, "nextbest: authorization: this needs a server key\n")


def test_without_an_address_the_installation_on_the_data_folder_is_asked(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunningInstallation(api.url.rstrip("/"), "redis://nowhere", "", "nextbest").write(tmp_path)
    monkeypatch.setenv("NEXTBEST_DATA_DIR", str(tmp_path))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as who runs there does
        assert CliRunner().invoke(preview, ["--key", "sk"]).exit_code == 0
    assert [path for path, _, _ in api.asked] == ["/v1/preview"]


def test_without_a_key_nobody_is_asked(api: Api) -> None:
    result = CliRunner().invoke(preview, ["--api", api.url])
    assert result.exit_code == 2
    assert "a server key is needed" in result.output
    assert api.asked == []
