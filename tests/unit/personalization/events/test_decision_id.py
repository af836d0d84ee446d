"""Rule *Decision ids*: they tell nothing of the visitor, open for us alone, and each has one text."""

from __future__ import annotations

import base64
import hmac
import string
from collections.abc import Iterator

import pytest

from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of, mint, open_id, trial_of
from personalization.key_derivation import Secrets
from personalization.visitor.visitor_key import MAX_ID_BYTES, NOBODY

SECRET, BEFORE = b"a secret of the test", b"the one before"
ID_KEY = Secrets(SECRET).key("decision-ids")
ROTATED = Secrets(SECRET, BEFORE).key("decision-ids")
NONCE = b"123456789"
UUID = "a:5f0c1e9e-7f5e-4a52-9a39-6a2f1d0c8b11"
KEYS = [NOBODY, "u:7", "u:jane@example.com", UUID, "u:ä", "u:" + "x" * MAX_ID_BYTES]


def as_before(secret: bytes, key: str, nonce: bytes = NONCE) -> str:
    """An id as releases before made it."""
    body = nonce + key.encode()
    mac = hmac.digest(secret, b"decision:" + body, "sha256")[:9]
    return base64.urlsafe_b64encode(mac + body).decode().rstrip("=")


def windows(key: str, n: int = 4) -> set[bytes]:
    """Every stretch of ``n`` bytes of the id within a visitor's key."""
    text = key.encode()
    return {text[at : at + n] for at in range(len(text) - n + 1)}


def shown(decision_id: str, key: str) -> bool:
    """Whether a part of ``key`` can be read in an id: as it is, decoded from any letter on, or in base64."""
    seen = [decision_id.encode()]
    for cut in range(4):
        text = decision_id[cut:]
        seen.append(base64.urlsafe_b64decode(text[: len(text) // 4 * 4]))
    return any(window in text for window in windows(key) for text in seen)


@pytest.mark.parametrize("key", ["u:jane@example.com", UUID])
def test_no_part_of_the_visitors_id_can_be_read_in_any_alignment(key: str) -> None:
    assert shown(as_before(SECRET, key), key), "and the test would see it"
    for n in range(300):
        assert not shown(mint(ID_KEY, key, n.to_bytes(9, "big")), key)


def test_an_id_is_as_long_for_all_keys_of_the_same_blocks() -> None:
    lengths = {n: len(mint(ID_KEY, "u:" + "x" * (n - 2), NONCE)) for n in range(3, 259)}
    assert {lengths[n] for n in range(3, 17)} == {56}
    assert {lengths[n] for n in range(17, 33)} == {78}
    assert len(set(lengths.values())) == 17
    assert lengths[258] == 398, "of the longest key that there is"


@pytest.mark.parametrize("key", KEYS)
def test_what_is_made_is_read_and_made_again_alike(key: str) -> None:
    made = mint(ID_KEY, key, NONCE)
    assert key_of(ID_KEY, made) == key
    assert made == mint(Secrets(SECRET).key("decision-ids"), key, NONCE)
    assert set(made) <= set(string.ascii_letters + string.digits + "-_")
    assert open_id(ID_KEY, made) == (key, 0, True)


def changed(made: str) -> Iterator[str]:
    """Texts one mistake or one forgery away."""
    for at, letter in enumerate(made):
        for other in ("A", "B", "_"):
            if letter != other:
                yield made[:at] + other + made[at + 1 :]
        yield made[:at] + made[at + 1 :]
        yield made[:at]
    for more in ("A", "AAAA", "=", "==", " ", "\n", "\0", "ä", made):
        yield made + more
        yield more + made
    yield made.swapcase()
    yield made.lower()
    yield made.upper()


@pytest.mark.parametrize("key", KEYS)
def test_a_forged_cut_extended_or_other_case_id_is_refused(key: str) -> None:
    for made in (mint(ID_KEY, key, NONCE), as_before(SECRET, key)):
        assert key_of(ID_KEY, made) == key
        for other in changed(made):
            if other != made:
                with pytest.raises(InvalidInput, match="not one of our decision ids"):
                    key_of(ID_KEY, other)


def test_no_two_ids_can_be_put_together_into_a_third() -> None:
    one, other = (base64.urlsafe_b64decode(mint(ID_KEY, "u:12", nonce) + "==") for nonce in (NONCE, b"987654321"))
    for cut in range(1, len(one)):
        text = base64.urlsafe_b64encode(one[:cut] + other[cut:]).decode().rstrip("=")
        if one[:cut] + other[cut:] not in (one, other):
            with pytest.raises(InvalidInput):
                key_of(ID_KEY, text)


def test_the_key_of_another_purpose_or_installation_opens_nothing() -> None:
    made = mint(ID_KEY, "u:7", NONCE)
    for key in (Secrets(SECRET).key("draws"), Secrets(b"another").key("decision-ids"), SECRET):
        with pytest.raises(InvalidInput):
            key_of(key, made)


def test_an_id_of_the_secret_before_is_read_and_one_of_the_secret_before_that_is_not() -> None:
    earlier, earliest = (Secrets(secret).key("decision-ids") for secret in (BEFORE, b"the first one"))
    assert open_id(ROTATED, mint(earlier, "u:7", NONCE)) == ("u:7", 1, True)
    assert open_id(ROTATED, as_before(SECRET, "u:7")) == ("u:7", 0, False)
    assert open_id(ROTATED, as_before(BEFORE, "u:7")) == ("u:7", 1, False)
    assert mint(ROTATED, "u:7", NONCE) == mint(ID_KEY, "u:7", NONCE), "nothing is made under it"
    for made in (mint(earliest, "u:7", NONCE), as_before(b"the first one", "u:7")):
        with pytest.raises(InvalidInput):
            key_of(ROTATED, made)
    for made in (mint(earlier, "u:7", NONCE), as_before(BEFORE, "u:7")):
        with pytest.raises(InvalidInput):
            key_of(ID_KEY, made)


def test_two_secrets_of_one_number_are_told_apart() -> None:
    numbers: dict[bytes, bytes] = {}
    for n in range(400):
        secret = b"secret %d" % n
        key = Secrets(secret).key("decision-ids")
        number = base64.urlsafe_b64decode(mint(key, "u:7", NONCE))[:1]
        if number in numbers:
            break
        numbers[number] = secret
    both = Secrets(secret, numbers[number]).key("decision-ids")
    before = Secrets(numbers[number]).key("decision-ids")
    assert open_id(both, mint(before, "u:8", NONCE)) == ("u:8", 1, True)
    assert open_id(both, mint(both, "u:8", NONCE)) == ("u:8", 0, True)


def test_the_trial_is_told_without_a_secret_whichever_key_secret_or_release_made_the_id() -> None:
    ids = [make(secret, key) for make, secret in MAKERS for key in ("a:1", "u:jane@example.com")]
    assert len(set(ids)) == len(ids)
    trial = base64.urlsafe_b64encode(NONCE).decode()
    assert {trial_of(each) for each in ids} == {trial}
    assert trial_of(trial) == trial


def _mint(secret: bytes, key: str) -> str:
    return mint(secret, key, NONCE)


MAKERS = [(_mint, ID_KEY), (_mint, Secrets(BEFORE).key("decision-ids")), (as_before, SECRET), (as_before, BEFORE)]


def test_ids_are_the_same_in_every_release() -> None:
    """Golden: whoever changes how keys are derived or ids are made loses the rewards of all that are open."""
    made = mint(Secrets(b"golden secret").key("decision-ids"), "u:jane@example.com", NONCE)
    assert made == "KsKlMg4cP8V8MTIzNDU2Nzg5VwmivZJscEFEIF3BWqIfdRGHBQEYSK74_HXd3SZBr3hcl6IwA6oYig"
    assert key_of(Secrets(b"golden secret").key("decision-ids"), OF_A_RELEASE_BEFORE) == "u:jane@example.com"


OF_A_RELEASE_BEFORE = "TOoRu-6veqLzMTIzNDU2Nzg5dTpqYW5lQGV4YW1wbGUuY29t"
