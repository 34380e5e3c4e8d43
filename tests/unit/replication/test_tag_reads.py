"""Lanes that are due for a reference at the same moment read it once, and never get what was read before a change."""

import asyncio

import pytest

from replicator.errors import NotFound
from replicator.model import IntentKey, parse_repository, parse_tag
from replicator.replication.tag_reads import LINGER, TagReads
from tests.support.content import make_image
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import ModelRegistry, Op

REPO = parse_repository("team/app")
TAG = parse_tag("v1")
EU, US = IntentKey("eu", REPO, TAG), IntentKey("us", REPO, TAG)
OLD, NEW = make_image("old"), make_image("new")


@pytest.fixture
def tags(fake_clock: FakeClock) -> TagReads:
    return TagReads(fake_clock)


@pytest.fixture
def primary() -> ModelRegistry:
    registry = ModelRegistry("primary")
    registry.hold(REPO, OLD, TAG)
    return registry


async def test_one_read_answers_all_who_ask_meanwhile(tags: TagReads, primary: ModelRegistry) -> None:
    found = await asyncio.gather(*(tags.read(primary, key, None) for key in (EU, US, EU)))
    assert {one.digest for one in found} == {OLD.digest}
    assert primary.count(Op.READ) == 1


async def test_a_lane_that_comes_a_little_later_is_answered_and_one_that_comes_late_is_not(
    tags: TagReads, primary: ModelRegistry, fake_clock: FakeClock
) -> None:
    await tags.read(primary, EU, OLD.digest)
    fake_clock.advance(LINGER)
    await tags.read(primary, US, OLD.digest)
    assert primary.count(Op.READ) == 1
    fake_clock.advance(0.1)
    await tags.read(primary, US, OLD.digest)
    assert primary.count(Op.READ) == 2


async def test_what_was_read_before_a_change_does_not_answer_to_it(tags: TagReads, primary: ModelRegistry) -> None:
    await tags.read(primary, EU, None)
    primary.hold(REPO, NEW, TAG)
    tags.changed([EU])
    assert (await tags.read(primary, EU, None)).digest == NEW.digest
    assert (await tags.read(primary, US, None)).digest == NEW.digest, "the newer read answers the other lane too"
    assert primary.count(Op.READ) == 2


async def test_a_read_under_way_does_not_answer_to_a_change_that_came_meanwhile(
    tags: TagReads, primary: ModelRegistry
) -> None:
    gate = Gate(Op.READ)
    primary.hook = faults(gate)
    before = asyncio.create_task(tags.read(primary, EU, None))
    await gate.reached.wait()
    tags.changed([US])
    primary.hook = faults()
    await tags.read(primary, US, None)
    gate.opened.set()
    await before
    assert primary.count(Op.READ) == 2


async def test_a_settled_row_of_another_lane_changes_nothing(tags: TagReads, primary: ModelRegistry) -> None:
    await tags.read(primary, EU, None)
    tags.changed([EU])
    await tags.read(primary, US, None)
    assert primary.count(Op.READ) == 1


async def test_a_tag_that_is_not_what_was_expected_is_read_again(tags: TagReads, primary: ModelRegistry) -> None:
    """The event comes before the tag is written: a moment later the primary may say otherwise."""
    await tags.read(primary, EU, NEW.digest)
    primary.hold(REPO, NEW, TAG)
    assert (await tags.read(primary, US, NEW.digest)).digest == NEW.digest


async def test_anew_means_anew(tags: TagReads, primary: ModelRegistry) -> None:
    await tags.read(primary, EU, None)
    await tags.read(primary, EU, None, anew=True)
    assert primary.count(Op.READ) == 2


async def test_an_error_is_everybodys_and_is_not_kept(tags: TagReads, primary: ModelRegistry) -> None:
    del primary.tags[REPO, TAG]
    found = await asyncio.gather(*(tags.read(primary, key, None) for key in (EU, US)), return_exceptions=True)
    assert [type(one) for one in found] == [NotFound, NotFound]
    assert primary.count(Op.READ) == 1
    primary.hold(REPO, NEW, TAG)
    assert (await tags.read(primary, US, None)).digest == NEW.digest


async def test_when_the_one_who_reads_is_cancelled_another_reads(tags: TagReads, primary: ModelRegistry) -> None:
    gate = Gate(Op.READ)
    primary.hook = faults(gate)
    first = asyncio.create_task(tags.read(primary, EU, None))
    await gate.reached.wait()
    second = asyncio.create_task(tags.read(primary, US, None))
    await asyncio.sleep(0)
    primary.hook = faults()
    first.cancel()
    assert (await second).digest == OLD.digest


async def test_memory_is_bounded(tags: TagReads, primary: ModelRegistry) -> None:
    for n in range(300):
        tag = parse_tag(f"t{n}")
        primary.hold(REPO, OLD, tag)
        await tags.read(primary, IntentKey("eu", REPO, tag), None)
    before = primary.count(Op.READ)
    await tags.read(primary, IntentKey("us", REPO, parse_tag("t299")), None)
    assert primary.count(Op.READ) == before, "the newest are kept"
    await tags.read(primary, IntentKey("us", REPO, parse_tag("t0")), None)
    assert primary.count(Op.READ) == before + 1
