"""Rule *Who is speaking*: a write key speaks for a user only with proof, where its source verifies users."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from msgspec import structs

from api.access.proof import identity_secret, user_hash
from api.services.proven_pairs import FOLDED_WITHIN_MS, PROVEN_FOR_MS
from personalization.catalog.catalog import Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.event import Alias, DecisionMade, Identify, Link, Track
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type
from tests.unit.api.site import NOW, SECRETS, SERVER, Site, shop

IDENTITY = identity_secret(SECRETS, "web")
HASH = user_hash(IDENTITY, "u1")
BOTH = {"anonymousId": "a1", "userId": "u1"}
MINUTE_S = 60


def token(secret: str = IDENTITY, algorithm: str = "HS256", **claims: Any) -> str:
    told = {"sub": "u1", "exp": NOW // 1000 + MINUTE_S, **claims}
    return jwt.encode({name: value for name, value in told.items() if value is not None}, secret, algorithm)


@pytest.fixture
def verifying(site: Site) -> Site:
    """A shop whose pages have to prove who their users are; of user u1 something is known."""
    sources = {
        "web": Source(
            write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted", verify_users=True
        ),
        "trusting": Source(write_keys=("pk_trusting",), consent_default="granted"),
    }
    site.compiled = compile_catalog(structs.replace(shop(), sources=sources), 13)
    site.visitors.states["u:u1"] = VisitorState(now_ms=NOW - 5, revision=41, traits={"first_name": "Jane"})
    return site


def keys_read(site: Site) -> set[str]:
    return {key for asked in site.visitors.asked for key in asked}


def warned(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(warning["field"], warning["code"]) for warning in body["warnings"]]


async def test_a_user_named_without_proof_leaves_the_anonymous_visitor(verifying: Site) -> None:
    response = await verifying.decide(visitor=BOTH)
    assert response.status_code == 200
    assert warned(response.json()) == [("visitor.userId", "unverified_user")]
    assert keys_read(verifying) == {"a:a1"}, "nothing under the user's key is read"
    assert [(key, type(entry.event)) for key, entry in verifying.spool.entries()] == [("a:a1", DecisionMade)]


async def test_a_user_alone_without_proof_is_refused(verifying: Site) -> None:
    response = await verifying.decide(visitor={"userId": "u1"})
    assert response.status_code == 400
    assert (response.json()["code"], response.json()["field"]) == ("unverified_user", "visitor.userId")
    assert keys_read(verifying) == set()
    assert verifying.spool.records == []


@pytest.mark.parametrize("user_id", ["u1", "nobody-knows"])
async def test_nothing_tells_whether_a_user_exists(verifying: Site, user_id: str) -> None:
    body = {"visitor": {"anonymousId": "a1", "userId": user_id}, "placements": []}
    answer = (await verifying.client.post("/v1/decide", json=body, headers={"X-API-Key": "pk_dev"})).json()
    assert (answer["stateRevision"], answer["stateAgeMs"]) == (0, None)


PROOFS: dict[str, dict[str, Any]] = {
    "hash": {"visitor": {**BOTH, "userHash": HASH}},
    "hash, in capitals": {"visitor": {**BOTH, "userHash": HASH.upper()}},
    "token": {"visitor": {**BOTH, "userToken": token()}},
    "in the context": {"visitor": BOTH, "context": {"userHash": HASH}},
    "token in the context": {"visitor": BOTH, "context": {"userToken": token()}},
    "header": {"visitor": BOTH, "headers": {"X-API-Key": "pk_dev", "X-User-Hash": HASH}},
    "token in a header": {"visitor": BOTH, "headers": {"X-API-Key": "pk_dev", "X-User-Token": token()}},
    "of an event": {
        "visitor": {"anonymousId": "a1"},
        "events": [{"type": "track", "event": "Viewed", **BOTH, "userHash": HASH}],
    },
    "token in the context of an event": {
        "visitor": BOTH,
        "events": [{"type": "track", "event": "Viewed", "context": {"userToken": token()}}],
    },
    "in the context of an event": {
        "visitor": BOTH,
        "events": [{"type": "track", "event": "Viewed", "context": {"userHash": HASH}}],
    },
}


@pytest.mark.parametrize("asked", PROOFS.values(), ids=PROOFS)
async def test_proof_lets_a_page_speak_for_its_user(verifying: Site, asked: dict[str, Any]) -> None:
    response = await verifying.decide(**asked)
    assert response.status_code == 200
    assert response.json()["warnings"] == []
    assert keys_read(verifying) == {"u:u1", "a:a1"}
    made = [key for key, entry in verifying.spool.entries() if isinstance(entry.event, DecisionMade)]
    assert made == ["u:u1"]
    stored = b"".join(record.value for record in verifying.spool.records)
    assert HASH.encode() not in stored, "a proof is nowhere stored"
    assert token().encode() not in stored


async def test_proof_may_come_in_a_query(verifying: Site) -> None:
    asked = {"visitor": "a1", "userId": "u1", "placement": "home.hero", "key": "pk_dev", "userHash": HASH}
    response = await verifying.client.get("/v1/decide", params=asked)
    assert response.json()["warnings"] == []
    assert keys_read(verifying) == {"u:u1", "a:a1"}


WRONG: dict[str, dict[str, str]] = {
    "another user's hash": {"userHash": user_hash(IDENTITY, "u2")},
    "another source's secret": {"userHash": user_hash(identity_secret(SECRETS, "trusting"), "u1")},
    "no hash": {"userHash": "ä" * 64},
    "another user's token": {"userToken": token(sub="u2")},
    "expired": {"userToken": token(exp=NOW // 1000 - MINUTE_S)},
    "never expires": {"userToken": token(exp=None)},
    "nobody's": {"userToken": token(sub=None)},
    "expires at no time": {"userToken": token(exp="tomorrow")},
    "signed by somebody": {"userToken": token("s" * 64)},
    "signed in another way": {"userToken": token(algorithm="HS512")},
    "not signed": {"userToken": jwt.encode({"sub": "u1", "exp": NOW // 1000 + MINUTE_S}, "", "none")},
    "no token": {"userToken": "a.b.c"},
    "endless": {"userToken": "e" * 100_000},
    "right hash, wrong token": {"userHash": HASH, "userToken": token(sub="u2")},
}


@pytest.mark.parametrize("proof", WRONG.values(), ids=WRONG)
async def test_a_wrong_proof_is_none(verifying: Site, proof: dict[str, str]) -> None:
    response = await verifying.decide(visitor={**BOTH, **proof})
    assert warned(response.json()) == [("visitor.userId", "unverified_user")]
    assert keys_read(verifying) == {"a:a1"}


async def test_a_server_key_needs_no_proof(verifying: Site) -> None:
    response = await verifying.decide(visitor={"userId": "u1"}, headers=SERVER)
    assert response.json()["stateRevision"] == 41


async def test_where_nobody_asks_for_proof_a_wrong_one_is_told_of(verifying: Site) -> None:
    """Whoever builds it in sees that it is wrong before it is asked for."""
    response = await verifying.decide(
        visitor={**BOTH, "userHash": HASH}, headers={"Authorization": "Bearer pk_trusting"}
    )
    assert warned(response.json()) == [("visitor.userId", "unverified_user")]
    assert response.json()["stateRevision"] == 41, "it counts"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "identify", "traits": {"plan": "gold"}},
        {"type": "track", "event": "Consent Updated", "properties": {"personalization": True}},
        {"type": "track", "event": "Consent Updated", "properties": {"personalization": False}},
        {"type": "alias", "previousId": "mine"},
        {"type": "group", "groupId": "g"},
    ],
)
async def test_no_event_reaches_a_user_without_proof(verifying: Site, event: dict[str, Any]) -> None:
    response = await verifying.collect({**event, **BOTH})
    assert response.json()["accepted"] == 1
    assert warned(response.json()) == [("events[0].userId", "unverified_user")]
    assert not [key for key, _ in verifying.entries() if key.startswith("u:")]
    assert not [entry for _, entry in verifying.entries() if "u1" in repr(entry.event)], "nor is it linked to one"
    assert keys_read(verifying) == {"a:a1"}


async def test_an_event_of_a_user_alone_is_rejected_without_proof(verifying: Site) -> None:
    response = await verifying.collect(
        {"type": "track", "event": "Viewed", "userId": "u1"},
        {"type": "track", "event": "Viewed", "anonymousId": "a1"},
    )
    (rejected,) = response.json()["rejected"]
    assert (rejected["index"], rejected["field"], rejected["code"]) == (0, "events[0].userId", "unverified_user")
    assert [key for key, _ in verifying.entries()] == ["a:a1"]


async def test_what_is_proven_is_said_so_in_the_log(verifying: Site) -> None:
    """A verified refusal deletes a profile, and a verified link lets events follow: by the entry's sender."""
    await verifying.collect(
        {"type": "identify", **BOTH, "userHash": HASH}, {"type": "track", "event": "Viewed", "anonymousId": "a1"}
    )
    said = [
        (key, type(entry.event), entry.sender is not None and entry.sender.verified)
        for key, entry in verifying.entries()
    ]
    assert said == [("u:u1", Identify, True), ("a:a1", Link, True), ("a:a1", Track, False)]


async def test_a_browser_that_proved_it_needs_no_proof_for_events_for_a_while(verifying: Site) -> None:
    """Libraries send a hash with the log-in, and not with every event after it."""
    await verifying.collect({"type": "identify", **BOTH, "userHash": HASH})
    response = await verifying.collect({"type": "track", "event": "Viewed", **BOTH})
    assert response.json()["warnings"] == []
    key, entry = verifying.entries()[-1]
    assert (key, of_type(Track, entry.event).event) == ("u:u1", "Viewed")
    assert entry.sender is not None
    assert not entry.sender.verified, "it removes no profile"
    reading = await verifying.decide(visitor=BOTH)
    assert warned(reading.json()) == [("visitor.userId", "unverified_user")], "reading needs proof in the call"


@pytest.mark.parametrize(
    ("redirect", "proven_ms", "counts"),
    [
        ("u:u1", NOW - FOLDED_WITHIN_MS, True),
        ("u:u1", NOW - PROVEN_FOR_MS + 1, True),
        ("u:u1", NOW - PROVEN_FOR_MS, False),
        ("u:u1", 0, False),
        ("u:u2", NOW - 1, False),
        (None, NOW - 1, False),
    ],
)
async def test_every_process_knows_of_a_proof_by_the_browsers_state(
    verifying: Site, redirect: str | None, proven_ms: int, counts: bool
) -> None:
    verifying.visitors.states["a:a1"] = VisitorState(now_ms=NOW - 5, redirect=redirect, proven_ms=proven_ms)
    await verifying.collect({"type": "track", "event": "Viewed", **BOTH})
    assert ("u:u1" in {key for key, _ in verifying.entries()}) is counts
    assert ("u:u1" in keys_read(verifying)) is counts


async def test_where_nothing_can_be_read_an_event_is_kept_for_the_browser(verifying: Site) -> None:
    verifying.visitors.away = True
    response = await verifying.collect({"type": "track", "event": "Viewed", **BOTH})
    assert response.json()["accepted"] == 1
    assert [key for key, _ in verifying.entries()] == ["a:a1"]


async def test_an_alias_joins_a_past_to_a_proven_user(verifying: Site) -> None:
    await verifying.collect({"type": "alias", "previousId": "mine", "userId": "u1", "userHash": HASH})
    assert [(key, type(entry.event)) for key, entry in verifying.entries()] == [("u:u1", Alias), ("a:mine", Link)]


@pytest.mark.parametrize("proof", [{}, {"userHash": HASH}, {"userToken": token()}])
async def test_a_flag_is_evaluated_for_a_proven_user_alone(verifying: Site, proof: dict[str, str]) -> None:
    body = {"context": {"targetingKey": "a1", "userId": "u1", **proof}}
    response = await verifying.client.post(
        "/ofrep/v1/evaluate/flags/home.hero", json=body, headers={"X-API-Key": "pk_dev"}
    )
    assert response.status_code == 200
    assert keys_read(verifying) == ({"u:u1", "a:a1"} if proof else {"a:a1"})
    assert ("warning" in response.json()["metadata"]) is not bool(proof)
    stored = b"".join(record.value for record in verifying.spool.records)
    assert HASH.encode() not in stored


async def test_what_comes_with_a_proof_in_one_batch_needs_none_of_its_own(verifying: Site) -> None:
    """Libraries send the log-in and what follows it together."""
    bought = {"type": "track", "event": "Order Completed", **BOTH}
    response = await verifying.collect(bought, {"type": "identify", **BOTH, "userHash": HASH}, bought)
    assert warned(response.json()) == [("events[0].userId", "unverified_user")], "what came before it does"
    assert [key for key, entry in verifying.entries() if isinstance(entry.event, Track)] == ["a:a1", "u:u1"]


@pytest.mark.parametrize("way", ["collect", "decide"])
async def test_nobody_proves_to_be_somebody_elses_browser(verifying: Site, way: str) -> None:
    """An anonymous id is no proof: what names it alone is proven by nobody, and takes nobody along."""
    alias = {"type": "alias", "anonymousId": "mine", "previousId": "theirs"}
    refusal = {"type": "track", "event": "Consent Updated", "anonymousId": "mine", "properties": {"ads": False}}
    own = {"type": "alias", "userId": "u1", "userHash": HASH, "previousId": "theirs"}
    if way == "collect":
        await verifying.collect(alias, refusal, own)
        logged = verifying.entries()
    else:
        visitor = {"anonymousId": "mine", "userId": "u1", "userHash": HASH}
        await verifying.decide(visitor=visitor, events=[alias, refusal, own])
        logged = verifying.spool.entries()
    for key, entry in logged:
        if isinstance(entry.event, Alias | Track) and entry.event.user_id is None:
            assert entry.sender is not None
            assert not entry.sender.verified, "it names nobody who was proven"
        if isinstance(entry.event, Link) and key == "a:theirs":
            assert entry.event == Link(canonical="u:u1", if_nobodys=True), "only if it is nobody's"
            assert entry.sender is not None
            assert not entry.sender.verified
    assert "a:theirs" in {key for key, entry in logged if isinstance(entry.event, Link)}


async def test_a_pasts_browser_is_taken_along_by_nobody_without_proof(verifying: Site) -> None:
    await verifying.collect({"type": "alias", "anonymousId": "a1", "previousId": "theirs"})
    assert not [entry for _, entry in verifying.entries() if isinstance(entry.event, Link)]


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        ({"userToken": token(exp=(NOW + 3_600_000))}, "seconds since 1970, not milliseconds"),
        ({"userToken": token(exp=float("nan"))}, "no number of seconds"),
        ({"userToken": ""}, "comes without proof"),
    ],
)
async def test_a_mistake_in_a_proof_is_said(verifying: Site, proof: dict[str, str], why: str) -> None:
    response = await verifying.decide(visitor={**BOTH, **proof})
    (warning,) = response.json()["warnings"]
    assert why in warning["message"]


async def test_an_empty_token_beside_a_hash_is_none(verifying: Site) -> None:
    response = await verifying.decide(visitor={**BOTH, "userHash": HASH, "userToken": ""})
    assert response.json()["warnings"] == []
