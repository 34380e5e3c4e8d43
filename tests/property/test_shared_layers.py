"""Images that share layers, pushed at once: each byte crosses once, nobody waits in a circle, whoever is cut off.

The clock stands still, so that a copy which only a time limit could free would never end.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.errors import ManifestBlobUnknown, RegistryError
from replicator.model import Digest, Repository, parse_repository, parse_tag
from replicator.observability.metrics import Metrics, Scope
from replicator.plan import make_plan
from replicator.registry.capabilities import Capabilities, Capability
from replicator.replication.bring import Tally
from replicator.replication.claims import Claims
from replicator.replication.copy import Copy
from replicator.replication.mounts import Mounts
from replicator.replication.one_shot import NoLocations
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.survey import recall
from replicator.replication.tools import Tools
from tests.support.content import Blob, Image, closure_of, make_blob, make_image
from tests.support.fake_clock import FakeClock
from tests.unit.replication.closures import closure
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

SOURCE = parse_repository("source")
LAYERS = [make_blob(f"shared {n}", 1_000 + n) for n in range(6)]
DIGESTS = [layer.digest for layer in LAYERS]
MOUNTS = ["all", "named", "none"]
_PATIENCE = 20.0


@dataclass
class Site:
    """One replica and the copies to it, one for each image, each to a repository drawn from a few."""

    rng: random.Random
    replica: ModelRegistry
    source: ModelRegistry
    tools: Tools
    faults: float = 0.0
    running: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def hook(self, call: Call) -> None:
        """Let others go first for some turns; fail now and then."""
        for _ in range(self.rng.randrange(6)):
            await asyncio.sleep(0)
        if call.op in {Op.HAS, Op.MOUNT, Op.START, Op.SEND, Op.WRITE} and self.rng.random() < self.faults:
            raise network_error("eu")

    async def copy(self, image: Image, target: Repository, number: int) -> None:
        """Copy under a tag of its own."""
        wanted = closure(image)
        for careful in (False, True):
            plan = make_plan(
                wanted, parse_tag(f"v{number}"), await recall(self.tools, target, wanted, careful=careful)
            )
            try:
                await Copy(self.tools, self.source, SOURCE, target, Tally()).run(plan, _allowed)
            except ManifestBlobUnknown:
                self.tools.presence.forget(target)
            else:
                return


async def _allowed() -> None:
    """Publish."""


@asynccontextmanager
async def site(seed: int, mounts: str, *, known: bool, faults: float = 0.0) -> AsyncIterator[Site]:
    """Set up a replica that mounts all blobs, those that a manifest names, or none; `known`: and is known for it."""
    clock = FakeClock()
    source, replica = ModelRegistry("primary"), ModelRegistry("eu", Capabilities(clock))
    replica.mounts, replica.mounts_unreferenced = mounts != "none", mounts == "all"
    if known:
        replica.capabilities.learn(Capability.MOUNT, holds=replica.mounts)
        replica.capabilities.learn(Capability.MOUNT_UNREFERENCED, holds=replica.mounts_unreferenced)
    async with SharedReads(clock=clock, on_read=lambda _name, _bytes: None, pause=0) as reads:
        tools = Tools(
            replica=replica,
            presence=Presence(clock),
            mounts=Mounts(replica.capabilities, clock),
            locations=NoLocations(),
            reads=reads,
            slots=Slots(3, clock),
            small_slots=Slots(4, clock),
            metrics=Metrics(Scope(replicas=("eu",)), clock=clock),
            clock=clock,
        )
        found = Site(random.Random(seed), replica, source, tools, faults)
        replica.hook = found.hook
        yield found


IMAGES = st.lists(
    st.tuples(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5, unique=True), st.integers(0, 3)),
    min_size=2,
    max_size=7,
)


def made(number: int, layers: list[Blob]) -> Image:
    return make_image(f"image {number}", layers)


@settings(deadline=None)
@given(drawn=IMAGES, mounts=st.sampled_from(MOUNTS), known=st.booleans(), seed=st.integers(0, 2**32))
def test_each_byte_crosses_once_and_nobody_waits_in_a_circle(
    drawn: list[tuple[list[Blob], int]], mounts: str, known: bool, seed: int
) -> None:
    async def run() -> None:
        async with site(seed, mounts, known=known) as one:
            images = [made(number, layers) for number, (layers, _) in enumerate(drawn)]
            targets = [parse_repository(f"team/{where}") for _, where in drawn]
            for image in images:
                one.source.hold(SOURCE, image)
            copies = [
                one.copy(image, target, n) for n, (image, target) in enumerate(zip(images, targets, strict=True))
            ]
            await asyncio.wait_for(asyncio.gather(*copies), _PATIENCE)
            for number, target in enumerate(targets):
                assert one.replica.complete(target, parse_tag(f"v{number}"))
            assert not any(one.tools.claims.is_claimed(digest) for digest in DIGESTS)
            sent = {digest: one.replica.count(Op.SENT, digest) for image in images for digest in closure_of(image)}
            if mounts == "none":
                homes = {
                    d: len({t for i, t in zip(images, targets, strict=True) if d in closure_of(i)}) for d in sent
                }
                assert all(count <= homes[digest] for digest, count in sent.items())
            else:
                assert all(count <= 1 for count in sent.values())

    asyncio.run(run())


@settings(deadline=None)
@given(
    drawn=IMAGES,
    mounts=st.sampled_from(MOUNTS),
    cancelled=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 200)), max_size=4),
    seed=st.integers(0, 2**32),
)
def test_whoever_fails_or_is_cancelled_the_others_end(
    drawn: list[tuple[list[Blob], int]], mounts: str, cancelled: list[tuple[int, int]], seed: int
) -> None:
    async def run() -> None:
        async with site(seed, mounts, known=bool(seed % 2), faults=0.03) as one:
            images = [made(number, layers) for number, (layers, _) in enumerate(drawn)]
            targets = [parse_repository(f"team/{where}") for _, where in drawn]
            for image in images:
                one.source.hold(SOURCE, image)
            tasks = [
                asyncio.create_task(one.copy(image, target, n))
                for n, (image, target) in enumerate(zip(images, targets, strict=True))
            ]
            for which, turns in cancelled:
                for _ in range(turns):
                    await asyncio.sleep(0)
                tasks[which % len(tasks)].cancel()
            ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), _PATIENCE)
            assert all(error is None or isinstance(error, RegistryError | asyncio.CancelledError) for error in ended)
            for repository, tag in one.replica.tags:
                assert one.replica.complete(repository, tag)
            assert not any(one.tools.claims.is_claimed(digest) for digest in DIGESTS)
            assert one.tools.slots.held == one.tools.small_slots.held == 0
            one.faults = 0.0
            for number, (image, target) in enumerate(zip(images, targets, strict=True)):
                await asyncio.wait_for(one.copy(image, target, number), _PATIENCE)
                assert one.replica.complete(target, parse_tag(f"v{number}"))

    asyncio.run(run())


@given(moves=st.lists(st.tuples(st.sets(st.sampled_from(DIGESTS), min_size=1), st.integers(0, 20)), max_size=12))
def test_waiting_follows_one_order(moves: list[tuple[set[Digest], int]]) -> None:
    """Whoever comes and goes: one who is ahead of another in one line is behind it in none."""
    claims, held = Claims(), []
    for digests, leaves in moves:
        entering = claims.enter(SOURCE, digests)
        held.append((entering, entering.__enter__(), digests))
        for _, claim, wanted in held:
            for digest in wanted:
                assert all(other.number < claim.number for other in claim.ahead(digest))
        if leaves < len(held):
            left, _, _ = held.pop(leaves)
            left.__exit__(None, None, None)
    for entering, _, _ in held:
        entering.__exit__(None, None, None)
    assert not any(claims.is_claimed(digest) for digest in DIGESTS)
