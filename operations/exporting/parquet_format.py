"""Rows as Parquet, by arro3: Arrow's own Rust library, and nothing else (the extra ``parquet``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any

import orjson

from operations.exporting.columns import Column, Kind, Row
from personalization.errors import Refused

MAX_CELLS = 1_000_000
"""Of a row group, which is what is held in memory: about 100 MB of Python's objects."""

MAX_GROUP_ROWS = 50_000


def check_parquet() -> None:
    """See that Parquet can be written here; raises ``Refused``."""
    try:
        import arro3.core
        import arro3.io  # noqa: F401
    except ImportError as error:
        raise Refused(
            "Parquet is written by the extra `parquet`, which is not installed: pip install 'nextbest[parquet]', "
            "or name a file that ends in .csv or .jsonl"
        ) from error


def write_parquet(rows: Iterable[Row], file: IO[bytes], columns: Sequence[Column]) -> None:
    """Write all rows, a row group at a time, compressed by Zstandard."""
    from arro3.core import DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet as write

    utf8, float64 = DataType.utf8(), DataType.float64()
    types = {
        **dict.fromkeys((Kind.ID, Kind.TEXT, Kind.JSON), utf8),
        Kind.WHOLE: DataType.int64(),
        Kind.NUMBER: float64,
        Kind.YES_NO: DataType.bool(),
        Kind.TEXTS: DataType.list(Field("item", utf8, nullable=True)),
        Kind.NUMBERS: DataType.list(Field("item", float64, nullable=True)),
    }
    schema = Schema([Field(column.name, types[column.kind], nullable=True) for column in columns])
    n_group = max(1, min(MAX_GROUP_ROWS, MAX_CELLS // len(columns)))

    def groups() -> Iterator[Any]:
        left = iter(rows)
        while group := list(islice(left, n_group)):
            arrays = [_array([row.get(column.name) for row in group], column.kind, types) for column in columns]
            yield RecordBatch.from_arrays(arrays, schema=schema)

    reader = RecordBatchReader.from_batches(schema, groups())
    write(reader, file, compression="zstd(3)", max_row_group_size=n_group)


def _array(values: list[Any], kind: Kind, types: dict[Kind, Any]) -> Any:
    from arro3.core import Array, DataType, Field, list_array

    if kind in (Kind.TEXTS, Kind.NUMBERS):
        offsets: list[int] = [0]
        flat: list[Any] = []
        for value in values:
            flat += value or []
            offsets.append(len(flat))
        item = types[Kind.TEXT if kind is Kind.TEXTS else Kind.NUMBER]
        whole = Array(offsets, DataType.int32())
        return list_array(whole, Array(flat, item), type=Field("", types[kind], nullable=True))
    as_kind = _AS.get(kind)
    if as_kind is not None:
        values = [None if value is None else as_kind(value) for value in values]
    return Array(values, types[kind])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


_AS: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _as_text,
    Kind.NUMBER: float,
    Kind.JSON: lambda value: orjson.dumps(value).decode(),
}
