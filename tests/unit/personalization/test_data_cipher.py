"""What personal data are encrypted with: what opens, what does not, and that no nonce is used twice."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from personalization import data_cipher
from personalization.data_cipher import CLEAR, OVERHEAD_BYTES, SEALED, DataCipher, key_id, sealed_under, why_sealed
from personalization.errors import Unavailable
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Track
from personalization.visitor.folder_state import FolderState, encode_folder
from personalization.visitor.visitor_state import VisitorState, encode_visitor
from tests.ciphers import new_cipher

KEY = bytes(range(32))


@pytest.mark.parametrize("value", [b"", b"x", b"\x90" * 100_000])
def test_what_was_sealed_opens_by_any_process_with_the_key(value: bytes) -> None:
    sealed = new_cipher(KEY).sealed(value, b"a:1")
    assert sealed.startswith(SEALED)
    assert len(sealed) == len(value) + OVERHEAD_BYTES
    assert new_cipher(KEY).opened(sealed, b"a:1") == value
    assert sealed_under(sealed) == key_id(KEY).hex()


def test_what_was_moved_damaged_or_sealed_under_another_key_stays_sealed() -> None:
    cipher = new_cipher(KEY)
    sealed = cipher.sealed(b"value", b"a:1")
    assert cipher.opened(sealed, b"a:2") == sealed
    for at in range(2, len(sealed)):
        damaged = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert cipher.opened(damaged, b"a:1") == damaged
    for n in range(2, len(sealed)):
        assert cipher.opened(sealed[:n], b"a:1") == sealed[:n]
    assert new_cipher().opened(sealed, b"a:1") == sealed
    assert not new_cipher().knows(sealed)
    assert f"sealed under the data key {key_id(KEY).hex()}, and does not open" in (why_sealed(sealed) or "")


def test_what_is_in_the_clear_stays_readable_and_nothing_of_ours_begins_like_what_is_sealed() -> None:
    entry = Entry(received_at_ms=1, occurred_at_ms=1, catalog_version=1, event=Track(message_id="m", event="x"))
    for value in (b"", encode_entry(entry), encode_visitor(VisitorState()), encode_folder(FolderState())):
        assert why_sealed(value) is None
        assert CLEAR.sealed(value, b"") == value
        assert new_cipher().opened(value, b"") == value


def test_a_sealed_value_is_not_sealed_again() -> None:
    cipher = new_cipher()
    sealed = cipher.sealed(b"value", b"a:1")
    assert cipher.sealed(sealed, b"a:1") == sealed


def test_a_cipher_without_its_key_refuses_both_ways() -> None:
    cipher = DataCipher(True, os.urandom)
    with pytest.raises(Unavailable):
        cipher.sealed(b"value", b"a:1")
    with pytest.raises(Unavailable):
        cipher.opened(new_cipher().sealed(b"value", b"a:1"), b"a:1")
    assert cipher.opened(b"clear", b"a:1") == b"clear"


def test_one_that_writes_in_the_clear_opens_what_others_sealed() -> None:
    cipher = DataCipher(False, os.urandom)
    cipher.use(KEY)
    assert cipher.sealed(b"value", b"a:1") == b"value"
    assert cipher.opened(new_cipher(KEY).sealed(b"value", b"a:1"), b"a:1") == b"value"


def test_no_nonce_is_used_twice_by_threads_and_after_a_fork() -> None:
    cipher = new_cipher(KEY)
    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(lambda n: cipher.sealed(b"v%d" % n, b""), range(20_000)))
    assert sorted(cipher.opened(value, b"") for value in sealed) == sorted(b"v%d" % n for n in range(20_000))
    head = OVERHEAD_BYTES - 16
    assert len({value[:head] for value in sealed}) == len(sealed)
    before = cipher.sealed(b"x", b"")
    cipher.renew()
    assert cipher.sealed(b"x", b"")[6:14] != before[6:14], "another salt"


def test_a_cipher_takes_another_salt_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_cipher, "VALUES_OF_A_SUBKEY", 512)
    monkeypatch.setattr(data_cipher, "MAX_SUBKEYS", 2)
    cipher = new_cipher(KEY)
    sealed = [cipher.sealed(b"x", b"") for _ in range(3_000)]
    assert len({value[6:14] for value in sealed}) >= 5
    assert {cipher.opened(value, b"") for value in sealed} == {b"x"}
