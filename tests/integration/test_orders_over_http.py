"""What operators order by a POST, over real HTTP: kept in the store, told to the lane, and answered as described."""

from pathlib import Path
from typing import Any

import pytest

from replicator.admin.client import ApiFailed, open_client
from replicator.admin.openapi import DOCUMENT
from replicator.errors import Reason, RegistryError
from replicator.model import Digest, Tag
from replicator.settings.secrets import Secret
from replicator.store.outcome import Parked, Retry
from replicator.store.session import Session
from tests.integration.admin_listener import listening

V1, V2 = Tag("v1"), Tag("v2")
OLD, NEW = Digest.of(b"old"), Digest.of(b"new")


def promised(name: str) -> set[str]:
    """Return the fields that the OpenAPI document promises of an answer."""
    return set(DOCUMENT["components"]["schemas"][name]["properties"])


async def test_a_lane_is_paused_and_resumed(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        status, paused = await listener.order("/api/v1/lanes/eu/pause")
        assert (status, set(paused)) == (200, promised("Lane"))
        assert (paused["replica"], paused["changed"]) == ("eu", True)
        assert paused["paused_since"] > 1.7e9
        assert (await listener.order("/api/v1/lanes/eu/pause"))[1] == paused | {"changed": False}
        assert await listener.scene.store.paused_since("eu") == paused["paused_since"]
        _, document = await listener.ask("/api/v1/status")
        assert [one["paused_since"] for one in document["replicas"]] == [paused["paused_since"], None]
        resumed = {"replica": "eu", "paused_since": None, "changed": True}
        assert await listener.order("/api/v1/lanes/eu/resume") == (200, resumed)
        assert await listener.order("/api/v1/lanes/eu/resume") == (200, resumed | {"changed": False})
        assert await listener.scene.store.paused_since("eu") is None
        assert listener.heeded == ["eu"] * 4


async def test_what_failed_is_due_now_all_of_a_replica_or_one_reference(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        scene = listener.scene
        for reference in (V1, V2):
            await scene.event(reference, NEW)
            await scene.end("eu", reference, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
        await scene.end("us", V1, Retry(at=4e9, reason=Reason.NETWORK, message="down"))
        status, one = await listener.ask("/api/v1/retry", method="POST", json={"ref": "team/app:v1"})
        assert (status, set(one)) == (200, promised("Retried"))
        assert {key for item in one["replicas"] for key in item} == promised("RetriedReplica")
        assert (one["ref"], one["due"]) == ("team/app:v1", 2)
        assert [(item["replica"], item["due"]) for item in one["replicas"]] == [("eu", 1), ("us", 1)]
        await scene.store.pause("eu")
        _, rest = await listener.ask("/api/v1/retry", method="POST", json={"replicas": ["eu"]})
        assert (rest["ref"], rest["due"]) == (None, 1)
        assert rest["replicas"][0]["paused_since"] is not None
        assert (await listener.order("/api/v1/retry"))[1]["due"] == 0, "all of it is due already"
        assert listener.heeded == ["eu mended", "us mended", "eu mended", "eu mended", "us mended"]
        rows = await scene.store.rows()
        assert all(row.due_at is not None and row.due_at < 3e9 for row in rows)
        assert [row.attempts for row in rows if row.parked] == [1, 1], "they stay parked until a try succeeds"


async def test_lanes_look_at_what_is_due_also_where_the_order_breaks_off_at_a_later_replica(tmp_path: Path) -> None:
    def break_us(session: Session) -> None:
        away = "BEFORE UPDATE ON intent WHEN NEW.replica = 'us' BEGIN SELECT RAISE(ABORT, 'away'); END"
        session.connection.execute(f"CREATE TRIGGER away {away}")

    async with listening(tmp_path) as listener:
        await listener.scene.event(V1, NEW)
        for replica in ("eu", "us"):
            await listener.scene.end(replica, V1, Retry(at=4e9, reason=Reason.NETWORK, message="down"))
        await listener.scene.store.submit(break_us)
        status, _ = await listener.ask("/api/v1/retry", method="POST", json={})
        assert (status, "eu mended" in listener.heeded) == (503, True)
        due = {row.key.replica: row.due_at or 0.0 for row in await listener.scene.store.rows()}
        assert due["eu"] < 3e9 < due["us"]


async def test_a_reference_is_ignored_and_taken_back(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        scene = listener.scene
        scene.primary.names[V1] = NEW
        await scene.event(V1, OLD)
        await scene.settle("us", V1, OLD)
        await scene.end("eu", V1, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
        order = {"ref": "team/app:v1", "undo": False}
        status, document = await listener.ask("/api/v1/ignore", method="POST", json=order)
        assert (status, set(document)) == (200, promised("Ignored"))
        assert {key for item in document["replicas"] for key in item} == promised("Decided")
        assert document["replicas"] == [
            {"replica": "eu", "result": "ignored"},
            {"replica": "us", "result": "not_owed"},
        ]
        _, again = await listener.ask("/api/v1/ignore", method="POST", json=order | {"replicas": ["eu"]})
        assert [item["result"] for item in again["replicas"]] == ["was_ignored"]
        _, shown = await listener.ask("/api/v1/status?ignored=1")
        assert [(row["replica"], row["reference"], row["state"]) for row in shown["rows"]] == [
            ("eu", "v1", "ignored")
        ]
        assert shown["rows"][0]["ignored_at"] > 1.7e9
        assert ([one["ignored"] for one in shown["replicas"]], shown["totals"]["owed"]) == ([1, 0], 0)
        # What the primary names was ignored, not what the event had said.
        assert await listener.tell({"ref": f"team/app@{NEW}"})
        await scene.event(V1, NEW)
        assert "eu team/app:v1" not in await scene.owed()
        page = await (await listener.session.get(f"{listener.url}/metrics")).text()
        assert 'replicator_ignored_updates{replica="eu"} 1.0' in page
        _, back = await listener.ask("/api/v1/ignore", method="POST", json=order | {"undo": True})
        assert [item["result"] for item in back["replicas"]] == ["owed", "not_ignored"]
        assert "eu team/app:v1" in await scene.owed()


async def test_what_is_ignored_while_the_primary_is_down_is_what_was_told_of(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        scene = listener.scene
        await scene.event(V1, OLD)
        scene.primary.errors = [RegistryError("down", registry="primary", reason=Reason.NETWORK)]
        _, document = await listener.ask("/api/v1/ignore", method="POST", json={"ref": "team/app:v1"})
        assert [item["result"] for item in document["replicas"]] == ["ignored", "ignored"]
        await scene.event(V1, OLD)
        assert await scene.owed() == set()
        await scene.event(V1, NEW)
        assert await scene.owed() == {"eu team/app:v1", "us team/app:v1"}


@pytest.mark.parametrize(
    ("path", "more", "status", "code"),
    [
        ("ignore", {"json": {}}, 400, "bad_request"),
        ("ignore", {"json": {"ref": "team/app:v1", "undo": 1}}, 400, "bad_request"),
        ("ignore", {"json": {"ref": "team/app:v1", "until": "1h"}}, 400, "bad_request"),
        ("retry", {"json": {"ref": "team/app"}}, 400, "bad_request"),
        ("retry", {"json": {"ref": 1}}, 400, "bad_request"),
        ("retry", {"json": {"replicas": ["none"]}}, 400, "bad_request"),
        ("retry", {"json": {"replica": "eu"}}, 400, "bad_request"),
        ("retry", {"data": b""}, 415, "unsupported_media_type"),
        ("lanes/none/pause", {"json": {}}, 404, "no_such_replica"),
        ("lanes/eu/pause", {"data": b""}, 415, "unsupported_media_type"),
        ("lanes/eu/pause", {"json": {"for": "1h"}}, 400, "bad_request"),
        ("lanes/eu/stop", {"json": {}}, 404, "not_found"),
    ],
)
async def test_a_wrong_order_changes_nothing(
    tmp_path: Path, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    """Above all not one that a foreign page in a browser may send unasked."""
    async with listening(tmp_path) as listener:
        found, document = await listener.ask(f"/api/v1/{path}", method="POST", **more)
        assert (found, document["error"]["code"]) == (status, code)
        assert await listener.scene.store.paused_since("eu") is None


async def test_orders_need_the_token_and_the_client_reads_their_answers(tmp_path: Path) -> None:
    token = Secret.of_text("order-token-canary")
    async with listening(tmp_path, token=token) as listener:
        assert (await listener.order("/api/v1/lanes/eu/pause"))[0] == 401
        async with open_client("127.0.0.1", listener.port, token) as client:
            assert (await client.pause("eu"))["changed"] is True
            assert (await client.resume("eu"))["paused_since"] is None
            with pytest.raises(ApiFailed, match="is not a replica; there are eu, us"):
                await client.pause("none")
            assert (await client.ignore("team/app:v1", [], undo=True))["replicas"][0]["result"] == "not_ignored"
            assert (await client.retry(None, []))["due"] == 0
            assert (await client.retry("team/app:v1", ["eu"]))["ref"] == "team/app:v1"
