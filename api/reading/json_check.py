"""Where in a JSON text the trouble is: the path of the first thing we refuse, and why.

Only asked after a decoder refused the text, or a cheap look at it raised a suspicion: it reads token by token
in Python, without recursion.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

MAX_DEPTH = 32
"""Of one event or request: deeper is no data of anybody's, and every later reader recurses."""

_MAX_TOKENS = 2_000
"""About 2 ms; beyond it the answer is less exact instead of late."""

_NUL = "holds a NUL character; remove it"
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH}"

_TOKEN = re.compile(
    rb"""[ \t\r\n]*(?:
      (?P<open>[{\[]) | (?P<close>[}\]]) | (?P<mark>[,:])
    | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.+-])
    | (?P<word>true|false|null)\b
    )""",
    re.X,
)
_BAD_NUMBER = re.compile(rb"[ \t\r\n]*-?(?:nan|inf(?:inity)?)\b", re.I)
_SURROGATE = re.compile(r"\\(?:u(?P<code>[0-9a-fA-F]{4})|.)")


class Trouble(NamedTuple):
    """What is wrong, where."""

    field: str
    message: str
    code: str


def trouble_in(text: bytes, prefix: str = "") -> Trouble | None:
    """What is refused in ``text``, which a decoder took for JSON: a NUL, or too much depth; a fast look.

    It is refused too where the place cannot be found in time: then ``prefix`` is all that is named.

    >>> trouble_in(b"[" * 33 + b"]" * 33).message
    'is nested deeper than 32'
    """
    if b"\\u0000" not in text and text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return None
    if holds_nul(text):
        found = Trouble(prefix or "body", _NUL, "bad_text")
    elif depth(text) > MAX_DEPTH:
        found = Trouble(prefix or "body", _TOO_DEEP, "too_deep")
    else:
        return None
    return find_trouble(text, prefix) or found


def holds_nul(text: bytes) -> bool:
    r"""Whether a JSON text has the escape of a NUL character.

    >>> holds_nul(rb'["\u0000"]'), holds_nul(rb'["\\u0000"]'), holds_nul(rb'["\\\u0000"]')
    (True, False, True)
    """
    return b"\\u0000" in text and b"\\u0000" in text.replace(b"\\\\", b"")


def depth(text: bytes) -> int:
    """How deeply a JSON text is nested; 90 KB take a third of a millisecond.

    >>> depth(b'{"a": [1, {"b": "}]"}]}'), depth(b'{"a\\\\\\"{": 1}')
    (3, 1)
    """
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)
    data = np.frombuffer(text, np.uint8)
    outside = np.cumsum(data == ord('"'), dtype=np.uint8) & 1 == 0  # of strings
    # "[" and "{" differ in one bit, as "]" and "}" do.
    brackets = (data | 0x20)[outside]
    steps = (brackets == ord("{")).astype(np.int32) - (brackets == ord("}"))
    return int(np.cumsum(steps).max(initial=0))


_ESCAPE = re.compile(rb"\\.", re.S)


def find_trouble(text: bytes, prefix: str = "") -> Trouble | None:
    """The first thing in ``text`` that is refused, None where nothing is.

    >>> find_trouble(b'{"events": [{"properties": {"price": NaN}}]}')
    Trouble(field='events[0].properties.price', message='is not a number JSON has; send a finite one, or null', \
code='bad_number')
    >>> find_trouble(b'{"a": ["x\\\\u0000"]}', "context").field
    'context.a[0]'
    >>> find_trouble(b'{"a": "\\\\\\\\u0000 \\\\ud83d\\\\ude00"}') is None
    True
    """
    path: list[str | int] = []
    at = 0
    key_next = False
    n_tokens = 0
    while at < len(text):
        n_tokens += 1
        if n_tokens > _MAX_TOKENS:
            return None
        match = _TOKEN.match(text, at)
        if match is None:
            if not text[at:].strip():
                return None
            where = _join(prefix, path)
            if _BAD_NUMBER.match(text, at):
                return Trouble(where, "is not a number JSON has; send a finite one, or null", "bad_number")
            return Trouble(where, f"is not JSON at byte {at}", "bad_json")
        at = match.end()
        kind = match.lastgroup
        token = match[kind] if kind else b""
        if kind == "open":
            if len(path) >= MAX_DEPTH:
                return Trouble(_join(prefix, path[:6]), _TOO_DEEP, "too_deep")
            key_next = token == b"{"
            path.append("" if key_next else 0)
        elif kind == "close":
            if not path:
                return Trouble(prefix or "body", f"is not JSON at byte {at}", "bad_json")
            path.pop()
            key_next = False
        elif token == b"," and path:
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
            else:
                key_next = True
        elif kind == "string":
            text_of = token.decode("utf-8", "replace")[1:-1]
            if key_next and path:
                path[-1] = text_of[:64]
                key_next = False
            problem = _in_string(token, text_of)
            if problem is not None:
                return Trouble(_join(prefix, path), *problem)
        elif kind == "number" and not math.isfinite(float(token)):
            return Trouble(_join(prefix, path), "is beyond what a number can hold", "bad_number")
    return None


def _in_string(token: bytes, text: str) -> tuple[str, str] | None:
    try:
        token.decode()
    except UnicodeDecodeError:
        return "is not UTF-8", "bad_text"
    if "\\u" not in text:
        return None
    high = False
    end = 0
    for match in _SURROGATE.finditer(text):
        code = int(match["code"], 16) if match["code"] else -1
        if high and (match.start() != end or not 0xDC00 <= code <= 0xDFFF):
            return "holds a lone surrogate, which is no character", "bad_text"
        if code == 0:
            return _NUL, "bad_text"
        if not high and 0xDC00 <= code <= 0xDFFF:
            return "holds a lone surrogate, which is no character", "bad_text"
        high = 0xD800 <= code <= 0xDBFF
        end = match.end()
    return ("holds a lone surrogate, which is no character", "bad_text") if high else None


def _join(prefix: str, path: list[str | int]) -> str:
    joined = prefix
    for step in path:
        if isinstance(step, int):
            joined += f"[{step}]"
        elif step:
            joined += f".{step}" if joined else step
    return joined or "body"
