"""A receipt says what a person answered, anybody can verify it, and in a request it is their word of that time."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import warnings
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jwt import decode as joserfc_decode
from msgspec import structs

from api.access.proof import identity_secret, user_hash
from api.services.receipts import ReceiptKeys
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.errors import Unavailable
from personalization.events.event import DecisionMade, Page, Track
from personalization.key_derivation import Secrets
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type
from tests.receipts import PRIVACY, signed
from tests.unit.api.dialects.evaluating import evaluate
from tests.unit.api.site import NOW, SECRETS, SERVER, WRITE, Site, open_site, shop

STRICT = {"Authorization": "Bearer pk_strict"}
PROVES = {"Authorization": "Bearer pk_proves"}
ANSWER = {"personalization": True, "Sale Sharing": False}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    catalog = shop()
    sources = catalog.sources | {
        "proves": structs.replace(
            catalog.sources["web"], write_keys=("pk_proves",), server_keys=(), verify_users=True
        )
    }
    async with open_site(
        compiled=compile_catalog(structs.replace(catalog, sources=sources, privacy=PRIVACY), 12)
    ) as opened:
        yield opened


async def answer(
    site: Site, purposes: dict[str, Any], headers: dict[str, str] = WRITE, status: int = 200, **visitor: Any
) -> dict[str, Any]:
    body = {"visitor": visitor or {"anonymousId": "a1"}, "purposes": purposes}
    response = await site.client.post("/v1/consent", json=body, headers=headers)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


async def claims(site: Site, receipt: str) -> dict[str, Any]:
    """What a stock library reads of a receipt, given the address of the keys alone."""
    keys = KeySet.import_key_set((await site.client.get("/v1/consent/keys")).json())
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", SecurityWarning
        )  # RFC 9864 would have it called Ed25519; few libraries do yet
        token = joserfc_decode(receipt, keys, algorithms=["EdDSA"])
    assert token.header["typ"] == "consent-receipt+jwt"
    return token.claims


def words(site: Site) -> list[tuple[str, dict[str, bool]]]:
    return [(key, of_type(Track, entry.event).properties) for key, entry in site.entries()]


async def test_an_answer_is_recorded_like_any_word_on_consent_and_the_receipt_says_the_same(site: Site) -> None:
    given = await answer(site, ANSWER)
    ((key, entry),) = site.entries()
    event = of_type(Track, entry.event)
    assert (key, event.event, event.message_id) == ("a:a1", "Consent Updated", given["recordId"])
    assert event.properties == given["purposes"] == {"personalization": True, "sale_sharing": False}
    said = await claims(site, given["receipt"])
    assert (said["record_id"], said["jti"], said["pii_principal_id"]) == (
        given["recordId"],
        given["recordId"],
        "a1",
    )
    assert [(each["purpose"], each["event_state"]) for each in said["events"]] == [
        ("personalization", "consent_given"),
        ("sale_sharing", "consent_refused"),
    ]
    assert {each["event_time"] for each in said["events"]} == {"2023-11-14T22:13:20.000+00:00"}
    assert said["exp"] * 1000 == given["expiresMs"] == NOW + 395 * DAY_MS


async def test_a_receipt_has_what_the_standard_asks_for(site: Site) -> None:
    body = {"visitor": {"userId": "u1"}, "purposes": ANSWER, "language": "de", "collectionMethod": "banner 3"}
    given = (await site.client.post("/v1/consent", json=body, headers=SERVER)).json()
    said = await claims(site, given["receipt"])
    assert (said["schema_version"], said["verified"]) == ("ISO/IEC TS 27560:2023", True)
    processing, (party,) = said["pii_processing"], said["party_identification"]
    assert (processing["privacy_notice"], processing["language"]) == ("https://shop.example/privacy", "de")
    assert (party["party_name"], party["party_contact"]) == ("Example Shop Ltd", "privacy@shop.example")
    for purpose in processing["purposes"]:
        assert purpose["pii_controllers"] == [party["party_id"]]
        assert purpose["collection_method"] == "banner 3"
        for field in ("lawful_basis", "pii_information", "retention_period", "storage_locations", "jurisdiction",
                      "withdrawal_method"):  # fmt: skip
            assert purpose[field], field
    assert [each["recipient_third_parties"] for each in processing["purposes"]] == [[], ["Partner Ltd"]]
    assert given["warnings"] == []


async def test_stock_libraries_verify_a_receipt_by_the_published_keys_alone(site: Site) -> None:
    receipt = (await answer(site, ANSWER))["receipt"]
    keys = (await site.client.get("/v1/consent/keys")).json()
    assert keys["keys"][0].keys() == {"kty", "crv", "x", "alg", "use", "kid"}, "and no private half"
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(receipt)["kid"]]
    by_pyjwt = jwt.decode(receipt, key, ["EdDSA"], options={"verify_exp": False})
    assert by_pyjwt == await claims(site, receipt)
    body = receipt.split(".")[1]
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(body + "==").replace(b"a1", b"a2")).rstrip(b"=")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(receipt.replace(body, forged.decode()), key, ["EdDSA"], options={"verify_exp": False})


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_what_a_browser_has_verifies_a_receipt(site: Site) -> None:
    receipt = (await answer(site, ANSWER))["receipt"]
    keys = (await site.client.get("/v1/consent/keys")).json()
    program = """
        const [receipt, jwk] = JSON.parse(require('fs').readFileSync(0));
        const [head, body, mac] = receipt.split('.');
        const crypto = require('crypto'), key = crypto.createPublicKey({key: jwk, format: 'jwk'});
        const holds = crypto.verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(mac, 'base64url'));
        console.log(holds && JSON.parse(Buffer.from(body, 'base64url')).pii_principal_id);
    """
    sent = json.dumps([receipt, keys["keys"][0]]).encode()
    node = await asyncio.create_subprocess_exec("node", "-e", program, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(node.communicate(sent), 60)
    assert out.strip() == b"a1", err.decode()


def test_a_key_is_named_by_its_thumbprint_of_rfc_7638() -> None:
    (key,) = ReceiptKeys(SECRETS.key("receipts")).jwk_set()["keys"]
    assert KeySet.import_key_set({"keys": [key]}).keys[0].thumbprint() == key["kid"]


def test_while_a_secret_is_rotated_receipts_of_both_are_verified_and_later_no_more() -> None:
    before, after = Secrets(b"first"), Secrets(b"second", b"first")
    receipt = signed(before, "a:a1", NOW)
    assert not isinstance(ReceiptKeys(after.key("receipts")).read(receipt, ["a:a1"], NOW), str)
    first, second = (ReceiptKeys(each.key("receipts")).jwk_set()["keys"] for each in (before, after))
    assert (len(second), second[1]) == (2, first[0])
    late = ReceiptKeys(Secrets(b"second").key("receipts")).read(receipt, ["a:a1"], NOW)
    assert "not signed with a key of this installation" in str(late)


def test_a_receipt_that_was_verified_before_is_held_to_time_and_visitor_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = ReceiptKeys(SECRETS.key("receipts"))
    receipt = signed(SECRETS, "a:a1", NOW)
    first = keys.read(receipt, ["a:a1"], NOW)
    monkeypatch.setattr("api.services.receipts.jwt.decode", None)
    assert keys.read(receipt, ["a:a1"], NOW) == first
    assert "another visitor" in str(keys.read(receipt, ["a:a2"], NOW))
    assert "has expired" in str(keys.read(receipt, ["a:a1"], NOW + 396 * DAY_MS))


async def test_what_was_granted_before_is_withdrawn_and_else_it_is_refused(site: Site) -> None:
    site.visitors.states = {"a:a1": VisitorState(consents={"personalization": Word(True, NOW - 9)})}
    given = await answer(site, {"personalization": False, "sale_sharing": False})
    said = await claims(site, given["receipt"])
    assert [each["event_state"] for each in said["events"]] == ["consent_withdrawn", "consent_refused"]
    site.visitors.states = {}
    again = await claims(site, (await answer(site, {"personalization": True}))["receipt"])
    assert again["events"][0]["event_state"] == "consent_given"


async def test_who_proves_nothing_is_recorded_and_attested_for_their_browser_alone(site: Site) -> None:
    site.visitors.states = {"u:u1": VisitorState(consents={"personalization": Word(True, NOW - 9)})}
    given = await answer(site, {"personalization": False}, PROVES, anonymousId="a1", userId="u1")
    assert [key for key, _ in words(site)] == ["a:a1"]
    assert [each["code"] for each in given["warnings"]] == ["unverified_user"]
    said = await claims(site, given["receipt"])
    assert (said["sub"], said["verified"], said["events"][0]["event_state"]) == ("a:a1", False, "consent_refused")
    assert not any("u:u1" in keys for keys in site.visitors.asked), "nor is it told whether there is such a user"
    refused = await answer(site, {"personalization": False}, PROVES, 400, userId="u1")
    assert (refused["code"], refused["field"]) == ("unverified_user", "visitor.userId")


async def test_who_proves_to_be_the_user_is_recorded_as_verified_under_both_ids(site: Site) -> None:
    proof = user_hash(identity_secret(SECRETS, "proves"), "u1")
    given = await answer(site, {"personalization": False}, PROVES, anonymousId="a1", userId="u1", userHash=proof)
    assert [key for key, _ in words(site)] == ["u:u1", "a:a1"]
    assert [entry.sender is not None and entry.sender.verified for _, entry in site.entries()] == [True, False]
    said = await claims(site, given["receipt"])
    assert (said["sub"], said["verified"]) == ("u:u1", True)


async def test_what_the_browser_refuses_by_itself_is_refused_whatever_the_page_says(site: Site) -> None:
    given = await answer(site, {"personalization": True, "Sale-Sharing": True}, {**WRITE, "Sec-GPC": "1"})
    assert given["purposes"] == {"personalization": True, "sale_sharing": False, "advertising": False}
    assert "refused_by_browser" in {each["code"] for each in given["warnings"]}
    assert words(site) == [("a:a1", given["purposes"])]


async def test_without_a_controller_the_answer_is_recorded_and_there_is_no_receipt(site: Site) -> None:
    site.compiled = compile_catalog(structs.replace(site.compiled.catalog, privacy=None), 13)
    given = await answer(site, {"personalization": False})
    assert (given["receipt"], given["warnings"][0]["code"]) == (None, "no_controller")
    assert words(site) == [("a:a1", {"personalization": False})]


@pytest.mark.parametrize(
    ("purposes", "field"),
    [
        ({}, "purposes"),
        ({"personalization": "yes"}, "purposes"),
        ({"": True}, "purposes."),
        ({"*": True}, "purposes.*"),
        ({"**": False}, "purposes.**"),
        ({f"p{n}": False for n in range(33)}, "purposes"),
    ],
)
async def test_what_is_no_answer_is_refused_by_its_field_and_nothing_recorded(
    site: Site, purposes: dict[str, Any], field: str
) -> None:
    refused = await answer(site, purposes, status=400)
    assert refused["field"].startswith(field)
    assert site.log.records == []


async def test_a_receipt_that_could_not_be_read_back_is_not_made(site: Site) -> None:
    long = structs.replace(PRIVACY, withdrawal=f"https://shop.example/{'x' * 60_000}")
    site.compiled = compile_catalog(structs.replace(site.compiled.catalog, privacy=long), 13)
    given = await answer(site, {"personalization": False})
    assert (given["receipt"], given["warnings"][0]["code"]) == (None, "too_long")
    assert words(site) == [("a:a1", {"personalization": False})]


async def test_an_event_is_logged_without_the_receipt_that_it_carries(site: Site) -> None:
    receipt = signed(SECRETS, "a:a1", NOW - 5)
    context = {"locale": "de", "consentReceipt": receipt}
    await site.collect({"type": "page", "anonymousId": "a1", "context": context})
    ((_, entry),) = site.entries()
    assert of_type(Page, entry.event).context == {"locale": "de"}


async def test_where_the_log_takes_nothing_there_is_no_receipt(site: Site) -> None:
    site.log.error = Unavailable("away on purpose")
    assert "receipt" not in await answer(site, {"personalization": True}, status=503)


async def test_a_receipt_lets_a_decision_be_logged_where_the_state_cannot_be_read(site: Site) -> None:
    site.visitors.away = True
    receipt = signed(SECRETS, "a:a1", NOW - 5)
    for context, n_logged in (({}, 0), ({"consentReceipt": receipt}, 1)):
        await site.decide(headers=STRICT, context=context)
        made = [entry.event for _, entry in site.spool.entries()]
        assert [type(event) for event in made] == [DecisionMade] * n_logged
    assert not of_type(DecisionMade, made[0]).trains
    assert receipt not in str(site.spool.records), "what stands for somebody's consent is nowhere stored"


async def test_a_receipt_counts_whatever_protocol_the_request_speaks(site: Site) -> None:
    site.visitors.away = True
    await evaluate(site, headers=STRICT, consentReceipt=signed(SECRETS, "a:a1", NOW - 5))
    assert [key for key, _ in site.spool.entries()] == ["a:a1"]


async def test_a_receipt_of_other_purposes_lets_nothing_be_logged_where_the_state_cannot_be_read(
    site: Site,
) -> None:
    site.visitors.away = True
    await site.decide(context={"consentReceipt": signed(SECRETS, "a:a1", NOW - 5, {"sale_sharing": True})})
    assert site.spool.entries() == []


async def test_a_withdrawal_after_the_receipt_wins_where_it_is_known(site: Site) -> None:
    receipt = (await answer(site, {"personalization": True}))["receipt"]
    site.visitors.states = {
        "a:a1": VisitorState(now_ms=NOW + 1, consents={"personalization": Word(False, NOW + 1)})
    }
    (decision,) = (await site.decide(context={"consentReceipt": receipt})).json()["decisions"]
    assert (decision["tier"], site.spool.records) == ("rules", [])


@pytest.mark.parametrize(
    ("receipt", "because"),
    [
        (signed(SECRETS, "a:a2", NOW), "is about another visitor than the request"),
        (signed(SECRETS, "a:a1", NOW - 396 * DAY_MS), "has expired"),
        (signed(SECRETS, "a:a1", NOW + 60_000), "was given in the future"),
        (signed(Secrets(b"another"), "a:a1", NOW), "is not signed with a key of this installation"),
        (signed(SECRETS, "a:a1", NOW)[:-6] + "AAAAAA", "is not signed with a key of this installation"),
        (
            jwt.encode({"sub": "a:a1", "exp": NOW}, "x" * 32, "HS256"),
            "is not signed with a key of this installation",
        ),
        (
            jwt.encode(
                jwt.decode(signed(SECRETS, "a:a1", NOW), options={"verify_signature": False}),
                Ed25519PrivateKey.from_private_bytes(SECRETS.key("receipts")),
                "EdDSA",
                headers={"kid": ReceiptKeys(SECRETS.key("receipts")).jwk_set()["keys"][0]["kid"]},
            ),
            "is not signed with a key of this installation",
        ),
        ("nonsense", "is not signed with a key of this installation"),
        ("x" * 70_000, "is longer than"),
        (7, "is no text"),
    ],
)
async def test_a_receipt_that_does_not_hold_grants_nothing_and_the_sender_is_told_why(
    site: Site, receipt: Any, because: str
) -> None:
    response = await site.decide(headers=STRICT, context={"consentReceipt": receipt})
    (warning,) = response.json()["warnings"]
    assert (warning["field"], warning["code"]) == ("context.consentReceipt", "consent_receipt")
    assert because in warning["message"]
    assert (response.json()["decisions"][0]["tier"], site.spool.records) == ("rules", [])


async def test_a_decision_names_the_consent_that_it_was_made_by(site: Site) -> None:
    given = await answer(site, {"personalization": True}, STRICT)
    await site.decide(headers=STRICT, context={"consentReceipt": given["receipt"]})
    await site.decide(headers=STRICT, context={"consent": {"personalization": True}}, visitor={"anonymousId": "a2"})
    site.visitors.states = {
        "a:a3": VisitorState(now_ms=NOW, consents={"personalization": Word(True, NOW - 7, True)})
    }
    await site.decide(headers=STRICT, visitor={"anonymousId": "a3"})
    await site.decide(visitor={"anonymousId": "a4"})
    site.visitors.states = {"a:a5": VisitorState(now_ms=NOW, consents={"personalization": Word(True, NOW - 7)})}
    older = {"consentReceipt": signed(SECRETS, "a:a5", NOW - 9)}
    await site.decide(headers=STRICT, visitor={"anonymousId": "a5"}, context=older)
    agreed = [record.agreed.get("personalization") for record in site.spool.decisions()]
    assert [each and (each.at_ms, each.verified, each.receipt) for each in agreed] == [
        (NOW, False, given["recordId"]),
        (NOW, False, ""),
        (NOW - 7, True, ""),
        None,
        (NOW - 7, False, ""),
    ]


async def test_what_is_kept_of_answers_is_shown_to_server_keys_alone(site: Site) -> None:
    site.visitors.states = {"u:7": VisitorState(consents={"personalization": Word(False, NOW, True)})}
    shown = await site.client.get("/v1/visitors/7/consent", headers=SERVER)
    assert shown.json() == {
        "visitorId": "7",
        "canonicalId": "7",
        "purposes": {"personalization": {"granted": False, "atMs": NOW, "verified": True}},
    }
    assert (await site.client.get("/v1/visitors/7/consent", headers=WRITE)).status_code == 403
    assert (await site.client.get("/v1/visitors/8/consent", headers=SERVER)).status_code == 404
