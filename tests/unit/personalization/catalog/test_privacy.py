"""What a catalog says of privacy stands in receipts word for word: its mistakes are told when it is written."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog
from personalization.catalog.check import InvalidCatalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.privacy import Privacy
from tests.receipts import PRIVACY

ADS = PRIVACY.purposes["Sale-Sharing"]


def compiled(privacy: Privacy) -> Any:
    return compile_catalog(Catalog(placements={}, content={}, privacy=privacy), 1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"controller": structs.replace(PRIVACY.controller, name=" ")}, "privacy.controller.name"),
        ({"controller": structs.replace(PRIVACY.controller, contact="")}, "privacy.controller.contact"),
        ({"notice": "shop.example/privacy"}, "privacy.notice"),
        ({"withdrawal": "javascript:alert(1)"}, "privacy.withdrawal"),
        ({"jurisdiction": ""}, "privacy.jurisdiction"),
        ({"storage_locations": ()}, "privacy.storage_locations"),
        ({"receipts_valid_ms": 1_000}, "privacy.receipts_valid"),
        ({"receipts_valid_ms": 801 * DAY_MS}, "privacy.receipts_valid"),
        ({"purposes": {"ads": ADS, "Ads ": ADS}}, "privacy.purposes.Ads "),
        ({"purposes": {"*": ADS}}, "privacy.purposes.*"),
        ({"purposes": {"ads": structs.replace(ADS, pii=())}}, "privacy.purposes.ads.pii"),
        ({"purposes": {"ads": structs.replace(ADS, retention_ms=0)}}, "privacy.purposes.ads.retention"),
    ],
)
def test_a_mistake_is_told_by_its_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCatalog) as told:
        compiled(structs.replace(PRIVACY, **wrong))
    assert [error.field for error in told.value.errors] == [field]


def test_a_purpose_that_is_described_has_a_place_in_every_state() -> None:
    assert compiled(PRIVACY).named.purposes == {"personalization", "sale_sharing"}
