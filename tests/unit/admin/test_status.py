"""The status document says what the store holds, page by page, and nothing of it is left out or said twice."""

import pytest

from replicator.admin.status import Cursor, Listing, StatusQuery, read_status
from replicator.errors import NameInvalid, Reason
from replicator.model import Digest, IntentKey, Tag
from replicator.store.outcome import Parked, Retry
from tests.unit.admin.scene import APP, Scene

_LABELS: dict[str, dict[str, str]] = {"eu": {"region": "eu-west-1"}, "us": {}}


async def _push(scene: Scene, count: int) -> None:
    for number in range(count):
        await scene.event(Tag(f"t{number}"), Digest.of(b"%d" % number))


async def test_without_a_daemon_every_lane_is_stopped(scene: Scene) -> None:
    await _push(scene, 2)
    document = await read_status(scene.store, _LABELS, None)
    assert document["daemon"] is False
    assert [(item["name"], item["state"], item["owed"]) for item in document["replicas"]] == [
        ("eu", "stopped", 2),
        ("us", "stopped", 2),
    ]
    assert document["replicas"][0]["labels"] == {"region": "eu-west-1"}
    assert document["totals"]["owed"] == 4
    assert "rows" not in document


async def test_lag_and_failures_are_those_of_the_rows(scene: Scene) -> None:
    await scene.event(Tag("v1"), Digest.of(b"1"))
    await scene.event(Tag("v2"), Digest.of(b"2"))
    await scene.end("eu", Tag("v1"), Retry(at=4e9, reason=Reason.NETWORK, message="down"))
    await scene.end("eu", Tag("v2"), Parked(at=4e9, reason=Reason.QUOTA, message="full"))
    document = await read_status(scene.store, _LABELS, None, StatusQuery(replica="eu", listing=Listing.OWED))
    (eu,) = document["replicas"]
    assert (eu["owed"], eu["parked"], eu["failing"]) == (2, 1, {"network": 1, "quota": 1})
    assert 0 < eu["lag_seconds"] < 60
    assert [
        (row["reference"], row["state"], row["reason"], row["message"], row["attempts"]) for row in document["rows"]
    ] == [("v1", "failing", "network", "down", 1), ("v2", "parked", "quota", "full", 1)]
    assert document["rows"][0]["wanted"] == str(Digest.of(b"1"))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("listing", Listing)
async def test_pages_hold_every_row_once(scene: Scene, limit: int, listing: Listing) -> None:
    await _push(scene, 4)
    await scene.event(Digest.of(b"index"), Digest.of(b"index"))
    await scene.settle("us", Tag("t0"), Digest.of(b"0"))
    for number in (1, 3):
        await scene.end("eu", Tag(f"t{number}"), Parked(at=4e9, reason=Reason.OTHER, message="no"))
    left_out = {("eu", "t2"), ("us", "t3"), ("us", "t2")}
    await scene.store.ignore([IntentKey(replica, APP, Tag(tag)) for replica, tag in left_out], None)
    seen: list[tuple[str, str]] = []
    after: Cursor | None = None
    while True:
        document = await read_status(
            scene.store, _LABELS, None, StatusQuery(listing=listing, after=after, limit=limit)
        )
        seen += [(row["replica"], row["reference"]) for row in document["rows"]]
        assert len(document["rows"]) <= limit
        if not document["next"]:
            break
        after = Cursor.parse(document["next"])
    tags = {(replica, f"t{number}") for replica in ("eu", "us") for number in range(4)}
    digests = {(replica, str(Digest.of(b"index"))) for replica in ("eu", "us")}
    parked = {("eu", "t1"), ("eu", "t3")}
    assert len(seen) == len(set(seen))
    assert (
        set(seen)
        == {
            Listing.PARKED: parked,
            Listing.OWED: (tags | digests) - {("us", "t0")} - left_out,
            Listing.IGNORED: left_out,
        }[listing]
    )


@pytest.mark.parametrize("reference", [Tag("v1"), Digest.of(b"x")])
def test_a_cursor_is_read_back(reference: Tag | Digest) -> None:
    cursor = Cursor(parked=True, key=IntentKey("eu", APP, reference))
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "owed", "owed eu", "owed eu team/app", "other eu team/app:v1", "owed  a:b", "eu a:b"]
)
def test_a_broken_cursor_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        Cursor.parse(text)


async def test_a_replica_without_rows_owes_nothing(scene: Scene) -> None:
    document = await read_status(scene.store, {"new": {}}, None)
    assert (document["replicas"][0]["owed"], document["replicas"][0]["lag_seconds"]) == (0, 0.0)
