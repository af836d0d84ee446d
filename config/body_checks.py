"""Bodies that could become code in somebody's page, or lead where nobody meant."""

from __future__ import annotations

from collections.abc import Iterator

from personalization.catalog.body_check import body_mistakes
from personalization.catalog.catalog import Catalog


def unsafe_bodies(catalog: Catalog) -> Iterator[tuple[str, int, str]]:
    """(path, line of the text from 1, what is wrong) of all that no body may hold.

    Asked when a catalog is published, never when a version is put in force: what the log names has to compile.
    """
    for name, content in catalog.content.items():
        bodies = {"body": content.body, **{f"locales.{tag}": body for tag, body in content.locales.items()}}
        for where, body in bodies.items():
            for mistake in body_mistakes(content, body, catalog.redirect_schemes):
                yield f"content.{name}.{where}", mistake.line, mistake.message
