"""A folder of YAML into a catalog that is known to work, or into every mistake in it at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from config.body_checks import unsafe_bodies
from config.catalog_errors import CatalogMistake, CatalogWarning, Mistakes, Place
from config.catalog_shape import Group, MapOf, catalog_shape
from config.catalog_warnings import catalog_warnings
from config.checks import CheckModel, CheckPolicy, check_names
from config.convert import Converter
from config.yaml_tree import Fields, Items, Scalar, Tree, is_null, kind, parse_yaml
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.errors import InvalidInput

_SUFFIXES = (".yaml", ".yml")

# A wrong field makes what is said of these siblings untrue: they were compared with its placeholder.
_COMPARED_WITH: dict[str, tuple[str, ...]] = {
    "default_reward": ("reward_range",),
    "reward_range": ("default_reward",),
    "body": ("type", "trusted"),
    "trusted": ("type",),
    "ends": ("starts",),
    "content": ("arms",),
    "default": ("arms",),
    "half_life": ("events",),
    "expires": ("events",),
    "trend": ("events",),
    "groups": ("events", "traits"),
    "hysteresis": ("tiers",),
    "rearm": ("tiers",),
    "tiers": ("tiers",),
}


def shipped_catalog() -> Path:
    """The example shop that comes with nextbest."""
    return Path(__file__).parent / "catalog"


def demo_catalog() -> Path:
    """The catalog of the film demo: one placement, eight shelves."""
    return Path(__file__).parent / "demo_catalog"


def load_catalog(
    folder: Path,
    *,
    check_model: CheckModel | None = None,
    check_policy: CheckPolicy | None = None,
    check_conversion_model: CheckModel | None = None,
) -> Catalog:
    """Read every ``*.yaml`` under ``folder`` as one catalog.

    Parameters
    ----------
    folder
        Top-level names may be spread over its files in any way.
    check_model, check_policy, check_conversion_model
        Say what a placement or a conversion may not use; absent, what the registries of ``online_models`` know is
        what there is.

    Raises
    ------
    InvalidCatalog
        With every mistake, each a ``CatalogMistake`` that knows its file and line.
    """
    checked = check_catalog(
        folder, check_model=check_model, check_policy=check_policy, check_conversion_model=check_conversion_model
    )
    return checked.catalog_or_raise()


@dataclass(frozen=True, slots=True)
class CheckedCatalog:
    """A catalog with all that is to be said of it.

    Attributes
    ----------
    catalog
        None if it has mistakes.
    """

    catalog: Catalog | None
    mistakes: tuple[CatalogMistake, ...]
    warnings: tuple[CatalogWarning, ...]

    def catalog_or_raise(self) -> Catalog:
        """The catalog; raises ``InvalidCatalog`` with every mistake if it has any."""
        if self.catalog is None:
            raise InvalidCatalog([*self.mistakes])
        return self.catalog


def check_catalog(
    folder: Path,
    *,
    check_model: CheckModel | None = None,
    check_policy: CheckPolicy | None = None,
    check_conversion_model: CheckModel | None = None,
    now_ms: int | None = None,
) -> CheckedCatalog:
    """Read a folder as ``load_catalog`` does, and give every mistake and every warning in file order.

    Of keys is warned by ``now_ms``, milliseconds since 1970; None: the time it is.
    """
    known = _Known(check_model, check_policy, check_conversion_model)
    is_example = folder.resolve() in (shipped_catalog().resolve(), demo_catalog().resolve())
    return _check(
        folder.name, lambda mistakes: _read_folder(folder, mistakes), known, now_ms, is_example=is_example
    )


def check_files(files: Mapping[str, bytes], *, now_ms: int | None = None) -> CheckedCatalog:
    """Check a catalog that lies in no folder, as ``check_catalog`` does.

    Parameters
    ----------
    files
        The text of each file, by the name that mistakes in it are told by.
    """
    return _check("catalog", lambda mistakes: _parsed(sorted(files.items()), mistakes), _Known(), now_ms)


def catalog_files(folder: Path) -> dict[str, bytes]:
    """The text of each file of a catalog, by its path in ``folder``; raises ``InvalidCatalog`` if one is unread."""
    mistakes = Mistakes()
    texts = _read_texts(folder, mistakes)
    mistakes.raise_any()
    return dict(texts)


class _Known(NamedTuple):
    """What a placement or a conversion may use; None: what the registries know."""

    model: CheckModel | None = None
    policy: CheckPolicy | None = None
    conversion_model: CheckModel | None = None


def _check(
    name: str,
    read: Callable[[Mistakes], list[Tree]],
    known: _Known,
    now_ms: int | None,
    *,
    is_example: bool = False,
) -> CheckedCatalog:
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    converter = Converter()
    try:
        trees = read(converter.mistakes)
    except InvalidCatalog:
        return CheckedCatalog(None, converter.mistakes.in_file_order(), ())
    # A file that could not be read may define what the others name: say nothing about missing names then.
    whole = not converter.mistakes.found
    catalog = _combine(trees, converter, Place(name or "."), whole)
    misshapen = {_as_single(mistake.path) for mistake in converter.mistakes.found}
    for path, message, code in [
        *_compile_errors(catalog),
        *check_names(
            catalog,
            known.model or known_model,
            known.policy or known_policy,
            known.conversion_model or known_conversion_model,
        ),
    ]:
        if (whole or code != "unknown_name") and not _follows_from(path, code, misshapen):
            place = _place_of(path, converter.places, Place(name))
            converter.mistakes.add(place, path, message, code)
    for path, line, message in unsafe_bodies(catalog):
        if not _follows_from(path, "unsafe_body", misshapen):
            converter.mistakes.add(*_on_line(line, path, message, converter, Place(name)), "unsafe_body")
    mistakes = converter.mistakes.in_file_order()
    warnings = _warnings(name, catalog, converter, mistakes, now_ms, is_example) if whole else ()
    return CheckedCatalog(None if mistakes else catalog, mistakes, warnings)


def _warnings(
    name: str,
    catalog: Catalog,
    converter: Converter,
    mistakes: Collection[CatalogMistake],
    now_ms: int,
    is_example: bool,
) -> tuple[CatalogWarning, ...]:
    """Every warning that is not about what is wrong anyway."""
    wrong = {_as_single(mistake.path) for mistake in mistakes}
    found = [
        CatalogWarning(_place_of(path, converter.places, Place(name)), path, message, code)
        for path, message, code in catalog_warnings(catalog, converter.places, is_example=is_example, now_ms=now_ms)
        if not _follows_from(path, code, wrong)
    ]
    return tuple(sorted(found, key=lambda warning: (warning.place, warning.path)))


def known_model(spec: ModelSpec, field: str) -> None:
    """Raise ``InvalidInput`` unless River or we have this model."""
    if spec == ModelSpec():
        return
    from online_models.registry import check_model  # River takes a second to import: only where it is needed

    check_model(spec, field)


def known_conversion_model(spec: ModelSpec, field: str) -> None:
    """Raise ``InvalidInput`` unless this is our conversion model or a River classifier."""
    if spec == ModelSpec():
        return
    from online_models.conversion.registry import check_conversion_model

    check_conversion_model(spec, field)


def known_policy(spec: PolicySpec, field: str, arms: Collection[str]) -> Iterable[InvalidInput]:
    """Give everything that is wrong with a policy of a placement with these contents."""
    if spec == PolicySpec():  # nothing is, whatever the contents
        return ()
    from online_models.policies.check import policy_mistakes  # as above: its policies import scipy

    return policy_mistakes(spec, field, arms)


def _read_folder(folder: Path, mistakes: Mistakes) -> list[Tree]:
    return _parsed(_read_texts(folder, mistakes), mistakes)


def _read_texts(folder: Path, mistakes: Mistakes) -> list[tuple[str, bytes]]:
    name = folder.name or str(folder)
    if not folder.is_dir():
        what = "is a file; give the folder it lies in" if folder.exists() else "there is no such folder"
        mistakes.add(Place(str(folder)), "", what, "unreadable")
        mistakes.raise_any()
    files = sorted(_yaml_files(folder, mistakes))
    if not files and not mistakes.found:
        mistakes.add(Place(name), "", "holds no .yaml file; 'nextbest check' shows the example shop", "empty")
    texts = []
    for file in files:
        label = file.relative_to(folder).as_posix()
        try:
            texts.append((label, file.read_bytes()))
        except OSError as error:
            mistakes.add(Place(label), "", f"cannot be read: {error.strerror or error}", "unreadable")
    return texts


def _parsed(texts: Iterable[tuple[str, bytes]], mistakes: Mistakes) -> list[Tree]:
    trees = []
    for label, text in texts:
        try:
            tree = parse_yaml(label, text)
        except CatalogMistake as mistake:
            mistakes.found.append(mistake)
        else:
            if tree is not None:
                trees.append(tree)
    if mistakes.found and not trees:
        mistakes.raise_any()
    return trees


def _yaml_files(folder: Path, mistakes: Mistakes) -> list[Path]:
    def unreadable(error: OSError) -> None:
        mistakes.add(Place(str(error.filename)), "", f"cannot be read: {error.strerror or error}", "unreadable")

    found = []
    for root, folders, files in os.walk(folder, onerror=unreadable):
        # Kubernetes mounts a folder twice, the second time under a hidden name.
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in files if name.endswith(_SUFFIXES) and not name.startswith(".")]
    return found


def _combine(trees: list[Tree], converter: Converter, place: Place, whole: bool) -> Catalog:
    """The files as one group: names below the same top-level name are put together, whichever file holds them."""
    shape = catalog_shape()
    combined: dict[str, tuple[Scalar, Tree]] = {}
    for tree in trees:
        for name, (key, value) in converter.fields(tree, "", _top_level(shape)).items():
            field = shape.fields.get(name)
            if name not in combined:
                if is_null(value):
                    continue
                if field is not None and isinstance(field.shape, MapOf) and isinstance(value, Fields):
                    value = Fields(value.place, list(value.fields))  # others are added to it
                combined[name] = (key, value)
                continue
            _extend(combined[name], key, value, converter.mistakes)
    catalog = converter.struct(combined, shape, "", place, unread=not whole)
    assert isinstance(catalog, Catalog)
    return catalog


def _top_level(shape: Group) -> str:
    return f"a catalog with the names {', '.join(shape.fields)}"


def _extend(first: tuple[Scalar, Tree], key: Scalar, value: Tree, mistakes: Mistakes) -> None:
    old = first[1]
    if is_null(value):
        return
    if isinstance(old, Fields) and isinstance(value, Fields):
        old.fields.extend(value.fields)
    elif isinstance(old, Items) and isinstance(value, Items):
        old.items.extend(value.items)
    elif type(old) is type(value):
        mistakes.add(
            key.place, key.text, f"is written twice, first at {first[0].place}; keep one", "duplicate_name"
        )
    else:
        mistakes.add(
            key.place, key.text, f"is {kind(value)} here and {kind(old)} at {first[0].place}", "duplicate_name"
        )


def _compile_errors(catalog: Catalog) -> list[tuple[str, str, str]]:
    try:
        compile_catalog(catalog, 0)
    except InvalidCatalog as invalid:
        return [(error.field, error.message, error.code) for error in invalid.errors]
    return []


def _follows_from(path: str, code: str, wrong: Collection[str]) -> bool:
    """Whether a mistake of meaning at ``path`` only repeats a mistake of shape.

    Parameters
    ----------
    wrong
        The paths of those, ``_as_single``.

    >>> _follows_from("content.a.cap.limit", "invalid_field", [_as_single("content.a.cap[0]")])
    True
    >>> _follows_from("scores.lead", "missing_field", ["scores.lead.events"])
    True
    """
    path = _as_single(path)
    parent, _, name = path.rpartition(".")
    compared = [f"{parent}.{sibling}" for sibling in _COMPARED_WITH.get(name, ())]
    if any(_is_within(other, sibling) for other in wrong for sibling in compared):
        return True
    if code == "missing_field" and any(_is_within(other, path) for other in wrong):
        return True  # it may be missing because it could not be read
    return any(_is_within(path, other) for other in wrong if other)


def _as_single(path: str) -> str:
    """The path as it is where a list's only item is written without the list."""
    return path.replace("[0]", "")


def _is_within(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))


def _on_line(line: int, path: str, message: str, converter: Converter, folder: Place) -> tuple[Place, str, str]:
    """Place, path and message of what stands on a line of a text: the message tells it where the place cannot."""
    place = _place_of(path, converter.places, folder)
    if first := converter.first_lines.get(path):
        return Place(place.file, first + line - 1), path, message
    return place, path, f"line {line} of the text: {message}" if line > 1 else message


def _place_of(path: str, places: dict[str, Place], folder: Place) -> Place:
    """Where ``path`` was written, else the nearest thing around it."""
    while path:
        if path in places:
            return places[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[: max(cut, 0)]
    return folder
