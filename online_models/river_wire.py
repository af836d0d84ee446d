"""A River estimator to the wire and back: a pickle, loaded only where this installation's secret vouches for it."""

from __future__ import annotations

import hashlib
import hmac
import pickle

import river

from online_models.envelope import is_signed
from online_models.river_model import RiverModel
from online_models.wire import FORMAT, PickleHeader
from personalization.errors import Refused


def header_of(
    model: RiverModel, name: str, version: int, reward_range: tuple[float, float], secret: bytes
) -> PickleHeader:
    """The estimator, signed."""
    payload = model.dump()
    mac = hmac.digest(secret, _message(river.__version__, version, payload), hashlib.sha256)
    return PickleHeader(FORMAT, name, version, *reward_range, river.__version__, mac, payload)


def model_of(header: PickleHeader, secret: bytes) -> RiverModel:
    """The inverse of ``header_of``.

    Raises
    ------
    Refused
        For another River version, or a payload the secret does not vouch for.
    """
    message = _message(header.river_version, header.version, header.payload)
    if not is_signed(header.mac, secret, message):
        raise Refused("the snapshot is not signed with this server's secret: give learner and API the same one")
    if header.river_version != river.__version__:
        raise Refused(
            f"the snapshot is River {header.river_version}'s, here runs {river.__version__}: use one version"
        )
    scorer = pickle.loads(header.payload)
    if not isinstance(scorer, RiverModel):
        raise Refused("the snapshot's payload is no reward model: publish it again from the learner")
    return scorer


def _message(river_version: str, version: int, payload: bytes) -> bytes:
    return f"{FORMAT}|{river_version}|{version}|".encode() + payload
