"""Who finds the records of an installation, as a command opens it."""

from __future__ import annotations

from installation.opened import Installation
from installation.secrets_of import installed_secrets
from state.records import RecordFinder


def records_of(installation: Installation) -> RecordFinder:
    """Finds what was recorded of decisions (``api.services.records.Records``)."""
    secrets = installed_secrets(installation.settings)
    return RecordFinder(installation.redis, installation.keys, installation.log, secrets)
