"""A delete that a webhook tells is on disk before the answer, where a rule says that it propagates."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from replicator.errors import StoreError
from replicator.intake.deliveries import Deliveries, Means
from replicator.intake.formats.distribution import decode
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.observability.labels import WebhookResult
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.store.outcome import Done, Result
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock
from tests.unit.replication.rig import settings_of

APP, TAG, DIGEST = Repository("team/app"), Tag("v1"), Digest.of(b"image")
RULES: list[dict[str, Any]] = [{"replicas": ["eu"], "deletes": "propagate"}, {"replicas": ["us"]}]


@asynccontextmanager
async def endpoint(
    folder: Path, refused: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[Deliveries, SqliteStore, Metrics]]:
    """Yield an endpoint whose two replicas hold the tag."""
    clock, settings = FakeClock(), settings_of(["eu", "us"], rules=RULES)
    store = await SqliteStore.open(folder / "state" / "replicator.db", clock=clock)
    try:
        for replica in ("eu", "us"):
            now = clock.now()
            await store.record([Intent(key=IntentKey(replica, APP, TAG), digest=DIGEST, since=now, due_at=now)])
            (lease,) = await store.lease(replica, 1, 60)
            await store.settle(lease, Done(result=Result.COPIED, digest=DIGEST, put=True))
        metrics = Metrics(Scope(replicas=("eu", "us"), endpoints=("primary",)), clock=clock)
        means = Means(
            sink=store, router=Router(settings), metrics=metrics, clock=clock, deletions=store, refused=refused
        )
        yield (
            Deliveries("primary", decode=decode, hosts=["registry.test"], max_body=1 << 20, means=means),
            store,
            metrics,
        )
    finally:
        await store.close()


def body(host: str = "registry.test", **target: str) -> bytes:
    event = {"id": "1", "action": "delete", "target": {"repository": APP, **target}, "request": {"host": host}}
    return json.dumps({"events": [event]}).encode()


@pytest.mark.parametrize("target", [{"tag": TAG}, {"digest": str(DIGEST)}])
async def test_a_delete_is_kept_for_the_replicas_whose_rule_says_so(tmp_path: Path, target: dict[str, str]) -> None:
    async with endpoint(tmp_path) as (deliveries, store, metrics):
        taken = await deliveries.take(body(**target), {})
        assert dict(taken.results)[WebhookResult.ACCEPTED] == 1
        assert await store.deletion(IntentKey("eu", APP, TAG)) is not None
        assert await store.deletion(IntentKey("us", APP, TAG)) is None
        again = await deliveries.take(body(**target), {})
        assert again.count(WebhookResult.COALESCED) == 1
        page = metrics.exposition("text/plain")[0].decode()
        assert 'replicator_updates_total{kind="delete",replica="eu"} 1.0' in page


@pytest.mark.parametrize(
    "event", [body("elsewhere.test", tag=TAG), body(tag="other"), body(digest=str(Digest.of(b"")))]
)
async def test_what_concerns_no_replica_is_not(tmp_path: Path, event: bytes) -> None:
    async with endpoint(tmp_path) as (deliveries, store, _):
        taken = await deliveries.take(event, {})
        assert taken.count(WebhookResult.ACCEPTED) == 0
        assert await store.deletion(IntentKey("eu", APP, TAG)) is None


async def test_a_store_that_cannot_keep_it_has_it_sent_again(tmp_path: Path) -> None:
    refused: list[str] = []
    async with endpoint(tmp_path, lambda: refused.append("one")) as (deliveries, store, _):
        await deliveries.take(body(tag=TAG), {})
        assert refused == []
        await store.close()
        with pytest.raises(StoreError):
            await deliveries.take(body(tag=TAG), {})
        assert refused == ["one"], "sweeps look for what is missed so"
