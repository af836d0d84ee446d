"""What a consent receipt says, by the fields of ISO/IEC TS 27560:2023, beside the claims that every JWT has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from api.services.receipts import GIVEN, REFUSED, WITHDRAWN
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.privacy import Controller, Privacy, Purpose

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"
_CONTROLLER = "controller"
"""What parts of a receipt call the controller, who is described once."""


class Answered(NamedTuple):
    """A visitor's answer.

    Attributes
    ----------
    record_id
        Names it.
    key
        The visitor's.
    purposes
        What they said, by the normal names of purposes.
    withdrawn
        Those of the refused that they had granted before.
    at_ms
        When they said it.
    verified
        Whether whoever said it proved to be the visitor, or was a server.
    language
        In which they were asked; empty: the notice's.
    collection_method
        How they were asked, in the page's own words; empty: nobody said.
    """

    record_id: str
    key: str
    purposes: Mapping[str, bool]
    withdrawn: frozenset[str]
    at_ms: int
    verified: bool
    language: str = ""
    collection_method: str = ""


def receipt_claims(answered: Answered, privacy: Privacy) -> dict[str, Any]:
    """The claims of a receipt; times within are ISO 8601 in UTC, lengths of time ISO 8601 durations in days."""
    issued_s = answered.at_ms // 1000
    return {
        "iss": privacy.controller.url or privacy.controller.name,
        "sub": answered.key,
        "iat": issued_s,
        "exp": expires_ms(answered.at_ms, privacy) // 1000,
        "jti": answered.record_id,
        "schema_version": SCHEMA_VERSION,
        "receipt_id": answered.record_id,
        "record_id": answered.record_id,
        "pii_principal_id": answered.key[2:],
        "verified": answered.verified,
        "pii_processing": {
            "privacy_notice": privacy.notice,
            "language": answered.language or privacy.language,
            "purposes": [_purpose(name, answered, privacy) for name in answered.purposes],
        },
        "party_identification": [_party(privacy.controller)],
        "events": [_event(name, granted, answered, privacy) for name, granted in answered.purposes.items()],
    }


def expires_ms(at_ms: int, privacy: Privacy) -> int:
    """When a receipt of an answer stops to stand for it; a whole second."""
    return (at_ms + privacy.receipts_valid_ms) // 1000 * 1000


def _purpose(name: str, answered: Answered, privacy: Privacy) -> dict[str, Any]:
    spec = privacy.purpose(name)
    shown = {
        "purpose": name,
        "pii_controllers": [_CONTROLLER],
        "jurisdiction": privacy.jurisdiction,
        "storage_locations": list(privacy.storage_locations),
        "withdrawal_method": privacy.withdrawal or privacy.notice,
        **({"collection_method": answered.collection_method} if answered.collection_method else {}),
    }
    return shown if spec is None else {**shown, **_described(spec)}


def _described(spec: Purpose) -> dict[str, Any]:
    return {
        "description": spec.description,
        "lawful_basis": spec.lawful_basis,
        "retention_period": _days(spec.retention_ms),
        "pii_information": [{"pii_type": each} for each in spec.pii],
        "recipient_third_parties": list(spec.recipients),
    }


def _party(controller: Controller) -> dict[str, str]:
    more = {"party_address": controller.address, "party_url": controller.url}
    return {
        "party_id": _CONTROLLER,
        "party_role": "controller",
        "party_name": controller.name,
        "party_contact": controller.contact,
        **{name: text for name, text in more.items() if text},
    }


def _event(name: str, granted: bool, answered: Answered, privacy: Privacy) -> dict[str, str]:
    return {
        "purpose": name,
        "event_time": datetime.fromtimestamp(answered.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "event_type": "explicit",
        "event_state": GIVEN if granted else WITHDRAWN if name in answered.withdrawn else REFUSED,
        "validity_duration": _days(privacy.receipts_valid_ms),
        "entity_id": answered.key[2:],
    }


def _days(length_ms: int) -> str:
    """An ISO 8601 duration.

    >>> _days(395 * DAY_MS), _days(DAY_MS // 2)
    ('P395D', 'PT43200S')
    """
    days, rest_ms = divmod(length_ms, DAY_MS)
    return f"P{days}D" if not rest_ms else f"PT{length_ms // 1000}S"
