"""What a replica is believed to hold is proven, bounded, and dropped when it proves wrong."""

from replicator.model import parse_repository
from replicator.replication.presence import Presence
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
ONE, TWO, THREE = (make_blob(seed, 10).digest for seed in range(3))


def test_what_was_learned_is_known_in_that_repository_only(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock)
    presence.learn(HERE, ONE)
    assert presence.knows(HERE, ONE)
    assert not presence.knows(THERE, ONE)
    assert not presence.knows(HERE, TWO)


def test_what_was_learned_is_believed_for_a_time_and_learned_anew(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_for=60.0)
    presence.learn(HERE, ONE)
    fake_clock.advance(59.0)
    assert presence.knows(HERE, ONE)
    fake_clock.advance(2.0)
    assert not presence.knows(HERE, ONE), "being asked about proves nothing"
    presence.learn(HERE, ONE)
    assert presence.knows(HERE, ONE)


def test_a_wall_clock_that_jumps_changes_nothing(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_for=60.0)
    presence.learn(HERE, ONE)
    fake_clock.set_wall(fake_clock.now() + 1e6)
    assert presence.knows(HERE, ONE)


def test_the_least_recently_used_goes_first(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_max=2)
    presence.learn(HERE, ONE)
    presence.learn(HERE, TWO)
    assert presence.knows(HERE, ONE)
    presence.learn(HERE, THREE)
    assert [presence.knows(HERE, digest) for digest in (ONE, TWO, THREE)] == [True, False, True]


def test_a_repository_is_forgotten_as_a_whole_and_alone(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock)
    for repository in (HERE, THERE):
        presence.learn(repository, ONE)
        presence.learn(repository, TWO)
    presence.forget(HERE)
    assert not presence.knows(HERE, ONE)
    assert not presence.knows(HERE, TWO)
    assert presence.knows(THERE, ONE)


def test_an_upload_is_under_way_until_it_ends(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock)
    with presence.bring(HERE, ONE):
        upload = presence.under_way(ONE)
        assert upload is not None
        assert upload.repository == HERE
        assert not upload.ended.is_set()
        assert presence.under_way(TWO) is None
    assert presence.under_way(ONE) is None
    assert upload.ended.is_set()


def test_an_upload_that_fails_wakes_whoever_waits(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock)
    bringing = presence.bring(HERE, ONE)
    bringing.__enter__()
    upload = presence.under_way(ONE)
    assert not bringing.__exit__(ZeroDivisionError, ZeroDivisionError(), None), "the error goes on"
    assert upload is not None
    assert upload.ended.is_set()
    assert presence.under_way(ONE) is None
    assert not presence.knows(HERE, ONE), "an upload that failed proves nothing"


def test_one_who_no_longer_waits_may_bring_it_as_well(fake_clock: FakeClock) -> None:
    """The first upload seems to hang; when it ends after all, the second is still the one to wait for."""
    presence = Presence(fake_clock)
    first = presence.bring(HERE, ONE)
    first.__enter__()
    with presence.bring(THERE, ONE):
        first.__exit__(None, None, None)
        upload = presence.under_way(ONE)
        assert upload is not None
        assert upload.repository == THERE
    assert presence.under_way(ONE) is None


def test_the_holder_of_a_blob_is_known_until_it_is_no_longer_believed(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_for=10)
    assert presence.holder(ONE) is None
    presence.learn(HERE, ONE)
    presence.learn(THERE, ONE)
    assert presence.holder(ONE) == THERE
    presence.forget(THERE)
    assert presence.holder(ONE) is None
    presence.learn(HERE, ONE)
    fake_clock.advance(11)
    assert presence.holder(ONE) is None
