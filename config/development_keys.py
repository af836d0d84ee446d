"""The keys of the catalogs that come with nextbest: known to everyone, so they open nothing beyond this machine."""

from __future__ import annotations

import hashlib

from config.setting_values import PREFIX, is_loopback
from config.settings import Settings
from personalization.catalog.catalog import Catalog
from personalization.catalog.source_keys import keys_of

DEVELOPMENT_KEYS = ("pk_dev", "sk_dev")

_BY_DIGEST = {hashlib.sha256(key.encode()).hexdigest(): key for key in DEVELOPMENT_KEYS}


def development_keys(catalog: Catalog) -> list[str]:
    """Those of them that a catalog gives access to, by name or by hash."""
    digests = {held.digest for name, source in catalog.sources.items() for held in keys_of(name, source)}
    return sorted(key for digest, key in _BY_DIGEST.items() if digest in digests)


def keys_problem(settings: Settings, catalog: Catalog) -> str:
    """Why an API of these settings may not serve a catalog; empty: it may."""
    if is_loopback(settings.host):
        return ""
    found = development_keys(catalog)
    if not found:
        return ""
    return (
        f"its sources have {' and '.join(found)}, which everybody knows, and the API listens beyond this machine "
        f"({settings.host}): put keys of your own into the catalog's sources (`openssl rand -hex 16` makes one), "
        f"or set {PREFIX}HOST to 127.0.0.1"
    )
