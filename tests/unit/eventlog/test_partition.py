"""Rule *Log*: one function gives the partition, and it is Kafka's."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from eventlog.partition import MAX_PARTITIONS, check_partition_count, murmur2, partition_of

# From Apache Kafka's own UtilsTest.testMurmur2, as signed 32-bit numbers.
JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), JAVA_VECTORS.items())
def test_murmur2_agrees_with_the_java_client(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % 2**32


@given(st.binary(max_size=400))
def test_murmur2_agrees_with_aiokafka(data: bytes) -> None:
    assert murmur2(data) == reference(data)


@given(st.text(max_size=60), st.integers(0, 10))
def test_the_mask_is_kafkas_modulo(key: str, exponent: int) -> None:
    n_partitions = 2**exponent
    assert partition_of(key, n_partitions) == (reference(key.encode()) & 0x7FFFFFFF) % n_partitions


def test_a_bucket_of_the_largest_count_folds_onto_any_smaller_one() -> None:
    for i in range(1000):
        assert partition_of(f"v{i}", 64) == partition_of(f"v{i}", MAX_PARTITIONS) % 64


@pytest.mark.parametrize("n_partitions", [0, -4, 3, 48, 2048])
def test_only_powers_of_two_up_to_1024(n_partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        check_partition_count(n_partitions)


@pytest.mark.parametrize("n_partitions", [3, 48, 100])
def test_no_partition_among_a_count_that_is_no_power_of_two(n_partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        partition_of("v", n_partitions)


def test_keys_spread_evenly() -> None:
    counts = [0] * 64
    for i in range(64_000):
        counts[partition_of(f"visitor-{i}", 64)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
