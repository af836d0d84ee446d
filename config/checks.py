"""What the types and the compiler cannot know: names of models, policies and features, and names inside rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from config.catalog_errors import did_you_mean
from personalization.catalog import Catalog
from personalization.policy_spec import PolicySpec

_SEGMENT = re.compile(r"""(["'])(?P<name>[^"']+)\1\s+in\s+segments\b""")
_AFFINITY = re.compile(r"""\baffinities(?:\.(?P<dotted>\w+)|\[\s*(["'])(?P<quoted>[^"']+)\2\s*\])""")

Problem = tuple[str, str, str]
"""Path, message, code."""


def check_names(
    catalog: Catalog,
    check_model: Callable[[str], str | None] | None,
    check_policy: Callable[[str], str | None] | None,
    check_feature: Callable[[str], str | None] | None,
) -> Iterator[Problem]:
    """Every name that stands for nothing, and every key that stands for two things."""
    for name, placement in catalog.placements.items():
        where = f"placements.{name}"
        if check_model is not None and (wrong := check_model(placement.model)):
            yield f"{where}.model", wrong, "unknown_name"
        if check_policy is not None and (wrong := check_policy(placement.policy.name)):
            yield f"{where}.policy", wrong, "unknown_name"
        yield from _policy(placement.policy, f"{where}.policy")
        yield from _features(placement.features, where, check_feature)
    yield from _features(catalog.features, "", check_feature)
    for path, rule in _visitor_rules(catalog):
        yield from _names_in_rule(catalog, path, rule)
    yield from _keys(catalog)


def _policy(policy: PolicySpec, where: str) -> Iterator[Problem]:
    least = policy.min_probability
    if least is not None and not 0 <= least < 1:
        yield f"{where}.min_probability", "must be a probability: 0 or more, below 1", "invalid_field"


def _features(
    names: tuple[str, ...], where: str, check: Callable[[str], str | None] | None
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        here = f"{where}.features[{index}]".lstrip(".")
        if name in names[:index]:
            yield here, f"names {name!r} twice", "duplicate_name"
        elif check is not None and (wrong := check(name)):
            yield here, wrong, "unknown_name"


def _visitor_rules(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for name, source in catalog.segments.items():
        yield f"segments.{name}", source
    for name, content in catalog.content.items():
        if content.when is not None:
            yield f"content.{name}.when", content.when
    for name, placement in catalog.placements.items():
        if placement.when is not None:
            yield f"placements.{name}.when", placement.when


def _names_in_rule(catalog: Catalog, path: str, rule: str) -> Iterator[Problem]:
    for match in _SEGMENT.finditer(rule):
        name = match["name"]
        if name not in catalog.segments:
            yield path, f"no segment {name!r}; {did_you_mean(name, catalog.segments)}", "unknown_name"
    for match in _AFFINITY.finditer(rule):
        name = match["dotted"] or match["quoted"]
        if name not in catalog.affinities:
            yield path, f"no affinity {name!r}; {did_you_mean(name, catalog.affinities)}", "unknown_name"


def _keys(catalog: Catalog) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, source in catalog.sources.items():
        for role, keys in (("write_keys", source.write_keys), ("server_keys", source.server_keys)):
            for index, key in enumerate(keys):
                here = f"sources.{name}.{role}[{index}]"
                if not key.strip() or len(key) > 200 or not key.isascii() or key != key.strip():
                    yield here, "must be 1 to 200 ASCII characters without blanks around them", "invalid_field"
                elif key.startswith("sha256:") and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", key):
                    yield here, "must be sha256: and 64 hex digits, as 'sha256sum' prints them", "invalid_field"
                elif key in owners:
                    yield here, f"the same key stands at {owners[key]}; give each its own", "duplicate_name"
                owners.setdefault(key, here)
