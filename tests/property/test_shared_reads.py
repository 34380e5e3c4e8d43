"""However subscribers come, go, stall and are cut off: who ends has the right bytes, and memory stays in bounds."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.errors import ContentError, RegistryError, ReplicatorError
from replicator.model import parse_repository
from replicator.replication.blob_read import AHEAD
from replicator.replication.pacing import Pacing
from replicator.replication.shared_reads import SharedReads
from replicator.replication.subscription import Subscription
from tests.support.content import make_blob
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import faults
from tests.unit.replication.support import CHUNK, Call, ModelRegistry, Op, descriptor, network_error

HERE = parse_repository("team/here")
BLOBS = [make_blob("long", 3_500_000), make_blob("short", 700_000)]
DATA = [blob.read() for blob in BLOBS]
STRICT = Pacing(patience=0, linger=0, small_linger=0)
WINDOW, BUDGET = AHEAD + 2 * CHUNK, 2 * AHEAD
MOVES = ["join", "take", "take", "take", "run", "run", "close", "cancel", "finish"]


@dataclass
class Taker:
    """One subscriber with what it got; `task` takes in the background."""

    which: int
    subscription: Subscription
    got: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None
    failed: ReplicatorError | None = None

    def __post_init__(self) -> None:
        self._chunks = self.subscription.chunks()

    @property
    def complete(self) -> bool:
        return len(self.got) == len(DATA[self.which])

    async def take(self, pieces: int) -> None:
        try:
            for _ in range(pieces):
                self.got += await anext(self._chunks)
        except StopAsyncIteration:
            pass
        except ReplicatorError as error:
            self.failed = error

    async def stop(self) -> None:
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])
        await self._chunks.aclose()
        self.subscription.close()


class Scene:
    """One source with its weather, and all who take from it."""

    def __init__(self, seed: int, cuts: float) -> None:
        self.rng = random.Random(seed)
        self.cuts = cuts
        self.source = ModelRegistry("primary", hook=faults(self._weather))
        for blob in BLOBS:
            self.source.hold_blob(HERE, blob)
        self.takers: list[Taker] = []
        self.ended: list[Taker] = []

    def _weather(self, call: Call) -> None:
        if call.op in {Op.OPEN, Op.CHUNK, Op.END} and self.rng.random() < self.cuts:
            raise network_error("primary")

    async def play(self, moves: Sequence[tuple[str, int]]) -> None:
        async with SharedReads(
            clock=FakeClock(),
            on_read=lambda _name, _count: None,
            pause=0,
            window=WINDOW,
            budget=BUDGET,
            pacing=STRICT,
        ) as reads:
            for move, choice in moves:
                await self._move(reads, move, choice)
                self._check(reads)
            await asyncio.wait_for(asyncio.gather(*(self._finish(one) for one in list(self.takers))), 20)
            await eventually(lambda: self.source.open_reads == 0, what="all connections are given back")
            assert reads.buffered == 0

    async def _move(self, reads: SharedReads, move: str, choice: int) -> None:
        if move == "join":
            which = choice % len(BLOBS)
            self.takers.append(Taker(which, reads.subscribe(self.source, HERE, descriptor(BLOBS[which]))))
        elif move == "run":
            for _ in range(choice):
                await asyncio.sleep(0)
        elif self.takers:
            one = self.takers[choice % len(self.takers)]
            if move == "take" and (one.task is None or one.task.done()):
                one.task = asyncio.create_task(one.take(1 + choice % 5))
            elif move == "close" or (move == "cancel" and one.task is not None):
                self.takers.remove(one)
                await one.stop()
            elif move == "finish":
                await asyncio.wait_for(self._finish(one), 10)

    async def _finish(self, one: Taker) -> None:
        """Take all that is left, while everybody else does what it does: nobody may be needed for that."""
        self.takers.remove(one)
        if one.task is not None:
            await one.task
        if one.failed is None:
            await one.take(10**6)
        await one.stop()
        self.ended.append(one)

    def _check(self, reads: SharedReads) -> None:
        # What is read ahead comes on top: at most one read under way for each who takes.
        assert reads.buffered <= BUDGET + (AHEAD + CHUNK) * (1 + self.source.open_reads)
        for one in (*self.takers, *self.ended):
            assert self.source.data[BLOBS[one.which].digest].startswith(one.got), "no byte twice, none left out"


SCENES = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 30)), max_size=60)


@settings(max_examples=60)
@given(moves=SCENES, seed=st.integers(0, 2**32), cuts=st.sampled_from([0.0, 0.0, 0.1, 0.5]))
def test_who_ends_has_every_byte(moves: list[tuple[str, int]], seed: int, cuts: float) -> None:
    scene = Scene(seed, cuts)
    asyncio.run(scene.play([("join", 0), *moves]))
    for one in scene.ended:
        if one.failed is None:
            assert bytes(one.got) == DATA[one.which]
        else:
            assert cuts
            assert isinstance(one.failed, RegistryError)
            assert not one.complete


@settings(max_examples=40)
@given(moves=SCENES, seed=st.integers(0, 2**32), where=st.integers(0, len(DATA[0]) - 1))
def test_nobody_ends_with_a_wrong_byte(moves: list[tuple[str, int]], seed: int, where: int) -> None:
    scene = Scene(seed, 0.0)
    digest, data = BLOBS[0].digest, DATA[0]
    scene.source.data[digest] = data[:where] + bytes([data[where] ^ 0x40]) + data[where + 1 :]
    asyncio.run(scene.play([("join", 0), *moves]))
    for one in scene.ended:
        if one.which == 0:
            assert isinstance(one.failed, ContentError)
            assert not one.complete
        else:
            assert bytes(one.got) == DATA[one.which]
