"""How many bytes a replica is known to lack."""

from replicator.model import Digest, IntentKey, parse_repository, parse_tag
from replicator.replication.bring import Tally
from replicator.replication.pending import PendingBytes
from tests.support.content import make_image
from tests.unit.replication.rig import Rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op, network_error

REPO = parse_repository("team/app")
TAG = parse_tag("v1")
IMAGE = make_image("pending", [300_000, 200_000])
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
PENDING = 'replicator_replica_pending_bytes{replica="eu"}'


def key(tag: str) -> IntentKey:
    return IntentKey("eu", REPO, parse_tag(tag))


async def test_what_a_copy_has_still_to_bring_is_pending_until_the_replica_holds_it(rig: Rig) -> None:
    first, second = IMAGE.layers
    gate = Gate(Op.GOT, second.digest)
    await rig.push_and_hold(gate, REPO, TAG, IMAGE)
    await rig.until(lambda: rig.metric(PENDING) == second.size, what="one layer is still missing")
    gate.opened.set()
    await rig.quiet()
    assert rig.metric(PENDING) == 0
    assert first.size != second.size


async def test_what_failed_is_pending_between_the_attempts(rig: Rig) -> None:
    small, big = IMAGE.layers[1], IMAGE.layers[0]

    def cut(call: Call) -> None:
        if call.op is Op.GOT and call.reference == big.digest:
            raise network_error("eu")

    rig.replica.hook = faults(cut)
    rig.start()
    await rig.push(REPO, TAG, IMAGE)
    await rig.until(lambda: rig.has_failed(REPO, TAG), what="one attempt has failed")
    assert rig.metric(PENDING) in {big.size, big.size + small.size, big.size + small.size + IMAGE.config.size}
    rig.replica.hook = faults()
    await rig.quiet()
    assert rig.metric(PENDING) == 0


def test_a_blob_that_several_updates_need_counts_once() -> None:
    pending = PendingBytes()
    pending.begun(key("a"), Tally(missing={ONE: 10, TWO: 5}))
    pending.begun(key("b"), Tally(missing={ONE: 10}))
    assert pending.total() == 15
    pending.done([key("a")])
    assert pending.total() == 10


def test_a_new_attempt_that_has_not_planned_yet_lacks_what_the_last_one_did() -> None:
    pending = PendingBytes()
    pending.begun(key("a"), Tally(missing={ONE: 10, TWO: 5}))
    pending.failed(key("a"))
    assert pending.total() == 15
    again = Tally()
    pending.begun(key("a"), again)
    assert pending.total() == 15
    again.missing[TWO] = 5
    assert pending.total() == 5
    pending.done([key("a")])
    assert pending.total() == 0


def test_an_attempt_that_planned_nothing_does_not_make_what_is_known_forgotten() -> None:
    pending = PendingBytes()
    pending.begun(key("a"), Tally(missing={ONE: 10}))
    pending.failed(key("a"))
    pending.begun(key("a"), Tally())
    pending.failed(key("a"))
    assert pending.total() == 10


def test_no_more_than_so_many_failed_updates_are_remembered() -> None:
    pending = PendingBytes()
    for n in range(2_010):
        pending.begun(key(f"t{n}"), Tally(missing={Digest.of(str(n).encode()): 1}))
        pending.failed(key(f"t{n}"))
    assert pending.total() == 2_000
