"""What a replica is believed to hold is proven, bounded, and dropped when it proves wrong."""

from replicator.model import parse_repository
from replicator.plan import Others
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


def test_proof_is_short_and_belief_is_long(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_for=100, proven_for=10)
    presence.learn(HERE, ONE)
    assert presence.proven(HERE, ONE)
    fake_clock.advance(11)
    assert not presence.proven(HERE, ONE)
    assert presence.knows(HERE, ONE)
    presence.learn(HERE, ONE)
    assert presence.proven(HERE, ONE)


def test_a_repository_is_unknown_until_something_was_asked_there(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock, known_for=100)
    assert presence.others(HERE, remembered=False) is Others.UNKNOWN
    assert presence.others(HERE, remembered=True) is Others.NONE, "what we remember, we brought"
    presence.found(HERE, there=False)
    assert presence.others(HERE, remembered=False) is Others.NONE
    presence.found(HERE, there=True)
    presence.found(HERE, there=False)
    assert presence.others(HERE, remembered=True) is Others.SOME, "one surprise counts for more than what is absent"
    assert presence.others(THERE, remembered=False) is Others.UNKNOWN
    fake_clock.advance(101)
    assert presence.others(HERE, remembered=False) is Others.UNKNOWN
    presence.found(HERE, there=True)
    presence.forget(HERE)
    assert presence.others(HERE, remembered=False) is Others.UNKNOWN


def test_after_some_new_repositories_the_next_is_taken_for_new(fake_clock: FakeClock) -> None:
    presence = Presence(fake_clock)
    for n in range(3):
        assert presence.others(HERE, remembered=False) is Others.UNKNOWN
        for _ in range(5):
            presence.found(parse_repository(f"team/new-{n}"), there=False)
    assert presence.others(HERE, remembered=False) is Others.NONE
    presence.found(THERE, there=True)
    assert presence.others(HERE, remembered=False) is Others.UNKNOWN, "until one holds something"
