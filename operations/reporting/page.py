"""Reports as one page of its own: it needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from operations.reporting import numbers, rows
from operations.reporting.course_picture import brief, course_picture
from operations.reporting.forest import forest
from operations.reporting.markup import Markup, element, joined, void
from operations.reporting.numbers import NOTHING, scale_of
from operations.reporting.order import by_metric, finding, of_everybody, of_segments
from operations.reporting.rows import Cell
from operations.reporting.sides import compared, side_name
from operations.reporting.split_picture import split_picture
from personalization.evaluation.experiment_report import Course, Difference, ExperimentReport, Money
from personalization.explaining.number_words import moment

_STYLE = Path(__file__).with_name("page.css")
_LOADS_NOTHING = "default-src 'none'; style-src 'unsafe-inline'"

_GLOSSARY = (
    (
        "Who counts",
        "Each visitor once, from the first time they were shown something here, on the side they were on then, and "
        "only who was watched for the whole horizon.",
    ),
    (
        "The interval",
        "The difference lies in it; at most one of twenty such experiments ever has an interval that misses it. "
        "You may look at any time, and as often as you like. If the interval leaves out zero, the sides differ.",
    ),
    (
        "Could be seen",
        "The smallest relative difference that as many visitors on this split find in four of five experiments. A "
        "smaller one may be there, and not be seen yet.",
    ),
    (
        "Segments",
        "Of many rows one looks good by chance: the interval of each segment is wider for every other one that is "
        "looked at.",
    ),
    (
        "Saw both sides",
        "Visitors who turned out to be one person, or who came to another side. They count on the first one, which "
        "makes a difference look smaller than it is.",
    ),
)


def page(reports: Sequence[ExperimentReport], made_ms: int) -> str:
    """The page of one report, or of several.

    Parameters
    ----------
    made_ms
        When it was made, in milliseconds since 1970.
    """
    title = f"What {reports[0].placement} brought" if len(reports) == 1 else "What personalisation brought"
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", http_equiv="Content-Security-Policy", content=_LOADS_NOTHING),
        element("title", title),
        element("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    articles = [_article(each, f"p{at}") for at, each in enumerate(reports)]
    footer = element("footer", element("p", f"As of {moment(made_ms)}."))
    body = element("body", element("main", *articles, _glossary()), footer)
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _article(report: ExperimentReport, id_: str) -> Markup:
    parts = [element("h1", f"What {report.placement} brought")]
    if report.counts:
        parts.append(element("p", rows.facts(report), class_="facts"))
    why_not = finding(report).why_not
    if why_not:
        parts.append(element("p", _unbroken(why_not), class_="callout", role="status"))
    else:
        parts += [element("p", _unbroken(finding(report).words), class_="lead")]
        parts += [_differences(report, id_), _money(report.money), _courses(report.courses, id_)]
        parts.append(_segments(report, id_))
    if report.split:
        parts.append(_took_part(report, id_))
    return element("article", *parts)


def _differences(report: ExperimentReport, id_: str) -> Markup:
    parts, lead = [], finding(report).words
    for at, (metric, differences) in enumerate(by_metric(report)):
        everybody = of_everybody(differences)
        if not everybody:
            continue
        parts.append(element("h3", metric))
        parts += [
            element("p", _unbroken(words)) for each in everybody if (words := each.words or each.missing) != lead
        ]
        parts.append(_figure(forest(f"{id_}-{at}", everybody, scale_of(everybody[0]))))
        parts.append(_difference_table(everybody, metric))
    return _section("What changed", *parts)


def _segments(report: ExperimentReport, id_: str) -> Markup:
    parts = []
    for at, (metric, differences) in enumerate(by_metric(report)):
        for number, group in enumerate(of_segments(differences)):
            caption = f"{metric}: {compared(group[0])}"
            parts.append(element("h3", caption))
            parts.append(_figure(forest(f"{id_}-{at}-{number}", group, scale_of(group[0]))))
            parts.append(_difference_table(group, caption))
    return _section("By segment", *parts) if parts else Markup("")


def _difference_table(differences: Sequence[Difference], caption: str) -> Markup:
    found = []
    for each in differences:
        who, *cells = rows.of_difference(each)
        name = each.segment or who.figure
        found.append(_in_words(name, each.missing, len(cells)) if each.missing else _row(name, cells))
    return _table(caption, rows.DIFFERENCES, found)


def _money(money: Sequence[Money]) -> Markup:
    if not money:
        return Markup("")
    found = []
    for each in money:
        name, *cells = rows.of_money(each)
        found.append(
            _in_words(name.figure, cells[-1].figure, 2) if each.value is None else _row(name.figure, cells)
        )
    words = [element("p", _unbroken(each.words)) for each in money if each.words and each.value is not None]
    return _section("What it was worth", *words, _table("Against the held out", rows.MONEY, found))


def _courses(courses: Sequence[Course], id_: str) -> Markup:
    by: dict[str, list[Course]] = {}
    for each in courses:
        if each.until_ms:
            by.setdefault(each.metric, []).append(each)
    if not by:
        return Markup("")
    parts = [
        element(
            "p",
            "Of how many visitors it had come by then. The bands are 95 % intervals for a single look; whether "
            "sides differ is told above.",
            class_="facts",
        )
    ]
    for at, (metric, group) in enumerate(by.items()):
        parts += [
            element("h3", metric),
            _figure(course_picture(f"{id_}-c{at}", group)),
            _course_table(metric, group),
        ]
    return _section("How soon it came", *parts)


def _course_table(metric: str, courses: Sequence[Course]) -> Markup:
    times = sorted({at for each in courses for at in each.until_ms})
    found = [_row(brief(at_ms), [_by_then(each, at_ms) for each in courses]) for at_ms in times]
    heads = ("within", *(side_name(each.side) for each in courses))
    table = _table(f"{metric}: by then it had come of", heads, found)
    return element("details", element("summary", "The same in figures"), table)


def _by_then(course: Course, at_ms: int) -> Cell:
    if at_ms not in course.until_ms:
        return Cell(NOTHING)
    at = course.until_ms.index(at_ms)
    came, low, high = (numbers.share(each[at]) for each in (course.shares, course.low, course.high))
    return Cell(came, f"{low} to {high}")


def _took_part(report: ExperimentReport, id_: str) -> Markup:
    parts = []
    if any(report.counts.values()):
        parts.append(_figure(split_picture(f"{id_}-split", report.counts, report.split)))
    found = [_row(side.figure, cells) for side, *cells in rows.of_sides(report)]
    parts.append(_table("Visitors by side", rows.SIDES, found))
    words = (rows.split_words(report), rows.earlier_words(report))
    parts += [element("p", each, class_="facts") for each in words if each]
    return _section("Who took part", *parts)


def _glossary() -> Markup:
    terms = [joined(element("dt", term), element("dd", words)) for term, words in _GLOSSARY]
    return _section("How to read this", element("dl", *terms))


def _unbroken(words: str) -> str:
    """A sentence in which no line begins with a sign of per cent."""
    return words.replace(" %", "\N{NO-BREAK SPACE}%")


def _section(heading: str, *parts: str) -> Markup:
    return element("section", element("h2", heading), *parts)


def _figure(picture: Markup) -> Markup:
    return element("figure", picture, tabindex="0")


def _row(name: str, cells: Sequence[Cell]) -> Markup:
    return element("tr", element("th", name, scope="row"), *map(_cell, cells))


def _cell(cell: Cell) -> Markup:
    below = element("small", cell.below) if cell.below else Markup("")
    return element("td", cell.figure, below, class_="number")


def _in_words(name: str, words: str, n_columns: int) -> Markup:
    return element("tr", element("th", name, scope="row"), element("td", _unbroken(words), colspan=n_columns))


def _table(caption: str, heads: Iterable[str], of: Sequence[Markup]) -> Markup:
    first, *others = heads
    head = element(
        "tr",
        element("th", first, scope="col"),
        *(element("th", each, scope="col", class_="number") for each in others),
    )
    table = element("table", element("caption", caption), element("thead", head), element("tbody", *of))
    return element("div", table, class_="wide", tabindex="0", role="group", aria_label=caption)
