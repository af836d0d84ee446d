"""The page of docs that says which key may call what, made from the routes of every dialect."""

from __future__ import annotations

from api.access.permissions import GRANTED
from api.app import ANSWERED

_HEAD = """# Which key may call what

Every route asks for one permission; a key has those of its role, or fewer if the catalog lists them
([keys](keys.md)). *yes*: answered. Otherwise 403; without a key, with one nobody knows, and with one
that has ended, 401.

This page is made from the routes of `api/dialects/` by `python -m config.generate`.

"""


def access_page() -> str:
    """The page as Markdown."""
    roles = list(GRANTED)
    lines = [
        f"| route | permission | no key | {' | '.join(roles)} |\n",
        f"|---|---|---|{'---|' * len(roles)}\n",
    ]
    for route in (route for dialect in ANSWERED for route in dialect.routes):
        called = f"`{', '.join(route.methods)} {route.path.replace(':path', '')}`"
        if route.permission is None:
            lines.append(f"| {called} | – | yes | {' | '.join('yes' for _ in roles)} |\n")
            continue
        answers = ["yes" if route.permission in GRANTED[role] else "403" for role in roles]
        lines.append(f"| {called} | `{route.permission}` | 401 | {' | '.join(answers)} |\n")
    return _HEAD + "".join(lines) + "\n" + _permissions()


def _permissions() -> str:
    lines = ["## Permissions of each role\n\n", "| role | permissions |\n|---|---|\n"]
    for role, allowed in GRANTED.items():
        lines.append(f"| `{role}` | {', '.join(f'`{each}`' for each in sorted(allowed))} |\n")
    return "".join(lines)
