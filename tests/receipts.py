"""Consent receipts for tests, made by hand."""

from __future__ import annotations

from api.services.receipt_claims import Answered, receipt_claims
from api.services.receipts import ReceiptKeys
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.privacy import Controller, Privacy, Purpose
from personalization.key_derivation import Secrets

PRIVACY = Privacy(
    controller=Controller(name="Example Shop Ltd", contact="privacy@shop.example", url="https://shop.example"),
    notice="https://shop.example/privacy",
    jurisdiction="EU",
    storage_locations=("IE",),
    purposes={
        "personalization": Purpose(
            description="Shows you what fits what you looked at.",
            retention_ms=395 * DAY_MS,
            pii=("pages viewed", "products viewed"),
        ),
        "Sale-Sharing": Purpose(
            description="Tells partners what you looked at.",
            retention_ms=30 * DAY_MS,
            pii=("pages viewed",),
            recipients=("Partner Ltd",),
        ),
    },
)


def signed(
    secrets: Secrets,
    key: str,
    at_ms: int,
    purposes: dict[str, bool] | None = None,
    privacy: Privacy = PRIVACY,
    record_id: str = "r-1",
) -> str:
    said = {"personalization": True} if purposes is None else purposes
    claims = receipt_claims(Answered(record_id, key, said, frozenset(), at_ms, verified=False), privacy)
    return ReceiptKeys(secrets.key("receipts")).sign(claims)
