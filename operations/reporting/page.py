"""Reports as one page of its own: it needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from operations.reporting import numbers
from operations.reporting.course_picture import brief, course_picture
from operations.reporting.forest import forest
from operations.reporting.markup import Markup, element, joined, void
from operations.reporting.numbers import NOTHING, scale_of, scale_of_money
from operations.reporting.order import by_metric, finding, of_everybody, of_segments
from operations.reporting.sides import compared, side_name
from operations.reporting.split_picture import split_picture
from personalization.evaluation.experiment_report import Course, Difference, ExperimentReport, Money
from personalization.explaining.number_words import length, moment

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
        "The difference lies in it; in one of twenty such experiments it ever does not. It may be looked at at any "
        "time, as often as you like. If it leaves out zero, the sides differ.",
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
    parts = [element("h1", f"What {report.placement} brought"), _facts(report)]
    why_not = finding(report).why_not
    if why_not:
        parts.append(element("p", _unbroken(why_not), class_="callout", role="status"))
    else:
        parts += [element("p", _unbroken(finding(report).words), class_="lead")]
        parts += [_differences(report, id_), _money(report.money), _courses(report.courses, id_)]
    if report.split:
        parts.append(_took_part(report, id_))
    return element("article", *parts)


def _facts(report: ExperimentReport) -> Markup:
    n = sum(report.counts.values())
    watched = f"each watched for {length(report.horizon_ms)} from the first time they were shown something"
    return element("p", f"{n:,} {'visitor' if n == 1 else 'visitors'}, {watched}.", class_="facts")


def _differences(report: ExperimentReport, id_: str) -> Markup:
    parts, lead = [], finding(report).words
    for at, (metric, differences) in enumerate(by_metric(report)):
        everybody, segments = of_everybody(differences), of_segments(differences)
        parts.append(element("h3", metric))
        parts += [
            element("p", _unbroken(words)) for each in everybody if (words := each.words or each.missing) != lead
        ]
        parts.append(_figure(forest(f"{id_}-{at}", everybody, scale_of(everybody[0]))))
        parts.append(_difference_table(everybody, f"{metric}, everybody"))
        for number, group in enumerate(segments):
            picture = forest(f"{id_}-{at}-{number}", group, scale_of(group[0]))
            parts.append(element("p", f"By segment: {compared(group[0])}.", class_="facts"))
            parts += [_figure(picture), _difference_table(group, f"{metric}, by segment")]
    return _section("What changed", *parts)


def _difference_table(differences: Sequence[Difference], caption: str) -> Markup:
    heads = ("who", "this side", "the other", "difference", "interval", "relative", "p", "could be seen")
    rows = []
    for each in differences:
        who = f"{each.segment}: {compared(each)}" if each.segment else compared(each)
        scale = scale_of(each)
        if each.missing:
            rows.append(element("tr", element("th", who, scope="row"), element("td", each.missing, colspan=7)))
            continue
        rows.append(
            _row(
                who,
                _two_lines(scale.mean(each.mean_side), f"of {each.n_side:,}"),
                _two_lines(scale.mean(each.mean_against), f"of {each.n_against:,}"),
                scale.change(each.difference),
                _two_lines(scale.interval(each.low, each.high), numbers.level(each.level)),
                _two_lines(
                    numbers.relative(each.relative),
                    numbers.relative_interval(each.relative_low, each.relative_high),
                ),
                numbers.p_value(each.p_value),
                NOTHING if each.detectable is None else numbers.share(each.detectable),
            )
        )
    return _table(caption, heads, rows)


def _two_lines(value: str, below: str) -> Markup:
    return joined(value, Markup("") if below == NOTHING else element("small", below))


def _money(money: Sequence[Money]) -> Markup:
    if not money:
        return Markup("")
    rows = []
    for each in money:
        name = f"{each.name}: {each.metric}" if each.metric else each.name
        scale = scale_of_money(each)
        if each.value is None:
            why_not = each.missing or each.words or NOTHING
            rows.append(element("tr", element("th", name, scope="row"), element("td", why_not, colspan=2)))
            continue
        interval = scale.interval(each.low, each.high, signed=False)
        rows.append(_row(name, scale.mean(each.value), interval))
    words = [element("p", _unbroken(each.words)) for each in money if each.words and each.value is not None]
    return _section(
        "What it was worth", *words, _table("Against the held out", ("what", "value", "interval"), rows)
    )


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
    rows = []
    for at_ms in times:
        rows.append(_row(brief(at_ms), *(_by_then(each, at_ms) for each in courses)))
    table = _table(
        f"{metric}: by then it had come of", ("within", *(side_name(each.side) for each in courses)), rows
    )
    return element("details", element("summary", "The same in figures"), table)


def _by_then(course: Course, at_ms: int) -> str:
    if at_ms not in course.until_ms:
        return NOTHING
    at = course.until_ms.index(at_ms)
    came, low, high = (numbers.share(each[at]) for each in (course.shares, course.low, course.high))
    return f"{came} ({low} to {high})"


def _took_part(report: ExperimentReport, id_: str) -> Markup:
    n = sum(report.counts.values())
    parts = []
    if n:
        parts.append(_figure(split_picture(f"{id_}-split", report.counts, report.split)))
    rows = [
        _row(
            side_name(side),
            f"{report.counts.get(side, 0):,}",
            numbers.share(report.counts.get(side, 0) / n) if n else NOTHING,
            numbers.share(wanted),
            f"{report.crossovers.get(side, 0):,}",
        )
        for side, wanted in report.split.items()
    ]
    parts.append(_table("Visitors by side", ("side", "visitors", "of all", "split today", "saw both sides"), rows))
    parts.append(element("p", _split_words(report.split_p_value), class_="facts"))
    if report.earlier:
        named = "; ".join(", ".join(map(side_name, sides)) for sides in report.earlier)
        parts.append(
            element("p", f"Other sides were compared here earlier, and do not count: {named}.", class_="facts")
        )
    return _section("Who took part", *parts)


def _split_words(p_value: float | None) -> str:
    if p_value is None:
        return "Too few took part for a word on whether they fell to the sides as the split says."
    if p_value < 0.001:
        return f"They did not fall to the sides as the split says (p {_spelled(p_value)})."
    return f"They fell to the sides as the split says (p {_spelled(p_value)})."


def _spelled(value: float) -> str:
    written = numbers.p_value(value)
    return written if written.startswith("<") else f"= {written}"


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


def _row(name: str, *cells: str) -> Markup:
    return element(
        "tr", element("th", name, scope="row"), *(element("td", each, class_="number") for each in cells)
    )


def _table(caption: str, heads: Iterable[str], rows: Sequence[Markup]) -> Markup:
    first, *others = heads
    head = element(
        "tr",
        element("th", first, scope="col"),
        *(element("th", each, scope="col", class_="number") for each in others),
    )
    table = element("table", element("caption", caption), element("thead", head), element("tbody", *rows))
    return element("div", table, class_="wide", tabindex="0", role="group", aria_label=caption)
