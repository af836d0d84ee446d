"""Conversions in the catalog: read, checked with everything else, and only the scores somebody names are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import load_catalog
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS

GOOD = """
placements:
  hero: {{content: [a], default: a, features: [{features}]}}
content:
  a: {{when: '{when}'}}
segments:
  hot: {segment}
conversions:
  buys_soon: {{event: Order Completed, horizon: 7d{more}}}
  leaves: {{event: Account Closed, horizon: 90d, labels: early}}
"""


def load(
    folder: Path, more: str = "", when: str = "known", segment: str = "known", features: str = "hour"
) -> Catalog:
    text = GOOD.format(more=more, when=when, segment=segment, features=features)
    (folder / "shop.yaml").write_text(text)
    return load_catalog(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    conversions = load(tmp_path, more=", when: properties.revenue > 20, features: [counts]").conversions
    buys, leaves = conversions["buys_soon"], conversions["leaves"]
    assert (buys.event, buys.horizon_ms, buys.labels, buys.model) == (
        "Order Completed",
        7 * DAY_MS,
        "mature",
        "default",
    )
    assert (buys.when, buys.features) == ("properties.revenue > 20", ("counts",))
    assert (leaves.horizon_ms, leaves.labels) == (90 * DAY_MS, "early")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"more": ", horzon: 1d"}, "buys_soon.horzon: unknown field; did you mean 'horizon'?"),
        (
            {"more": ", when: n_orders > 2"},
            "buys_soon.when: unknown name 'n_orders'; known here: content, context, event",
        ),
        ({"more": ", labels: late"}, "buys_soon.labels: must be one of early, mature, not 'late'"),
        ({"more": ", model: river.linear_model.LinearRegression"}, "buys_soon.model: river.linear_model.LinearReg"),
        ({"more": ", model: os.system"}, "buys_soon.model: unknown model 'os.system'"),
        ({"more": ", model_parameters: {seeed: 3}"}, "buys_soon.model_parameters: "),
        (
            {"more": ", features: [huor]"},
            "buys_soon.features[0]: nothing of a visitor or a request is called 'huor'",
        ),
        (
            {"more": ", features: [session.n_views]"},
            "features[0]: 'session.n_views' is nearly the same at every sess",
        ),
        ({"more": ", features: [scores.leaves]"}, "buys_soon.features[0]: looks at what a model says"),
        ({"when": "scores.buy_soon > 0.2"}, "no conversion or score 'buy_soon'; did you mean 'buys_soon'?"),
        ({"segment": "scores.buy_soon > 0.2"}, "no conversion or score 'buy_soon'; did you mean 'buys_soon'?"),
        ({"features": "scores.buy_soon"}, "no conversion or score 'buy_soon'; did you mean 'buys_soon'?"),
    ],
)
def test_every_mistake_has_its_place_and_its_remedy(terms: dict[str, str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalog) as caught:
        load(tmp_path, **terms)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("shop.yaml:")
    assert expected in line


def test_names_rules_cannot_write_and_more_than_there_may_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "placements: {'conversion:x': {content: [a], default: a}}\ncontent: {a: {}}\n"
        "conversions:\n  buys soon: {event: A}\n" + "".join(f"  c{n}: {{event: A}}\n" for n in range(8))
    )
    with pytest.raises(InvalidCatalog) as caught:
        load_catalog(tmp_path)
    lines = str(caught.value).splitlines()
    assert any("conversions.buys soon: rules name it as scores.name" in line for line in lines)
    assert any("conversions: are at most 8" in line for line in lines)
    assert any("placements.conversion:x: must not begin with 'conversion:'" in line for line in lines)


@pytest.mark.parametrize(
    ("terms", "scored"),
    [
        ({}, set()),
        ({"when": "scores.buys_soon > 0.2"}, {"buys_soon"}),
        ({"segment": "has(scores.leaves)"}, {"leaves"}),
        ({"when": "size(scores) > 0"}, {"buys_soon", "leaves"}),
        ({"features": "scores.leaves"}, {"leaves"}),
        ({"features": "scores"}, {"buys_soon", "leaves"}),
    ],
)
def test_only_scores_that_somebody_names_are_worked_out(
    terms: dict[str, str], scored: set[str], tmp_path: Path
) -> None:
    assert compile_catalog(load(tmp_path, **terms), 1).scored == scored
