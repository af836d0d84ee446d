"""What consent costs a decision: the words that its record names, and a receipt that the request brings.

Process CPU, the median of several rounds.

    python -m benchmarks.consent_cost [--rounds 7]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from api.services.receipt_claims import Answered, receipt_claims
from api.services.receipts import ReceiptKeys
from benchmarks.body_cost import cpu_us
from benchmarks.ending import end_by_sigterm
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.privacy import Controller, Privacy, Purpose
from personalization.deciding.consents import Consents
from personalization.deciding.request import DecideRequest
from personalization.key_derivation import Secrets
from personalization.visitor.purposes import PERSONALISING, Word
from personalization.visitor.visitor_state import VisitorState

NOW = 1_700_000_000_000
PURPOSES = (PERSONALISING,)
PRIVACY = Privacy(
    controller=Controller(name="Example Shop Ltd", contact="privacy@shop.example"),
    notice="https://shop.example/privacy",
    jurisdiction="EU",
    storage_locations=("EU",),
    purposes={
        PERSONALISING: Purpose(
            description="We show you what fits what you looked at, searched for and bought here.",
            retention_ms=395 * DAY_MS,
            pii=("pages viewed", "products viewed", "searches", "purchases"),
        )
    },
)


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    request = DecideRequest(request_id="r", placements=(), anonymous_id="a1", consent_default=True)
    silent = Consents(request, VisitorState())
    spoken = Consents(request, VisitorState(consents={PERSONALISING: Word(True, NOW)}))
    context = {"locale": "en", "userAgent": "…"}
    keys = ReceiptKeys(Secrets(b"a secret of this benchmark alone").key("receipts"))
    answered = Answered("r", "a:a1", {PERSONALISING: True}, frozenset(), NOW, verified=False)
    receipt = keys.sign(receipt_claims(answered, PRIVACY))
    fresh = ReceiptKeys(Secrets(b"a secret of this benchmark alone").key("receipts"))

    def verify() -> None:
        fresh._verified.clear()
        fresh.read(receipt, ("a:a1",), NOW)

    costs: dict[str, Callable[[], object]] = {
        "look whether a context brings a receipt": lambda: "consentReceipt" in context,
        "words a record names, nobody spoke": partial(silent.agreed, PURPOSES, NOW),
        "words a record names, one was said": partial(spoken.agreed, PURPOSES, NOW),
        "receipt, seen before by this process": partial(keys.read, receipt, ("a:a1",), NOW),
        "receipt, verified": verify,
        "receipt, made": lambda: keys.sign(receipt_claims(answered, PRIVACY)),
    }
    for name, work in costs.items():
        print(f"{name:<42} {cpu_us(work, rounds):8.2f} µs")
    print(f"{'length of a receipt of one purpose':<42} {len(receipt):8} characters")


if __name__ == "__main__":
    end_by_sigterm()
    main()
