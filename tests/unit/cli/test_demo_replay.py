"""The stream of decisions: what is sent, in which order, from which knowledge, and how it is scored."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from typing import Any

import orjson
import pytest

from cli.demo import accounting
from cli.demo.baselines import MostPopular
from cli.demo.movielens import MovieLens, Rating
from cli.demo.replay import IN_FLIGHT, Replay
from cli.demo.shelves import SHELVES, carried_by
from tests.unit.cli.demo_fakes import FakeApi, small_world


async def played(data: MovieLens, api: FakeApi) -> Replay:
    replay = Replay(data, api, "run")
    await replay.play(data.ratings)
    return replay


def without_probes(api: FakeApi) -> list[tuple[str, str, Any]]:
    return [r for r in api.requests if r[2] is None or r[2].get("placements") != []]


async def test_every_rating_is_one_event_and_one_decision() -> None:
    data, api = small_world(200), FakeApi()
    replay = await played(data, api)
    decides = [body for _, path, body in without_probes(api) if path == "/v1/decide"]
    assert len(decides) == replay.measured.n_events == replay.measured.n_decisions == 200
    tracks = [e for body in decides for e in body["events"] if e["type"] == "track"]
    assert len({e["messageId"] for e in tracks}) == 200
    first = data.ratings[0]
    assert tracks[0] == {
        "type": "track",
        "event": "Film Rated",
        "messageId": f"run-{first.user}-{first.item}",
        "userId": f"run-{first.user}",
        "properties": {
            "itemId": str(first.item),
            "title": data.films[first.item].title,
            "genres": list(data.films[first.item].genres),
            "rating": first.rating,
        },
    }
    identified = [e["userId"] for body in decides for e in body["events"] if e["type"] == "identify"]
    assert sorted(identified) == sorted({f"run-{r.user}" for r in data.ratings})
    # Each person's requests carry that person's ratings, in the order of the data.
    by_person = defaultdict(list)
    for track in tracks:
        by_person[track["userId"]].append(track["messageId"])
    for user in data.people:
        expected = [f"run-{r.user}-{r.item}" for r in data.ratings if r.user == user]
        assert by_person[f"run-{user}"] == expected


async def test_overlaps_within_its_bounds() -> None:
    api = FakeApi()
    await played(small_world(200), api)
    assert api.most_in_flight >= 2
    positions = [
        index
        for _, path, body in without_probes(api)
        if path == "/v1/decide"
        for index, r in enumerate(small_world(200).ratings)
        if body["events"][-1]["messageId"] == f"run-{r.user}-{r.item}"
    ]
    reached = -1
    for position in positions:
        reached = max(reached, position)
        assert position > reached - IN_FLIGHT


def by_hand(data: MovieLens, chosen: dict[str, str]) -> dict[str, Any]:
    """The same stream, read backwards: each decision's outcome looked up in the finished data."""
    popular = MostPopular(list(SHELVES))
    picks = []
    open_of: dict[int, int] = defaultdict(int)
    for rating in data.ratings:
        if rating.liked:
            for _ in range(open_of.pop(rating.user, 0)):
                popular.learn(carried_by(data.films[rating.item].genres))
        open_of[rating.user] += 1
        picks.append(popular.choose())
    nextbest = most_popular = 0
    uniform = 0.0
    n = 0
    for index, rating in enumerate(data.ratings):
        later = [r for r in data.ratings[index + 1 :] if r.user == rating.user and r.liked]
        if later:
            clicked = carried_by(data.films[later[0].item].genres)
            n += 1
            nextbest += clicked[chosen[f"run-{rating.user}-{rating.item}"]]
            most_popular += clicked[picks[index]]
            uniform += sum(clicked.values()) / 8
    return {"n": n, "nextbest": nextbest / n, "most_popular": most_popular / n, "uniform": uniform / n}


async def test_scores_equal_a_look_into_the_finished_data() -> None:
    data, api = small_world(250, seed=4), FakeApi()
    replay = await played(data, api)
    chosen = {
        body["events"][-1]["messageId"]: api.chosen[hashlib.sha256(orjson.dumps(body)).hexdigest()]
        for _, path, body in without_probes(api)
        if path == "/v1/decide"
    }
    expected = by_hand(data, chosen)
    scores = replay.scores
    assert (scores.n, scores.nextbest, scores.most_popular) == (
        expected["n"],
        expected["nextbest"],
        expected["most_popular"],
    )
    assert scores.uniform == pytest.approx(expected["uniform"])
    # The rewards that went back are the very clicks that were scored: zeros as well.
    assert len(api.rewards) == scores.n
    assert sum(api.rewards.values()) / len(api.rewards) == scores.nextbest


@pytest.mark.parametrize("cut", [1, 60, 140])
async def test_requests_do_not_know_later_events(cut: int) -> None:
    """Permuting and changing what comes after ``cut`` leaves every earlier request as it was."""
    data = small_world(200)
    rng = random.Random(cut)
    later = [Rating(r.timestamp_s, r.user, r.item, rng.randint(1, 5)) for r in data.ratings[cut:]]
    rng.shuffle(later)
    other = MovieLens((*data.ratings[:cut], *later), data.people, data.films)
    assert other.ratings[cut:] != data.ratings[cut:]

    decides, rewards = await requests_about(data, cut)
    assert (decides, rewards) == await requests_about(other, cut)
    assert sum(map(len, decides.values())) == cut


async def requests_about(data: MovieLens, cut: int) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """What the first ``cut`` ratings lead to: each person's decides in order, and the rewards.

    Which of two people's overlapping requests is sent first is the network's affair, not the data's.
    """
    api, alone = FakeApi(), FakeApi()
    await played(data, api)
    await played(MovieLens(data.ratings[:cut], data.people, data.films), alone)
    early = {f"run-{r.user}-{r.item}" for r in data.ratings[:cut]}
    decides = defaultdict(list)
    rewards = {}
    for _, path, body in without_probes(api):
        if path == "/v1/decide" and body["events"][-1]["messageId"] in early:
            decides[body["visitor"]["userId"]].append(body)
        elif path.endswith("/reward") and path.split("/")[3] in alone.rewards:
            rewards[path] = body
    assert len(rewards) == len(alone.rewards)
    return dict(decides), rewards


async def test_ratings_are_not_read_ahead() -> None:
    """When a rating is taken from the stream, all but the allowed window before it has been answered."""
    data, api = small_world(200), FakeApi()
    replay = Replay(data, api, "run")
    taken = 0

    def stream() -> Any:
        nonlocal taken
        for rating in data.ratings:
            assert taken - replay.measured.n_decisions <= IN_FLIGHT
            taken += 1
            yield rating

    await replay.play(stream())
    assert taken == 200


async def test_counts_lost_and_duplicated_events(monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_world(100)
    for drop, repeat in ((0, 0), (3, 0), (0, 2)):
        api = FakeApi(drop=drop, repeat=repeat)
        replay = Replay(data, api, "run")
        if drop:
            # A state that never knows an event would be probed to the limit: look at the accounts alone.
            monkeypatch.setattr(replay, "_probe", lambda *_: _nothing())
        await replay.play(data.ratings)
        accounts = await accounting.count(api, replay.visitors(), settle_s=0.1)
        assert (accounts.lost, accounts.duplicates) == (drop, repeat)


async def _nothing() -> None:
    return None
