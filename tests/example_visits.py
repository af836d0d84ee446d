"""Visitors of the example pages, made up: each sends what the script would, and clicks what they care for, alone.

None of it is left to chance: of the few who come, all of one kind would else now and then pass by what is theirs,
and the site would learn, rightly, that it is not.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tests.clients.browser import AGENT
from tests.running import until

PHONE = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Mobile Safari/537.36"
)
SECTIONS = ("politics", "sport", "culture", "science")
GROUNDS = {"trail": AGENT, "road": PHONE}
"""What shoppers of the example run on, and what they open the page with."""

AT_ONCE = 10
"""Visitors between whose decisions and clicks no others come: nobody clicks after the window of what they saw."""


def batched(visitors: Iterable[str], size: int) -> Iterator[list[str]]:
    """Groups of that size, the last one smaller (``itertools.batched`` came with Python 3.12)."""
    left = iter(visitors)
    while some := list(islice(left, size)):
        yield some


@dataclass
class Visits:
    """Visitors of one site, who come in groups of one name.

    Attributes
    ----------
    url
        The API's.
    """

    url: str

    def read_the_news(self, name: str, n: int) -> list[bool]:
        """``n`` readers open a section of the newspaper, and then its front page.

        Returns
        -------
        Of each reader, whether the front page led with the section they had read.
        """
        readers = {f"{name}-{number}": SECTIONS[number % len(SECTIONS)] for number in range(n)}
        self._events({"type": "page", "anonymousId": reader, "properties": {"path": f"/{section}/"}}
                     for reader, section in readers.items())  # fmt: skip
        for reader in readers:
            until(lambda reader=reader: self.knows(reader), f"what {reader} read is folded")  # type: ignore[misc]
        right: list[bool] = []
        for some in batched(readers, AT_ONCE):
            shown = {
                reader: self._open(reader, AGENT, ["front.lead", {"placement": "front.more", "slots": 2}])
                for reader in some
            }
            self._show(shown)
            self._events(
                _click(reader, decision)
                for reader, of in shown.items()
                for decision in of
                if _section(decision) == readers[reader]
            )
            right += [_section(shown[reader][0]) == readers[reader] for reader in some]
        return right

    def shop(self, name: str, n: int) -> list[bool]:
        """``n`` shoppers open the shop, by phone who runs on roads, and buy if they are shown what they run on.

        Returns
        -------
        Of each shopper, whether the shop greeted them with that.
        """
        grounds = tuple(GROUNDS)
        shoppers = {f"{name}-{number}": grounds[number % len(grounds)] for number in range(n)}
        right: dict[str, bool] = {}
        for some in batched(shoppers, AT_ONCE):
            shown = {
                shopper: self._open(shopper, GROUNDS[shoppers[shopper]], ["home.hero", "home.strip"])
                for shopper in some
            }
            self._show(shown)
            greeted = {who: of[0]["contentId"] == f"hero.{shoppers[who]}" for who, of in shown.items()}
            self._events(
                {
                    "event": "Product Added",
                    "anonymousId": who,
                    "properties": {"value": 129, "currency": "EUR"},
                }
                for who, is_right in greeted.items()
                if is_right
            )
            right |= greeted
        return list(right.values())

    def wait_learned(self, placement: str, n_outcomes: int) -> None:
        """Wait until whoever decides has learned so many outcomes."""
        until(lambda: self._n_learned(placement) >= n_outcomes, f"{placement} has learned {n_outcomes} outcomes")

    def _open(self, visitor: str, agent: str, placements: list[Any]) -> list[dict[str, Any]]:
        body = {
            "visitor": {"anonymousId": visitor},
            "placements": placements,
            "context": {"userAgent": agent, "page": {"path": "/"}},
            "activate": False,
            "partial": True,
        }
        return list(self._call("/v1/decide", body)["decisions"])

    def _show(self, decided: Mapping[str, list[dict[str, Any]]]) -> None:
        self._call("/v1/exposures", {"decisionIds": [each["decisionId"] for of in decided.values() for each in of]})

    def _events(self, events: Any) -> None:
        made = [{"type": "track", **event} for event in events]
        if made:
            answer = self._call("/v1/events", {"events": made})
            assert answer["accepted"] == len(made), answer

    def knows(self, visitor: str) -> bool:
        """Whether something that the visitor did is folded."""
        try:
            return bool(self._call(f"/v1/visitors/{visitor}", key="sk_dev")["eventCount"])
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):  # not folded yet; a busy machine
                return False
            raise

    def _n_learned(self, placement: str) -> int:
        return int(self._call(f"/v1/placements/{placement}", key="sk_dev")["learned"])

    def _call(self, path: str, body: Any = None, key: str = "pk_dev") -> Any:
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            # Of a person's browser: programs that read pages teach nothing.
            headers={"Authorization": f"Bearer {key}", "User-Agent": AGENT, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


def _section(decision: dict[str, Any]) -> str:
    """The section that a story of the newspaper leads to: it stands in its link."""
    return next((each for each in SECTIONS if f'href="{each}/"' in decision["content"]["html"]), "")


def _click(visitor: str, decision: dict[str, Any]) -> dict[str, Any]:
    said = {name: decision[name] for name in ("decisionId", "contentId", "placement")}
    return {"event": "Content Clicked", "anonymousId": visitor, "properties": said}
