"""What a process shows at ``/metrics``, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
"""Names and values, by name."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The series of one look.

    Attributes
    ----------
    at_s
        When it was taken, by a clock that only goes forward.
    values
        By the name of the sample, then by labels.
    """

    at_s: float
    values: Mapping[str, Mapping[Labels, float]]

    def series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The series of a name, each with its labels."""
        for labels, value in self.values.get(name, {}).items():
            yield dict(labels), value

    def total(self, name: str) -> float:
        """The sum over all series; 0 where there is none."""
        return sum(self.values.get(name, {}).values())

    def greatest(self, name: str) -> float | None:
        """The greatest of all series; None where there is none."""
        return max(self.values.get(name, {}).values(), default=None)


def read_metrics(text: str, at_s: float, wanted: Collection[str]) -> Scrape:
    """The samples of these names; only their lines are parsed, as a large catalog has a hundred thousand others.

    What is no exposition gives nothing.
    """
    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in wanted]
    values: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                values[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    except ValueError:
        return Scrape(at_s, {})
    return Scrape(at_s, values)
