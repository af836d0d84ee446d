"""Who speaks which dialect: how each asks for a choice, says it was shown, and says what it was worth."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import httpx

from tests.unit.api.site import WRITE, Site


class Choice(NamedTuple):
    """What was chosen, as a caller of any dialect learns it."""

    decision_id: str
    content_id: str
    probability: float
    tier: str


class Bad(NamedTuple):
    """A request that must be refused: its body, the status, and the word and the field that say why."""

    body: bytes
    status: int
    code: str
    field: str


class Speaker(Protocol):
    """A caller of one dialect. Every choice is deferred: it counts as shown once ``show`` says so."""

    name: str
    endpoint: str
    """What metrics call it."""
    path: str
    """Where ``home.hero`` is asked for."""
    bad: tuple[Bad, ...]

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Path and body of the request for a choice."""
        ...

    def choice(self, answer: Any) -> Choice:
        """What the answer says."""
        ...

    def refusal(self, answer: Any) -> tuple[str, str]:
        """The word and the text that an error has."""
        ...

    async def show(self, site: Site, choice: Choice, visitor: str) -> httpx.Response:
        """Say that the choice was shown."""
        ...


async def ask(
    speaker: Speaker, site: Site, visitor: str = "a1", placement: str = "home.hero", **context: Any
) -> Choice:
    """Ask for a choice, which must be given."""
    path, body = speaker.question(visitor, placement, context)
    response = await site.client.post(path, json=body, headers=WRITE)
    assert response.status_code == 200, response.text
    return speaker.choice(response.json())


async def reward(site: Site, choice: Choice, value: float = 1.0) -> None:
    """Say what it was worth, and that nothing more will come: by decision id, whichever dialect gave it."""
    path = f"/v1/decisions/{choice.decision_id}/reward"
    response = await site.client.post(path, json={"value": value, "final": True}, headers=WRITE)
    assert response.status_code == 204, response.text


class OwnSpeaker:
    """Speaks our own dialect."""

    name = "own"
    endpoint = "decide"
    path = "/v1/decide"
    bad: tuple[Bad, ...] = (
        Bad(b"", 400, "bad_json", "body"),
        Bad(b"[]", 400, "invalid_field", "body"),
        Bad(b'{"visitor":{},"placements":["home.hero"]}', 400, "missing_visitor", "visitor"),
        Bad(b'{"visitor":{"anonymousId":7.5},"placements":["home.hero"]}', 400, "bad_id", "visitor.anonymousId"),
        Bad(
            b'{"visitor":{"anonymousId":"a1"},"placements":["home.hero"],"context":{"n":NaN}}',
            400,
            "bad_number",
            "context.n",
        ),
        Bad(
            b'{"visitor":{"anonymousId":"a1"},"placements":["nowhere"]}', 400, "unknown_placement", "placements[0]"
        ),
    )

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {"visitor": {"anonymousId": visitor}, "placements": [{"placement": placement, "slots": 1}]}
        return self.path, {**body, "context": context, "activate": False}

    def choice(self, answer: Any) -> Choice:
        (decision,) = answer["decisions"]
        return Choice(decision["decisionId"], decision["contentId"], decision["probability"], decision["tier"])

    def refusal(self, answer: Any) -> tuple[str, str]:
        return answer["code"], f"{answer['field']}: {answer['message']}"

    async def show(self, site: Site, choice: Choice, visitor: str) -> httpx.Response:
        return await site.client.post(f"/v1/decisions/{choice.decision_id}/activate", headers=WRITE)


class OfrepSpeaker:
    """Speaks OFREP, which has no word for an exposure: the page's own tracking says it, by an impression."""

    name = "ofrep"
    endpoint = "ofrep"
    path = "/ofrep/v1/evaluate/flags/home.hero"
    bad: tuple[Bad, ...] = (
        Bad(b"", 400, "PARSE_ERROR", "body"),
        Bad(b"[]", 400, "PARSE_ERROR", "body"),
        Bad(b"{}", 400, "TARGETING_KEY_MISSING", "context.targetingKey"),
        Bad(b'{"context":{"targetingKey":""}}', 400, "TARGETING_KEY_MISSING", "context.targetingKey"),
        Bad(b'{"context":[]}', 400, "INVALID_CONTEXT", "context"),
        Bad(b'{"context":{"targetingKey":7.5}}', 400, "INVALID_CONTEXT", "context.targetingKey"),
        Bad(b'{"context":{"targetingKey":["a1"]}}', 400, "INVALID_CONTEXT", "context.targetingKey"),
        Bad(b'{"context":{"targetingKey":"a1","n":NaN}}', 400, "INVALID_CONTEXT", "context.n"),
        Bad(b'{"context":{"targetingKey":"a1","n":"\\u0000"}}', 400, "INVALID_CONTEXT", "context.n"),
    )

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return f"/ofrep/v1/evaluate/flags/{placement}", {"context": {"targetingKey": visitor, **context}}

    def choice(self, answer: Any) -> Choice:
        told = answer["metadata"]
        return Choice(told["decisionId"], answer["variant"], told["propensity"], told["tier"])

    def refusal(self, answer: Any) -> tuple[str, str]:
        return answer["errorCode"], answer["errorDetails"]

    async def show(self, site: Site, choice: Choice, visitor: str) -> httpx.Response:
        impression = {"type": "track", "event": "Impression", "anonymousId": visitor}
        return await site.collect({**impression, "properties": {"decisionId": choice.decision_id}})


class GrowthbookSpeaker:
    """Speaks GrowthBook; its tracking callback says what was shown, by the decision that its result names."""

    name = "growthbook"
    endpoint = "growthbook_eval"
    path = "/api/eval/any"
    bad: tuple[Bad, ...] = (
        Bad(b"", 400, "bad_json", "body"),
        Bad(b"[]", 400, "invalid_field", "body"),
        Bad(b"{}", 400, "missing_visitor", "attributes.id"),
        Bad(b'{"attributes":[]}', 400, "invalid_field", "attributes"),
        Bad(b'{"attributes":{"id":7.5}}', 400, "bad_id", "attributes.id"),
        Bad(b'{"attributes":{"id":"a1","n":NaN}}', 400, "bad_number", "attributes.n"),
        Bad(
            b'{"attributes":{"id":"a1"},"forcedVariations":{"home.hero":1}}',
            400,
            "forced_variation",
            "forcedVariations.home.hero",
        ),
    )

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self.path, {"attributes": {"id": visitor, **context}}

    def choice(self, answer: Any) -> Choice:
        ((track,),) = [rule["tracks"] for rule in answer["features"]["home.hero"]["rules"]]
        result, told = track["result"], track["experiment"]["decision"]
        return Choice(result["hashValue"], result["key"], told["propensity"], told["tier"])

    def refusal(self, answer: Any) -> tuple[str, str]:
        return answer["code"], answer["error"]

    async def show(self, site: Site, choice: Choice, visitor: str) -> httpx.Response:
        return await site.client.post(f"/v1/decisions/{choice.decision_id}/activate", headers=WRITE)


class PosthogSpeaker:
    """Speaks PostHog, whose SDKs say by an event that a flag was called for."""

    name = "posthog"
    endpoint = "posthog_flags"
    path = "/flags/"
    bad: tuple[Bad, ...] = (
        Bad(b"", 400, "bad_json", "body"),
        Bad(b"[]", 400, "invalid_field", "body"),
        Bad(b"{}", 400, "missing_visitor", "distinct_id"),
        Bad(b'{"distinct_id":7.5}', 400, "bad_id", "distinct_id"),
        Bad(b'{"distinct_id":"a1","person_properties":[]}', 400, "invalid_field", "person_properties"),
        Bad(b'{"distinct_id":"a1","person_properties":{"n":NaN}}', 400, "bad_number", "person_properties.n"),
    )

    def question(self, visitor: str, placement: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {"distinct_id": visitor, "person_properties": context, "flag_keys_to_evaluate": [placement]}
        return self.path, body

    def choice(self, answer: Any) -> Choice:
        (flag,) = answer["flags"].values()
        told = flag["metadata"]
        return Choice(told["decisionId"], flag["variant"], told["propensity"], flag["reason"]["code"])

    def refusal(self, answer: Any) -> tuple[str, str]:
        return answer["code"], answer["detail"]

    async def show(self, site: Site, choice: Choice, visitor: str) -> httpx.Response:
        properties = {"$feature_flag": "home.hero", "$feature_flag_reason": f"decision {choice.decision_id}"}
        called = {"event": "$feature_flag_called", "distinct_id": visitor, "properties": properties}
        return await site.client.post("/capture/", json=called, headers=WRITE)


SPEAKERS: tuple[Speaker, ...] = (OwnSpeaker(), OfrepSpeaker(), GrowthbookSpeaker(), PosthogSpeaker())
