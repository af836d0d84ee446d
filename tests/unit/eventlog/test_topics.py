"""What topics are called on the server, and which epoch a name means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventlog.topics import DECISIONS, VISITOR_LOG, Topics


@given(st.sampled_from(["", "shop.", "t1."]), st.integers(1, 99))
def test_the_name_on_the_server_tells_the_epoch(prefix: str, epoch: int) -> None:
    topics = Topics(prefix)
    assert topics.epoch_of(topics.on_server(VISITOR_LOG, epoch), VISITOR_LOG) == epoch


def test_other_names_mean_nothing() -> None:
    topics = Topics("shop.")
    for name in ("visitor-log", "shop.visitor-log.ex", "shop.visitor-log-2", "shop.decisions", ""):
        assert topics.epoch_of(name, VISITOR_LOG) is None
    assert topics.epoch_of("shop.decisions", DECISIONS) == 1
