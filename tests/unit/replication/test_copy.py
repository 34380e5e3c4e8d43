"""A plan carried out: each blob crosses once, nobody waits with a slot in hand, the reference comes last (G2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from replicator import manifest
from replicator.errors import AccessDenied, ContentError, Reason, RegistryError, ReplicatorError, StoreError
from replicator.manifest import Closure
from replicator.model import Digest, Priority, RawManifest, Reference, Repository, parse_repository, parse_tag
from replicator.observability.metrics import Metrics, Scope
from replicator.plan import SMALL, Facts, make_plan
from replicator.registry.capabilities import LACKS_FOR, Capabilities, Capability
from replicator.registry.urgency import Urgency, urgent
from replicator.replication.bring import Tally
from replicator.replication.copy import Copy
from replicator.replication.mounting import LEADER_LIMIT
from replicator.replication.mounts import Mounts
from replicator.replication.one_shot import NoLocations
from replicator.replication.pacing import Pacing
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.tools import SMALL_AT_ONCE, Tools
from tests.support.content import Content, make_blob, make_image, make_index
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

HERE, THERE, THIRD, ELSEWHERE = (parse_repository(f"team/{name}") for name in ("here", "there", "third", "elsewhere"))
TAG = parse_tag("v1")
SHARED = make_blob("shared", 700_000)
ONE = make_image("one", [SHARED, 30_000])
TWO = make_image("two", [SHARED, 40_000])


class Remembered(NoLocations):
    """Keeps what a copy learned."""

    def __init__(self) -> None:
        self.kept: dict[Repository, set[Digest]] = {}

    async def remember_blobs(self, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
        assert replica == "eu"
        self.kept.setdefault(repository, set()).update(digests)

    async def forget_blobs(self, replica: str, repository: Repository) -> None:
        assert replica == "eu"
        self.kept.pop(repository, None)


@dataclass
class Lane:
    """One replica, what its workers share, and the source."""

    source: ModelRegistry
    replica: ModelRegistry
    tools: Tools
    clock: FakeClock
    locations: Remembered
    tallies: dict[Digest, Tally] = field(default_factory=dict)

    async def copy(
        self, content: Content, repository: Repository, *, reference: Reference = TAG, facts: Facts | None = None
    ) -> None:
        tally = self.tallies[content.digest] = Tally()
        copy = Copy(self.tools, self.source, HERE, repository, tally)
        await copy.run(make_plan(closure(content), reference, facts or Facts()), _allowed)

    def sent(self, digest: Digest) -> int:
        return self.replica.count(Op.SENT, digest)


async def _allowed() -> None:
    """Publish."""


def closure(content: Content) -> Closure:
    parsed = {
        one.digest: manifest.parse(RawManifest(one.media_type, one.digest, one.body), registry="primary")
        for one in content.manifests()
    }
    return manifest.closure(parsed[content.digest], parsed)


@pytest.fixture
async def lane(fake_clock: FakeClock) -> AsyncIterator[Lane]:
    source, replica = ModelRegistry("primary"), ModelRegistry("eu", Capabilities(fake_clock))
    # Otherwise the first mount would find it out, at the price of two requests.
    replica.capabilities.learn(Capability.ANONYMOUS_MOUNT, holds=False)
    for content in (ONE, TWO):
        source.hold(HERE, content)
    metrics = Metrics(Scope(replicas=("eu",)), clock=fake_clock)
    locations = Remembered()
    async with SharedReads(
        clock=fake_clock, on_read=metrics.source_bytes_read, pause=0, pacing=Pacing(linger=0, small_linger=0)
    ) as reads:
        tools = Tools(
            replica=replica,
            presence=Presence(fake_clock),
            mounts=Mounts(replica.capabilities, fake_clock),
            locations=locations,
            reads=reads,
            slots=Slots(3, fake_clock),
            small_slots=Slots(SMALL_AT_ONCE, fake_clock),
            metrics=metrics,
            clock=fake_clock,
        )
        yield Lane(source, replica, tools, fake_clock, locations)


async def test_an_image_arrives_whole_and_is_accounted_for(lane: Lane) -> None:
    await lane.copy(ONE, THERE)
    assert lane.replica.tags[THERE, TAG] == ONE.digest
    assert lane.replica.complete(THERE, TAG)
    tally = lane.tallies[ONE.digest]
    assert tally.sent == sum(blob.size for blob in ONE.blobs()) == lane.source.bytes_read
    assert (tally.mounted, tally.present) == (0, 0)
    assert lane.locations.kept == {THERE: {blob.digest for blob in ONE.blobs()}}
    assert all(lane.tools.presence.knows(THERE, blob.digest) for blob in ONE.blobs())


async def test_at_every_moment_every_reference_is_complete(lane: Lane) -> None:
    """Seen by a replica that takes anything; blobs, children, parents, and the tag after all."""
    top = make_index([ONE, make_index([ONE, TWO]), make_image("three", [SHARED, 5])])
    lane.source.hold(HERE, top)
    broken: list[Call] = []

    def watch(call: Call) -> None:
        if call.op is Op.WROTE:
            broken.extend(call for key in lane.replica.manifests if not lane.replica.complete(*key))

    lane.replica.hook = faults(watch)
    await lane.copy(top, THERE)
    assert broken == []
    written = [call.reference for call in lane.replica.calls if call.op is Op.WRITE]
    assert written[-1] == TAG
    assert len(written) == len(set(written)) == len(top.manifests())


async def test_what_is_present_is_not_touched(lane: Lane) -> None:
    lane.replica.hold_blob(THERE, SHARED)
    await lane.copy(ONE, THERE, facts=Facts(present=frozenset({SHARED.digest})))
    assert lane.sent(SHARED.digest) == lane.source.count(Op.OPEN, SHARED.digest) == 0
    assert lane.tallies[ONE.digest].present == SHARED.size
    assert SHARED.digest in lane.locations.kept[THERE], "it may be mounted from there"


async def test_a_blob_elsewhere_is_mounted_and_not_read(lane: Lane) -> None:
    lane.replica.hold_blob(ELSEWHERE, SHARED)
    await lane.copy(ONE, THERE, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert lane.source.count(Op.OPEN, SHARED.digest) == lane.sent(SHARED.digest) == 0
    assert lane.tallies[ONE.digest].mounted == SHARED.size
    assert lane.replica.complete(THERE, TAG)


async def test_a_blob_that_came_elsewhere_since_the_survey_is_mounted(lane: Lane) -> None:
    """The survey asked before the other image had brought it, and the store does not know of it yet."""
    lane.replica.hold_blob(ELSEWHERE, SHARED)
    lane.tools.presence.learn(ELSEWHERE, SHARED.digest)
    await lane.copy(ONE, THERE)
    assert lane.sent(SHARED.digest) == 0
    assert lane.tallies[ONE.digest].mounted == SHARED.size


async def test_a_refused_mount_costs_no_second_session(lane: Lane) -> None:
    await lane.copy(ONE, THERE, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert lane.replica.count(Op.MOUNT) == 1
    assert lane.sent(SHARED.digest) == 1
    assert lane.replica.sessions == len(ONE.blobs()), "the one that the mount opened is used"
    assert lane.replica.complete(THERE, TAG)


@pytest.mark.parametrize("finds", [True, False])
async def test_whether_blobs_are_found_without_being_told_where_is_shown_by_the_first_mount(
    fake_clock: FakeClock, lane: Lane, finds: bool
) -> None:
    fake_clock.advance(LACKS_FOR)
    lane.replica.mounts_anonymously = finds
    lane.replica.hold(ELSEWHERE, ONE)
    await lane.copy(ONE, THERE, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert lane.replica.capabilities.holds(Capability.ANONYMOUS_MOUNT) is finds
    assert lane.replica.count(Op.SENT, SHARED.digest) == 0
    assert lane.replica.sessions == lane.replica.count(Op.SENT) + lane.replica.cancelled
    asked = lane.replica.count(Op.MOUNT)
    await lane.copy(ONE, THIRD, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert lane.replica.count(Op.MOUNT) - asked == len(ONE.blobs()), "one for each blob"


async def test_a_refused_mount_does_not_show_that_nothing_is_found(fake_clock: FakeClock, lane: Lane) -> None:
    """Who mounts nothing at all may be forbidden to: that is another question, and this one is not asked again."""
    fake_clock.advance(LACKS_FOR)
    for target in (THERE, THIRD):
        await lane.copy(ONE, target, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert lane.replica.capabilities.holds(Capability.ANONYMOUS_MOUNT) is None
    assert lane.replica.count(Op.MOUNT) == 2 + len(ONE.blobs())


def _elsewhere(count: int) -> list[Repository]:
    return [Repository(f"elsewhere/{number}") for number in range(count)]


async def _refuse_mounts(lane: Lane, pairs: Sequence[tuple[Repository, Repository]], *, held: bool) -> None:
    """Copy ONE for each pair of repositories, SHARED being said to be in the first of it, and mounted by nobody."""
    lane.replica.mounts = False
    for source, target in pairs:
        if held:
            lane.replica.hold_blob(source, SHARED)
        lane.replica.lose(target, SHARED.digest)
        lane.tools.presence.forget(target)
        for one in (*_elsewhere(9), HERE, THERE, ELSEWHERE):
            lane.tools.presence.forget(one)
        await lane.copy(ONE, target, facts=Facts(locations={SHARED.digest: (source,)}))


async def test_three_refused_mounts_of_what_is_there_prove_that_nothing_is_mounted(lane: Lane) -> None:
    a, b, c, d = _elsewhere(4)
    await _refuse_mounts(lane, [(a, b), (b, c)], held=True)
    assert lane.replica.capabilities.holds(Capability.MOUNT) is None
    await _refuse_mounts(lane, [(c, d)], held=True)
    assert lane.replica.capabilities.holds(Capability.MOUNT) is False


async def test_refused_mounts_of_what_is_gone_prove_nothing_and_it_is_believed_no_more(
    lane: Lane,
) -> None:
    """The store knew the blob there; since then the replica collected garbage."""
    a, b, c, d, e = _elsewhere(5)
    for source in (a, b, c, d):
        lane.locations.kept[source] = {SHARED.digest}
    await _refuse_mounts(lane, [(a, e), (b, HERE), (c, ELSEWHERE), (d, THERE)], held=False)
    assert lane.replica.count(Op.MOUNT, SHARED.digest) == 4
    assert lane.replica.capabilities.holds(Capability.MOUNT) is None
    assert not {a, b, c, d} & lane.locations.kept.keys()
    lane.replica.mounts = True
    lane.replica.hold_blob(a, SHARED)
    lane.replica.lose(e, SHARED.digest)
    lane.tools.presence.forget(e)
    await lane.copy(TWO, e, facts=Facts(locations={SHARED.digest: (a,)}))
    assert lane.tallies[TWO.digest].mounted == SHARED.size, "the pair was not given up either"


async def test_a_session_of_a_refused_mount_is_given_up_where_the_store_does_not_take_what_it_shows(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(replica: str, repository: Repository) -> None:
        raise StoreError(f"{replica}: {repository}")

    monkeypatch.setattr(lane.locations, "forget_blobs", fail)
    with pytest.raises(StoreError):
        await _refuse_mounts(lane, [(ELSEWHERE, THERE)], held=False)
    assert lane.replica.count(Op.MOUNT, SHARED.digest) == lane.replica.cancelled == 1


async def test_refused_mounts_from_where_we_may_not_read_prove_nothing(lane: Lane) -> None:
    async def deny(call: Call) -> None:
        if call.op is Op.HAS and call.repository in sources:
            raise AccessDenied("no", registry="eu", reason=Reason.AUTH, status=403)

    a, b, c, d, *targets = _elsewhere(8)
    sources = {a, b, c, d}
    lane.replica.hook = deny
    await _refuse_mounts(lane, list(zip((a, b, c, d), targets, strict=True)), held=True)
    assert lane.replica.count(Op.MOUNT, SHARED.digest) == 4
    assert lane.replica.capabilities.holds(Capability.MOUNT) is None
    assert lane.replica.cancelled == 0


@pytest.mark.parametrize("alike", ["source", "target"])
async def test_refused_mounts_of_one_repository_alone_prove_nothing_about_the_others(lane: Lane, alike: str) -> None:
    one, *others = _elsewhere(5)
    pairs = [(one, other) if alike == "source" else (other, one) for other in others]
    await _refuse_mounts(lane, pairs, held=True)
    assert lane.replica.count(Op.MOUNT, SHARED.digest) == len(pairs)
    assert lane.replica.capabilities.holds(Capability.MOUNT) is None
    await _refuse_mounts(lane, [(others[0], others[1])], held=True)
    assert lane.replica.capabilities.holds(Capability.MOUNT) is False


async def test_a_blob_under_way_is_waited_for_without_a_slot_and_then_mounted(lane: Lane) -> None:
    gate = Gate(Op.GOT, SHARED.digest)
    lane.replica.hook = faults(gate)
    first = asyncio.create_task(lane.copy(ONE, THERE))
    await gate.reached.wait()
    second = asyncio.create_task(lane.copy(TWO, ELSEWHERE))
    await eventually(lambda: lane.sent(TWO.layers[1].digest) == 1, what="the waiting copy sends its other layer")
    await eventually(lambda: lane.tools.slots.held == 1, what="only who sends holds a slot")
    gate.opened.set()
    await asyncio.gather(first, second)
    assert lane.sent(SHARED.digest) == 1
    assert lane.tallies[TWO.digest].mounted == SHARED.size
    assert lane.source.count(Op.OPEN, SHARED.digest) == 1
    assert lane.replica.complete(ELSEWHERE, TAG)


async def test_a_blob_under_way_to_the_same_repository_is_there_when_it_ends(lane: Lane) -> None:
    gate = Gate(Op.GOT, SHARED.digest)
    lane.replica.hook = faults(gate)
    first = asyncio.create_task(lane.copy(ONE, THERE))
    await gate.reached.wait()
    second = asyncio.create_task(lane.copy(TWO, THERE, reference=parse_tag("v2")))
    await eventually(lambda: lane.sent(TWO.layers[1].digest) == 1, what="the waiting copy sends its other layer")
    gate.opened.set()
    await asyncio.gather(first, second)
    assert lane.sent(SHARED.digest) == 1
    assert lane.replica.count(Op.MOUNT) == 0
    assert lane.tallies[TWO.digest].present == SHARED.size


async def test_whoever_is_waited_for_by_the_urgent_is_as_urgent(lane: Lane) -> None:
    """A push of a new image waits for a base layer that a backfill has in its queue: no longer than it must."""
    lane.tools = replace(lane.tools, slots=Slots(1, lane.clock))
    occupant, earlier = (make_image(name, [make_blob(name, 500_000)]) for name in ("occupant", "earlier"))
    for content in (occupant, earlier):
        lane.source.hold(HERE, content)
    gate = Gate(Op.GOT, occupant.layers[0].digest)
    lane.replica.hook = faults(gate)
    with urgent(Urgency(Priority.LOW)):
        first = asyncio.create_task(lane.copy(occupant, THERE))
        await gate.reached.wait()
        low = [
            asyncio.create_task(lane.copy(content, THERE, reference=parse_tag(f"low-{number}")))
            for number, content in enumerate([earlier, ONE])
        ]
        await eventually(lambda: lane.tools.slots.waiting == 2, what="both wait for a slot")
    with urgent(Urgency(Priority.HIGH)):
        high = asyncio.create_task(lane.copy(TWO, ELSEWHERE))
    await eventually(lambda: lane.sent(TWO.layers[1].digest) == 1, what="all but the shared layer is there")
    gate.opened.set()
    await asyncio.gather(first, high, *low)
    sent = [call.reference for call in lane.replica.calls if call.op is Op.SENT]
    assert sent.index(SHARED.digest) < sent.index(earlier.layers[0].digest)
    assert lane.sent(SHARED.digest) == 1


async def test_a_session_that_a_refused_mount_opened_is_given_up_by_who_is_cut_short_before_it_has_a_slot(
    lane: Lane,
) -> None:
    lane.tools = replace(lane.tools, slots=Slots(1, lane.clock))
    occupant = make_image("occupant", [make_blob("occupant", 500_000)])
    lane.source.hold(HERE, occupant)
    gate = Gate(Op.GOT, occupant.layers[0].digest)
    lane.replica.hook = faults(gate)
    first = asyncio.create_task(lane.copy(occupant, THERE))
    await gate.reached.wait()
    await eventually(lambda: lane.sent(occupant.config.digest) == 1, what="of the first only the layer is under way")
    second = asyncio.create_task(lane.copy(ONE, THIRD, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)})))
    await eventually(lambda: lane.tools.slots.waiting >= 1, what="it waits for a slot")
    await eventually(lambda: lane.replica.count(Op.SENT) == len(ONE.blobs()), what="what is small is there")
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert lane.replica.cancelled == 1
    assert lane.replica.sessions == lane.replica.count(Op.SENT) + lane.replica.cancelled + 1
    gate.opened.set()
    await first


async def test_sessions_that_were_opened_for_nothing_are_given_up_by_a_copy_that_fails_too(lane: Lane) -> None:
    for blob in ONE.blobs()[:-1]:
        lane.replica.hold_blob(THERE, blob)
    missing = ONE.blobs()[-1].digest

    async def fail(call: Call) -> None:
        if call.op is Op.SEND and call.reference == missing:
            await eventually(lambda: lane.replica.count(Op.START) == len(ONE.blobs()), what="all are asked for")
            raise network_error("eu")

    lane.replica.hook = fail
    with pytest.raises(RegistryError):
        await lane.copy(ONE, THERE)
    assert lane.replica.sessions == len(ONE.blobs())
    assert lane.replica.cancelled == lane.replica.sessions - 1


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_when_the_leader_is_gone_one_who_waited_takes_over(lane: Lane, end: str) -> None:
    gate = Gate(Op.GOT, SHARED.digest)
    lane.replica.hook = faults(gate)
    first = asyncio.create_task(lane.copy(ONE, THERE))
    await gate.reached.wait()
    waiting = [asyncio.create_task(lane.copy(TWO, ELSEWHERE, reference=parse_tag(name))) for name in ("a", "b")]
    await eventually(lambda: lane.sent(TWO.config.digest) >= 1, what="the others wait")
    lane.replica.hook = faults()
    if end == "cancelled":
        first.cancel()
    else:
        lane.replica.hook = faults(_once(Op.GOT, SHARED.digest))
        gate.opened.set()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError if end == "cancelled" else RegistryError)
    assert results[1:] == [None, None]
    assert lane.sent(SHARED.digest) == 1
    assert lane.replica.count(Op.MOUNT) == 0, "nothing is mounted from where it never arrived"
    assert (THERE, TAG) not in lane.replica.tags
    assert all(lane.replica.complete(ELSEWHERE, parse_tag(name)) for name in ("a", "b"))


def _once(op: Op, digest: Digest | None = None) -> Callable[[Call], None]:
    left = [1]

    def step(call: Call) -> None:
        if call.op is op and digest in {None, call.reference} and left[0]:
            left[0] -= 1
            raise network_error("eu")

    return step


async def test_a_leader_that_hangs_is_not_waited_for_for_ever(lane: Lane) -> None:
    gate = Gate(Op.GOT, SHARED.digest)
    lane.replica.hook = faults(gate)
    first = asyncio.create_task(lane.copy(ONE, THERE))
    await gate.reached.wait()
    lane.replica.hook = faults()
    second = asyncio.create_task(lane.copy(TWO, ELSEWHERE))
    await lane.clock.someone_sleeps()
    lane.clock.advance(LEADER_LIMIT)
    await second
    assert lane.replica.complete(ELSEWHERE, TAG)
    gate.opened.set()
    await first
    assert lane.replica.complete(THERE, TAG)


def paced(steps: asyncio.Semaphore) -> Callable[[Call], Awaitable[None] | None]:
    """Return what takes the next piece of the shared blob only when `steps` says so."""

    async def step(call: Call) -> None:
        if call.op is Op.GOT and call.reference == SHARED.digest:
            await steps.acquire()

    return step


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_leader_is_waited_for_as_long_as_its_bytes_move(lane: Lane, goes_on: bool) -> None:
    """Each piece takes almost as long as one that hangs is waited for."""
    steps, pieces = asyncio.Semaphore(0), -(-SHARED.size // lane.source.chunk)
    lane.replica.hook = faults(paced(steps))
    first = asyncio.create_task(lane.copy(ONE, THERE))
    await eventually(lambda: lane.replica.count(Op.GOT, SHARED.digest) == 1, what="the first piece is on its way")
    lane.replica.hook = faults()
    second = asyncio.create_task(lane.copy(TWO, ELSEWHERE))
    await lane.clock.someone_sleeps()
    lane.replica.hook = faults(paced(steps))
    for piece in range(1, pieces + 1 if goes_on else 2):
        lane.clock.advance(LEADER_LIMIT - 1)
        steps.release()
        wanted = min(piece + 1, pieces)
        await eventually(lambda: lane.replica.count(Op.GOT, SHARED.digest) == wanted, what="the next piece")  # noqa: B023 -- awaited in this turn
    lane.replica.hook = faults()
    if not goes_on:
        lane.clock.advance(LEADER_LIMIT - 1)
        await lane.clock.someone_sleeps()
        assert not second.done()
        lane.clock.advance(1)
        await second
        for _ in range(pieces):
            steps.release()
    await asyncio.gather(first, second)
    assert lane.sent(SHARED.digest) == (1 if goes_on else 2)
    assert lane.replica.complete(THERE, TAG)
    assert lane.replica.complete(ELSEWHERE, TAG)


async def test_no_more_blobs_are_sent_at_once_than_there_are_slots(lane: Lane) -> None:
    content = make_image("many", [SMALL + n for n in range(1, 8)])
    lane.source.hold(HERE, content)
    most = 0

    def watch(_call: Call) -> None:
        nonlocal most
        most = max(most, lane.tools.slots.held)

    lane.replica.hook = faults(watch)
    await lane.copy(content, THERE)
    assert most == 2
    assert lane.tools.slots.held == 0


async def test_small_blobs_do_not_queue_behind_large_ones(lane: Lane) -> None:
    """Over a long link many at once is what counts; they are bounded on their own."""
    content = make_image("small", [1_000 + n for n in range(2 * SMALL_AT_ONCE)])
    lane.source.hold(HERE, content)
    most = 0

    def watch(_call: Call) -> None:
        nonlocal most
        most = max(most, lane.tools.small_slots.held)
        assert lane.tools.slots.held == 0

    lane.replica.hook = faults(watch)
    await lane.copy(content, THERE)
    assert most == SMALL_AT_ONCE - 1, "one is kept for what is urgent"
    assert lane.tools.small_slots.held == 0


@pytest.mark.parametrize("hurt", [SHARED.digest, ONE.config.digest])
async def test_wrong_bytes_end_the_copy_before_the_tag(lane: Lane, hurt: Digest) -> None:
    lane.source.data[hurt] = b"\x00" + lane.source.data[hurt][1:]
    with pytest.raises(ContentError):
        await lane.copy(ONE, THERE)
    assert lane.replica.tags == {}
    assert (THERE, hurt) not in lane.replica.links
    assert lane.replica.corrupt == [], "not even offered: the last bytes were held back"
    assert not lane.tools.presence.knows(THERE, hurt)


@pytest.mark.parametrize("op", [Op.SEND, Op.GOT, Op.SENT, Op.MOUNT, Op.WRITE])
async def test_an_error_anywhere_leaves_nothing_running_and_nothing_held(lane: Lane, op: Op) -> None:
    lane.replica.hook = faults(_once(op))
    index = make_index([ONE, TWO])
    lane.source.hold(HERE, index)
    with pytest.raises(ReplicatorError):
        await lane.copy(index, THERE, facts=Facts(locations={SHARED.digest: (ELSEWHERE,)}))
    assert (THERE, TAG) not in lane.replica.tags
    assert lane.tools.slots.held == 0
    await eventually(lambda: lane.source.open_reads == 0, what="no source read goes on")
    assert lane.tools.reads.buffered == 0
    await lane.copy(index, THERE)
    assert lane.replica.complete(THERE, TAG)


async def test_a_refusal_to_publish_leaves_the_tag_alone_and_the_rest_in_place(lane: Lane) -> None:
    async def refuse() -> None:
        raise ReplicatorError("the lease is lost")

    copy = Copy(lane.tools, lane.source, HERE, THERE, Tally())
    with pytest.raises(ReplicatorError, match="lost"):
        await copy.run(make_plan(closure(ONE), TAG, Facts()), refuse)
    assert not copy.publishing
    assert lane.replica.count(Op.WRITE) == 0
    assert lane.locations.kept[THERE] == {blob.digest for blob in ONE.blobs()}, "the next try finds all of it"


async def test_from_the_moment_of_publishing_the_outcome_is_unknown(lane: Lane) -> None:
    copy = Copy(lane.tools, lane.source, HERE, THERE, Tally())
    seen = []

    async def ask() -> None:
        seen.append(copy.publishing)

    lane.replica.hook = faults(_once(Op.WROTE))
    with pytest.raises(RegistryError):
        await copy.run(make_plan(closure(ONE), TAG, Facts()), ask)
    assert seen == [False]
    assert copy.publishing


async def test_two_lanes_read_the_source_once(lane: Lane) -> None:
    other = ModelRegistry("eu")
    tools = Tools(
        replica=other,
        presence=Presence(lane.clock),
        mounts=Mounts(other.capabilities, lane.clock),
        locations=Remembered(),
        reads=lane.tools.reads,
        slots=Slots(3, lane.clock),
        small_slots=Slots(SMALL_AT_ONCE, lane.clock),
        metrics=lane.tools.metrics,
        clock=lane.clock,
    )
    second = Copy(tools, lane.source, HERE, THERE, Tally())
    await asyncio.gather(lane.copy(ONE, THERE), second.run(make_plan(closure(ONE), TAG, Facts()), _allowed))
    assert lane.source.bytes_read == sum(blob.size for blob in ONE.blobs())
    assert other.complete(THERE, TAG)
    assert lane.replica.complete(THERE, TAG)
