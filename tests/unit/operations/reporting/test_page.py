"""The page of reports: whole, of its own, and escaping whatever a catalog calls things."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import html5lib
import msgspec
import pytest

from operations.reporting.page import page
from personalization.evaluation.experiment_report import ExperimentReport
from tests.unit.operations.reporting import made_reports

EVIL = "<script>alert(1)</script>\"'&"
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def read(*reports: ExperimentReport) -> ElementTree.Element:
    parser = html5lib.HTMLParser(strict=True)  # raises at markup that is wrong
    tree: ElementTree.Element = parser.parse(page(reports, 1_700_000_000_000))
    return tree


def words(tree: ElementTree.Element) -> str:
    return re.sub(r"\s+", " ", " ".join(tree.itertext()))


def evil(report: ExperimentReport) -> ExperimentReport:
    """The same, with every text that a catalog gives written by somebody who means no good."""

    def mean(name: str) -> str:
        return name + EVIL

    return msgspec.structs.replace(
        report,
        placement=mean(report.placement),
        split={mean(side): share for side, share in report.split.items()},
        counts={mean(side): n for side, n in report.counts.items()},
        differences=[
            msgspec.structs.replace(
                each,
                metric=mean(each.metric),
                unit=mean(each.unit),
                segment=each.segment and mean(each.segment),
                side=mean(each.side),
                words=mean(each.words),
                missing=each.missing and mean(each.missing),
            )
            for each in report.differences
        ],
        money=[msgspec.structs.replace(each, metric=mean(each.metric), unit=EVIL) for each in report.money],
        courses=[msgspec.structs.replace(each, metric=EVIL, side=mean(each.side)) for each in report.courses],
        earlier=[[mean(side) for side in sides] for sides in report.earlier],
    )


def test_the_page_is_right_as_it_stands_and_says_what_was_found() -> None:
    tree = read(made_reports.full())
    said = words(tree)
    assert "What home.hero brought" in said
    assert "0.6 points more" in said
    assert "€12,300" in said
    assert made_reports.THIN in said
    assert "+0.1 to +1.1" in said


def test_whatever_a_catalog_calls_things_is_no_markup() -> None:
    tree = read(evil(made_reports.full()))
    assert list(tree.iter(f"{HTML}script")) == []
    names = {each.tag.rpartition("}")[2] for each in tree.iter()}
    honest = {each.tag.rpartition("}")[2] for each in read(made_reports.full()).iter()}
    assert names == honest, "no element that the page of honest names has not"
    known = {name for each in read(made_reports.full()).iter() for name in each.attrib}
    assert {name for each in tree.iter() for name in each.attrib} == known


def test_the_page_loads_nothing() -> None:
    tree = read(made_reports.full(), made_reports.missing(), made_reports.alarm())
    for each in tree.iter():
        for name, value in each.attrib.items():
            assert name not in ("src", "href", "srcset", "action", "data"), each.tag
            assert "url(" not in value
    (style,) = tree.iter(f"{HTML}style")
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


@pytest.mark.parametrize("report", [made_reports.missing(), made_reports.alarm()])
def test_where_nothing_can_be_said_the_sentence_stands_alone(report: ExperimentReport) -> None:
    tree = read(report)
    said = words(tree)
    assert (report.alarm or report.missing) in said
    headings = [each.text for each in tree.iter(f"{HTML}h2")]
    assert not {"What changed", "What it was worth", "How soon it came"} & set(headings)
    assert "points" not in said.partition("How to read this")[0]


def test_every_picture_has_a_name_a_description_and_its_figures_in_a_table() -> None:
    tree = read(made_reports.full(), made_reports.full("second"))
    pictures = list(tree.iter(f"{SVG}svg"))
    ids = [each.attrib["id"] for each in tree.iter() if "id" in each.attrib]
    assert len(ids) == len(set(ids))
    assert len(pictures) == 10
    for picture in pictures:
        named = picture.attrib["aria-labelledby"].split()
        assert set(named) <= set(ids)
        assert all(len(each.text or "") > 5 for each in picture if each.tag in (f"{SVG}title", f"{SVG}desc"))
    assert len(list(tree.iter(f"{HTML}table"))) >= len(pictures)


def test_an_interval_is_drawn_where_its_numbers_stand() -> None:
    """Zero, both ends and the middle of a row lie on one straight scale."""
    only = msgspec.structs.replace(made_reports.full(), differences=[made_reports.ORDERED], courses=[], counts={})
    (picture,) = read(only).iter(f"{SVG}svg")
    lines = {each.attrib["class"]: each for each in picture.iter(f"{SVG}line")}
    zero = float(lines["zero"].attrib["x1"])
    whisker = next(each for each in picture.iter(f"{SVG}line") if each.attrib["class"] == "whisker told")
    low, high = float(whisker.attrib["x1"]), float(whisker.attrib["x2"])
    (middle,) = (float(each.attrib["cx"]) for each in picture.iter(f"{SVG}circle"))
    per_share = (high - low) / 0.01
    assert low - zero == pytest.approx(0.001 * per_share, abs=0.1)
    assert middle - zero == pytest.approx(0.006 * per_share, abs=0.1)


def test_the_same_report_gives_the_same_page() -> None:
    assert page([made_reports.full()], 0) == page([made_reports.full()], 0)
