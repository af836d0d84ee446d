"""What a body costs: checked when it is published, placed when its renderer is made, filled in for each visitor.

Process CPU, the median of several rounds; a body of 32 KB is the largest that an item may have.

    python -m benchmarks.body_cost [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

from benchmarks.ending import end_by_sigterm
from personalization.audience.variables import VisitorScope
from personalization.catalog.body_check import body_mistakes
from personalization.catalog.catalog import Catalog, Content
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.render import Renderer
from personalization.visitor.visitor_state import VisitorState

_TEASER = (
    '<section class="hero"><h1>Hello {{traits.first_name|there}}.</h1>'
    '<a href="/for/{{traits.plan|all}}" title="{{traits.plan}}">See</a></section>'
)
BODIES = {
    "html without variables": Content(type="html", body="<section><h1>Hello</h1></section>" * 8),
    "html, 1 variable": Content(type="html", body="<section><h1>Hello {{traits.first_name}}</h1></section>"),
    "html, 6 variables": Content(type="html", body=_TEASER * 2),
    "html of 32 KB, 500 variables": Content(type="html", body=_TEASER * 167),
    "html of 32 KB, nested": Content(type="html", body="<div><p><b>" * 2_900),
    "redirect": Content(type="redirect", body="https://shop.example/?q={{traits.first_name}}"),
    "json": Content(body={"title": "Hi {{traits.first_name|you}}", "items": [1, 2, {"a": "b"}]}),
}


def cpu_us(work: Callable[[], object], rounds: int) -> float:
    """Median CPU of one call over the rounds, each of about 20 ms."""
    started = time.process_time()
    work()
    n = max(1, int(0.02 / max(time.process_time() - started, 1e-7)))
    found = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(n):
            work()
        found.append((time.process_time() - started) / n)
    return round(statistics.median(found) * 1e6, 2)


def _check(content: Content) -> None:
    assert list(body_mistakes(content, content.body, ())) == []


def main() -> None:
    """Measure every body and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    state = VisitorState(traits={"first_name": "Ada <L>", "plan": "pro"})
    scope = VisitorScope(state, {}, compile_catalog(Catalog(placements={}, content={}), 1), 0, False)
    for name, content in BODIES.items():
        report = {
            "body": name,
            "us_per_check": cpu_us(partial(_check, content), rounds),
            "us_per_renderer": cpu_us(partial(Renderer, content), rounds),
            "us_per_answer": cpu_us(partial(Renderer(content).render, scope), rounds),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    end_by_sigterm()
    main()
