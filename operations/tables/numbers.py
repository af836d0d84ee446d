"""Numbers as people write them: decimal commas, thousands, currencies, percent."""

from __future__ import annotations

import re

POINT, COMMA = ".", ","

MAX_CHARS = 40
"""Longer text is no number."""

_MONEY = r"(?:[€$£¥]|EUR|USD|CHF|GBP)"
_DRESS = re.compile(
    rf"(?P<sign>[+-]?)\s*{_MONEY}?\s*(?P<sign2>[+-]?)(?P<body>[0-9.,].*?)(?P<sign3>-?)\s*(?:{_MONEY}|%)?"
)
_SPACES = " \u00a0\u202f\u2009"
"""Thousands are spaced by blanks, unbreakable and narrow ones."""

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPED = {
    POINT: re.compile(rf"\d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?|\d{{1,3}}(?:[{_SPACES}'’]\d{{3}})+(?:\.\d*)?"),
    COMMA: re.compile(rf"\d{{1,3}}(?:\.\d{{3}})+(?:,\d*)?|\d{{1,3}}(?:[{_SPACES}'’]\d{{3}})+(?:,\d*)?"),
}
_PLAIN = {
    POINT: re.compile(rf"(?:\d+\.?\d*|\.\d+){_EXPONENT}"),
    COMMA: re.compile(rf"(?:\d+,?\d*|,\d+){_EXPONENT}"),
}
_STRIP = {
    mark: str.maketrans(dict.fromkeys(f"{_SPACES}'’{COMMA if mark == POINT else POINT}") | {mark: "."})
    for mark in (POINT, COMMA)
}
_ONE_MARK = re.compile(r"(\d*)([.,])(\d+)")
_TRUE = frozenset(
    {"1", "true", "t", "yes", "y", "ja", "j", "wahr", "oui", "vrai", "si", "sí", "sì", "verdadero", "vero"}
)
_FALSE = frozenset({"0", "false", "f", "no", "n", "nein", "falsch", "non", "faux", "falso"})


def number(text: str, mark: str) -> float | None:
    """The number that ``text`` writes with the decimal ``mark``; None where it writes none.

    >>> number("1.234,5", ","), number("1,234.5", "."), number("3,5", ","), number("3,5", ".")
    (1234.5, 1234.5, 3.5, None)
    >>> number("€ 1'200.00", "."), number("12,50-", ","), number("12,5 %", ","), number("1 234,00 €", ",")
    (1200.0, -12.5, 12.5, 1234.0)
    """
    found = _DRESS.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None:
        return None
    body = found["body"]
    if not _PLAIN[mark].fullmatch(body) and not _GROUPED[mark].fullmatch(body):
        return None
    value = float(body.translate(_STRIP[mark]))
    return -value if "-" in (found["sign"], found["sign2"], found["sign3"]) else value


def mark_of(text: str) -> str | None:
    """The decimal mark that a number can only have been written with; None where it could be either.

    >>> [mark_of(text) for text in ("3,5", "3.5", "1.234", "1.234,00", "1,234,567", "0,125")]
    [',', '.', None, ',', '.', ',']
    """
    found = _DRESS.fullmatch(text) if len(text) <= MAX_CHARS else None
    body = text if found is None else found["body"]
    one = _ONE_MARK.fullmatch(body)
    if one is not None:
        whole, mark, fraction = one.groups()
        grouped = len(fraction) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
        return None if grouped else mark
    as_point, as_comma = number(body, POINT), number(body, COMMA)
    if (as_point is None) == (as_comma is None):
        return None
    return COMMA if as_point is None else POINT


def is_ambiguous(text: str) -> bool:
    """Whether the number is thousands by one mark, and has three decimals by the other.

    >>> is_ambiguous("1.234"), is_ambiguous("1.23"), is_ambiguous("7")
    (True, False, False)
    """
    return (
        any(mark in text for mark in (POINT, COMMA)) and mark_of(text) is None and number(text, POINT) is not None
    )


def truth(text: str) -> bool | None:
    """Yes or no, in the words of five languages; None where it is neither.

    >>> truth("Ja"), truth("FALSCH"), truth("oui"), truth("0"), truth("1.0"), truth("maybe")
    (True, False, True, False, True, None)
    """
    word = text.strip().lower()
    if word in {"1.0", "1,0", "0.0", "0,0"}:
        word = word[0]
    return True if word in _TRUE else False if word in _FALSE else None
