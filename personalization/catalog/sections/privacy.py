"""Who answers for what is done with visitors' data, and for which purposes: what consent receipts say of it."""

from __future__ import annotations

import re
from typing import Literal

from personalization.catalog.check import Check
from personalization.catalog.duration import DAY_MS
from personalization.catalog.spec import Spec
from personalization.visitor.purposes import normal

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]
"""Those of article 6 (1) of the GDPR, in its order."""

MAX_RECEIPT_DAYS = 800


class Controller(Spec, frozen=True, kw_only=True):
    """Who decides why and how personal data are processed.

    Attributes
    ----------
    name
        As it is registered.
    contact
        Where people reach it about their data: a mail address, or the address of a page.
    address
        Its postal address.
    url
        Its website.
    """

    name: str
    contact: str
    address: str = ""
    url: str = ""


class Purpose(Spec, frozen=True, kw_only=True):
    """What data are processed for, in words for visitors.

    Attributes
    ----------
    description
        What it means for a visitor, in a sentence.
    lawful_basis
        What makes it lawful (article 6 of the GDPR).
    retention_ms
        For how long data of this purpose are kept.
    pii
        Categories of personal data, such as `pages viewed`.
    recipients
        Third parties that receive them; empty: nobody does.
    """

    description: str
    retention_ms: int
    pii: tuple[str, ...]
    lawful_basis: LawfulBasis = "consent"
    recipients: tuple[str, ...] = ()


class Privacy(Spec, frozen=True, kw_only=True):
    """What consent receipts say beside the visitor's own answer.

    Attributes
    ----------
    controller
        Who answers for it.
    notice
        Address of the privacy notice.
    jurisdiction
        Whose law applies, such as `EU` or `US-CA`.
    language
        Of the notice, where a page says no other; as in HTML.
    withdrawal
        Address of the page where visitors change their mind; empty: the notice's.
    storage_locations
        Where data are stored, such as `EU`.
    purposes
        By name, those that visitors are asked for.
    receipts_valid_ms
        For how long a receipt stands for its answer.
    """

    controller: Controller
    notice: str
    jurisdiction: str
    storage_locations: tuple[str, ...]
    language: str = "en"
    withdrawal: str = ""
    purposes: dict[str, Purpose] = {}
    receipts_valid_ms: int = 395 * DAY_MS  # 13 months, the most that France's CNIL allows for a consent to cookies

    def purpose(self, name: str) -> Purpose | None:
        """The purpose of that normal name, if it is described."""
        return next((spec for each, spec in self.purposes.items() if normal(each) == name), None)


_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


def check_privacy(check: Check, privacy: Privacy) -> None:
    """Note the mistakes in it."""
    for name in ("name", "contact"):
        check.demand(bool(getattr(privacy.controller, name).strip()), f"privacy.controller.{name}", "is empty")
    for name in ("notice", "withdrawal"):
        address = getattr(privacy, name)
        check.demand(
            _ADDRESS.fullmatch(address) is not None or (name == "withdrawal" and not address),
            f"privacy.{name}",
            "is no address of a page; write one as in https://shop.example/privacy",
        )
    check.demand(
        bool(privacy.jurisdiction.strip()), "privacy.jurisdiction", "is empty; write one such as EU or US-CA"
    )
    stored = all(each.strip() for each in privacy.storage_locations) and bool(privacy.storage_locations)
    check.demand(stored, "privacy.storage_locations", "must name where data are stored, as in [EU]")
    check.demand(
        DAY_MS <= privacy.receipts_valid_ms <= MAX_RECEIPT_DAYS * DAY_MS,
        "privacy.receipts_valid",
        f"must lie between 1d and {MAX_RECEIPT_DAYS}d",
    )
    names: dict[str, str] = {}
    for name, purpose in privacy.purposes.items():
        where = f"privacy.purposes.{name}"
        other = names.setdefault(normal(name), name)
        check.demand(
            normal(name).strip("*") != "", where, "is no name of a purpose; use one such as personalization"
        )
        check.demand(other == name, where, f"is the same purpose as {other}; keep one of them")
        check.demand(purpose.retention_ms > 0, f"{where}.retention", "must be longer than nothing, as in 395d")
        check.demand(
            bool(purpose.pii), f"{where}.pii", "is empty; name the categories of data, as in [pages viewed]"
        )
