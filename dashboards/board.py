"""What a dashboard of ours is made of: rows of panels, each a question with the queries that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

WINDOW = "$__rate_interval"
"""Grafana puts a window in its place that holds several scrapes."""

PLACEMENT = 'placement=~"$placement"'
SOURCE = "${source}"
_WIDTH, _HEIGHT = 8, 8


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or several told apart by ``legend``."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A question, and what its answer looks like.

    Attributes
    ----------
    says
        How to read it, for whoever sees it for the first time.
    unit
        As Grafana names it: ``s``, ``bytes``, ``percentunit``, ``reqps``, ``short``.
    exemplars
        Whether traced examples are shown.
    """

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows by their titles."""

    uid: str
    title: str
    rows: dict[str, tuple[Panel, ...]]

    def expressions(self) -> list[str]:
        """Every query, as it stands in the file."""
        return [query.expr for row in self.rows.values() for panel in row for query in panel.queries]


def quantiles(histogram: str, labels: str = "", by: str = "", shares: tuple[float, ...] = (0.5, 0.99)) -> str:
    """Several quantiles of a histogram in one query, told apart by ``q``."""
    grouped = f"le, {by}" if by else "le"
    rate = f"sum by ({grouped}) (rate({histogram}_bucket{{{labels}}}[{WINDOW}]))"
    return " or ".join(
        f'label_replace(histogram_quantile({share}, {rate}), "q", "p{100 * share:g}", "", "")' for share in shares
    )


def per_second(counter: str, by: str = "", labels: str = "", *, rare: bool = False) -> str:
    """How often a counter counts; ``rare``: 0 where it never has."""
    grouped = f" by ({by})" if by else ""
    rate = f"sum{grouped} (rate({counter}{{{labels}}}[{WINDOW}]))"
    return f"{rate} or on() vector(0)" if rare else rate


def as_json(board: Board) -> str:
    """The dashboard as a file that Grafana imports; it asks for the Prometheus it is to read."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["nextbest"])
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    if any("$placement" in expression for expression in board.expressions()):
        built = built.with_variable(
            dashboard.QueryVariable("placement")
            .label("Placement")
            .datasource(_source())
            .query("label_values(nextbest_decisions_total, placement)")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    ids = count(1)
    for title, panels in board.rows.items():
        built = built.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            built = built.with_panel(_built(panel).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def _built(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .datasource(_source())
        .span(_WIDTH)
        .height(_HEIGHT)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
    )
    for n, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + n))
        built = built.with_target(target.range().exemplar(panel.exemplars))
    return built


def _source() -> DataSourceRef:
    return DataSourceRef(type_val="prometheus", uid=SOURCE)
