"""How often a copy waits for the replica in turn, and how many requests it makes in all: the price of a long link.

Every request to the replica takes one unit of a clock that stands still otherwise, the source answers at once: what
has passed when the copy is done is the number of round trips that followed each other.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from replicator.model import Digest, Repository, Tag, parse_repository, parse_tag
from replicator.plan import SMALL
from replicator.registry.capabilities import Capability
from replicator.replication.one_shot import NoLocations
from replicator.replication.presence import KNOWN_FOR, PROVEN_FOR
from replicator.store.outcome import Done, Result
from tests.support.content import Content, make_blob, make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.support import Call, Op

REPO, OTHER = parse_repository("team/app"), parse_repository("team/other")
V1, V2, LATEST = (parse_tag(name) for name in ("v1", "v2", "latest"))
LAYERS = [make_blob(f"layer {n}", 3_000) for n in range(3)]
LARGE = make_blob("large", SMALL + 1)
ONE = make_image("one", LAYERS)
TWO = make_image("two", [*LAYERS[:2], make_blob("changed", 3_000)])
WITH_LARGE = make_image("large", [*LAYERS[:2], LARGE])
_REQUESTS = {Op.STAT, Op.READ, Op.HAS, Op.MOUNT, Op.START, Op.CANCEL, Op.SEND, Op.WRITE}
_TRIP = 0.001


@dataclass
class Cost:
    """What one copy cost at the replica."""

    outcome: Result
    trips: int
    requests: Counter[Op]

    @property
    def all(self) -> int:
        return self.requests.total()


class Remembered(NoLocations):
    """The store's memory of where blobs are, without its threads: nothing may take time but requests."""

    def __init__(self) -> None:
        self.kept: dict[Digest, list[Repository]] = {}

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        assert replica == "eu"
        return {digest: tuple(self.kept[digest]) for digest in digests if digest in self.kept}

    async def remember_blobs(self, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
        assert replica == "eu"
        for digest in digests:
            self.kept[digest] = [repository, *(one for one in self.kept.get(digest, ()) if one != repository)]

    async def forget_blobs(self, replica: str, repository: Repository) -> None:
        assert replica == "eu"
        for holders in self.kept.values():
            holders[:] = [one for one in holders if one != repository]


@dataclass
class Link:
    """A worker and the long way to its replica."""

    bench: Bench
    waiting: int = 0

    async def charge(self, call: Call) -> None:
        """Let a request take one round trip."""
        if call.op in _REQUESTS:
            self.waiting += 1
            try:
                await self.bench.rig.clock.sleep(_TRIP)
            finally:
                self.waiting -= 1

    async def push(self, tag: Tag, content: Content, repository: Repository = REPO) -> Cost:
        """Push to the primary, copy, and say what it cost."""
        rig = self.bench.rig
        rig.source.hold(repository, content, tag)
        await rig.event(repository, tag, None)
        before, began = len(rig.replica.calls), rig.clock.monotonic()
        copying = asyncio.create_task(self.bench.work())
        while not copying.done():
            await rig.moment()
            if self.waiting:
                rig.clock.advance(_TRIP)
        outcome = await copying
        assert isinstance(outcome, Done)
        assert rig.replica.complete(repository, tag)
        assert rig.replica.tags[repository, tag] == content.digest
        requests = Counter(call.op for call in rig.replica.calls[before:] if call.op in _REQUESTS)
        return Cost(outcome.result, round((rig.clock.monotonic() - began) / _TRIP), requests)

    def proves_that_it_checks(self) -> None:
        """Let the replica be one that refuses manifests with missing content, and be known for it."""
        self.bench.rig.replica.strict = True
        self.bench.tools.replica.capabilities.learn(Capability.CHECKS_MANIFESTS, holds=True)


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[Link]:
    async with running_bench(tmp_path, locations=Remembered()) as bench:
        link = Link(bench)
        # What is asked once an hour is measured by itself.
        bench.tools.replica.capabilities.learn(Capability.ANONYMOUS_MOUNT, holds=False)
        bench.rig.replica.hook = link.charge
        yield link


async def test_nothing_to_do_is_one_question(link: Link) -> None:
    await link.push(V1, ONE)
    cost = await link.push(V1, ONE)
    assert (cost.outcome, cost.trips, cost.requests) == (Result.ALREADY_PRESENT, 1, Counter({Op.STAT: 1}))


async def test_the_first_image_of_a_new_repository_takes_three(link: Link) -> None:
    """Uploads are opened while it is asked what is there: 3 in turn, 3 requests a blob and 2 for the tag."""
    cost = await link.push(V1, ONE)
    assert cost.trips == 3
    assert cost.requests == Counter({Op.STAT: 1, Op.HAS: 4, Op.START: 4, Op.SEND: 4, Op.WRITE: 1})


@pytest.mark.parametrize("tag", [V1, V2], ids=["moved tag", "new tag"])
async def test_an_update_of_one_layer_takes_three(link: Link, tag: Tag) -> None:
    """Config and layer: two requests each, and two for the tag; nothing is asked."""
    await link.push(V1, ONE)
    cost = await link.push(tag, TWO)
    assert cost.trips == 3
    assert cost.requests == Counter({Op.STAT: 1, Op.START: 2, Op.SEND: 2, Op.WRITE: 1})


@pytest.mark.parametrize("checks", [False, True])
async def test_an_update_after_an_hour_takes_three(link: Link, checks: bool) -> None:
    """What was there must be proven: by the registry where that checks, else by asking meanwhile. And no more."""
    if checks:
        link.proves_that_it_checks()
    await link.push(V1, ONE)
    link.bench.rig.clock.advance(KNOWN_FOR + 1)
    cost = await link.push(V2, TWO)
    assert cost.trips == 3
    asked = Counter() if checks else Counter({Op.HAS: 2})
    assert cost.requests == asked + Counter({Op.STAT: 1, Op.START: 2, Op.SEND: 2, Op.WRITE: 1})


async def test_a_large_layer_is_asked_for_while_its_upload_is_opened(link: Link) -> None:
    await link.push(V1, ONE)
    cost = await link.push(V2, WITH_LARGE)
    assert cost.trips == 3
    assert cost.requests == Counter({Op.STAT: 1, Op.HAS: 1, Op.START: 2, Op.SEND: 2, Op.WRITE: 1})


@pytest.mark.parametrize("later", [1.0, PROVEN_FOR + 1, KNOWN_FOR + 1])
async def test_known_blobs_take_one_where_manifests_are_checked(link: Link, later: float) -> None:
    """Also when only the store still knows of them, as after a restart."""
    link.proves_that_it_checks()
    await link.push(V1, ONE)
    link.bench.rig.clock.advance(later)
    cost = await link.push(LATEST, ONE)
    assert cost.trips == 1
    assert cost.requests == Counter({Op.STAT: 1, Op.WRITE: 1})


@pytest.mark.parametrize("later", [PROVEN_FOR + 1, KNOWN_FOR + 1])
async def test_known_blobs_take_two_where_manifests_may_not_be_checked(link: Link, later: float) -> None:
    await link.push(V1, ONE)
    link.bench.rig.clock.advance(later)
    cost = await link.push(LATEST, ONE)
    assert cost.trips == 2
    assert cost.requests == Counter({Op.STAT: 1, Op.HAS: 4, Op.WRITE: 1})


async def test_what_was_proven_a_moment_ago_is_not_asked_for_again(link: Link) -> None:
    await link.push(V1, ONE)
    cost = await link.push(LATEST, ONE)
    assert (cost.trips, cost.all) == (1, 2)


async def test_a_blob_that_vanished_is_missed_where_nobody_else_checks(link: Link) -> None:
    """Believed for an hour, and gone: on a registry that takes anything the tag must still be complete (G2)."""
    await link.push(V1, ONE)
    link.bench.rig.clock.advance(PROVEN_FOR + 1)
    link.bench.rig.replica.lose(REPO, LAYERS[0].digest)
    cost = await link.push(V2, TWO)
    assert cost.requests[Op.SEND] == 3
    assert cost.trips == 4


async def test_a_manifest_that_is_refused_costs_one_trip_more_than_the_whole_way(link: Link) -> None:
    link.proves_that_it_checks()
    await link.push(V1, ONE)
    link.bench.rig.clock.advance(PROVEN_FOR + 1)
    link.bench.rig.replica.lose(REPO, LAYERS[0].digest)
    cost = await link.push(LATEST, ONE)
    assert cost.trips == 1 + 4
    assert cost.requests == Counter({Op.STAT: 1, Op.WRITE: 2, Op.HAS: 4, Op.START: 1, Op.SEND: 1})


async def test_a_refusal_is_the_proof_that_manifests_are_checked(link: Link) -> None:
    link.bench.rig.replica.strict = True
    await link.push(V1, ONE)
    link.bench.rig.replica.lose(REPO, LAYERS[0].digest)
    await link.push(LATEST, ONE)
    assert link.bench.tools.replica.capabilities.holds(Capability.CHECKS_MANIFESTS)


async def test_that_manifests_are_checked_is_found_out_when_it_would_have_helped(link: Link) -> None:
    """And not before, nor twice: two round trips now, one from then on."""
    link.bench.rig.replica.strict = True
    capabilities = link.bench.tools.replica.capabilities
    trips: list[int] = []
    for _ in range(3):
        link.bench.rig.clock.advance(PROVEN_FOR + 1)
        trips.append((await link.push(LATEST, ONE if len(trips) % 2 else TWO)).trips)
    assert capabilities.holds(Capability.CHECKS_MANIFESTS)
    assert trips == [3, 3, 1]


async def test_layers_that_another_repository_holds_are_mounted_without_a_question(link: Link) -> None:
    await link.push(V1, ONE)
    cost = await link.push(V1, TWO, OTHER)
    assert cost.trips == 3
    assert cost.requests[Op.MOUNT] == 2
    assert cost.requests[Op.HAS] == cost.requests[Op.START] == 2
    again = await link.push(V2, ONE, OTHER)
    assert (again.trips, again.requests) == (2, Counter({Op.STAT: 1, Op.MOUNT: 2, Op.WRITE: 1}))


async def test_a_session_that_a_mount_opened_is_used(link: Link) -> None:
    await link.push(V1, ONE)
    link.bench.rig.replica.mounts = False
    cost = await link.push(V1, ONE, OTHER)
    assert cost.trips == 3
    assert cost.requests[Op.START] < len(ONE.blobs())
    assert cost.requests[Op.START] + cost.requests[Op.MOUNT] == cost.requests[Op.SEND] == 4


async def test_after_some_new_repositories_the_next_costs_ten_requests(link: Link) -> None:
    """A config and three small layers: two each, and two for the tag."""
    costs = [
        await link.push(V1, make_image(f"app {n}", [3_000, 3_001, 3_002]), parse_repository(f"team/new-{n}"))
        for n in range(4)
    ]
    assert [cost.trips for cost in costs] == [3, 3, 3, 3]
    assert costs[-1].requests == Counter({Op.STAT: 1, Op.START: 4, Op.SEND: 4, Op.WRITE: 1})


async def test_a_repository_that_others_filled_is_asked_first(link: Link) -> None:
    """The first image shows it; from then on no upload is opened on suspicion."""
    link.bench.rig.replica.hold(REPO, ONE)
    first = await link.push(V1, ONE)
    assert first.trips == 2
    assert first.requests == Counter({Op.STAT: 1, Op.HAS: 4, Op.START: 4, Op.CANCEL: 4, Op.WRITE: 1})
    second = await link.push(V2, TWO)
    assert second.requests == Counter({Op.STAT: 1, Op.HAS: 2, Op.START: 2, Op.SEND: 2, Op.WRITE: 1})


async def test_an_index_costs_one_more_than_an_image(link: Link) -> None:
    """Children go in parallel; a registry that checks is given them again rather than asked for each blob."""
    link.proves_that_it_checks()
    index = make_index([ONE, WITH_LARGE])
    assert (await link.push(V1, index)).trips == 4
    link.bench.rig.clock.advance(PROVEN_FOR + 1)
    cost = await link.push(LATEST, index)
    assert (cost.trips, cost.requests) == (2, Counter({Op.STAT: 1, Op.WRITE: 3}))


async def test_a_mount_without_a_source_is_tried_where_it_is_proven(link: Link) -> None:
    replica = link.bench.rig.replica
    replica.mounts_anonymously = True
    replica.hold(OTHER, ONE)
    link.bench.tools.replica.capabilities.learn(Capability.ANONYMOUS_MOUNT, holds=True)
    cost = await link.push(V1, ONE)
    assert cost.trips == 2
    assert cost.requests == Counter({Op.STAT: 1, Op.HAS: 4, Op.MOUNT: 4, Op.WRITE: 1})
