"""A registry is believed to be able to do what it proved, for a time, and what the configuration says, for ever."""

import pytest

from replicator.registry.capabilities import HOLDS_FOR, LACKS_FOR, Capabilities, Capability
from tests.support.fake_clock import FakeClock


def test_what_was_never_asked_is_unproven(fake_clock: FakeClock) -> None:
    record = Capabilities(fake_clock)
    assert [record.holds(one) for one in Capability] == [None] * len(Capability)


@pytest.mark.parametrize(("holds", "lasts"), [(True, HOLDS_FOR), (False, LACKS_FOR)])
def test_a_proof_is_believed_for_a_time(fake_clock: FakeClock, holds: bool, lasts: float) -> None:
    record = Capabilities(fake_clock)
    record.learn(Capability.MOUNT, holds)
    fake_clock.advance(lasts - 1)
    assert record.holds(Capability.MOUNT) is holds
    fake_clock.advance(1)
    assert record.holds(Capability.MOUNT) is None


def test_the_latest_proof_counts(fake_clock: FakeClock) -> None:
    record = Capabilities(fake_clock)
    record.learn(Capability.REFERRERS, holds=True)
    record.learn(Capability.REFERRERS, holds=False)
    assert record.holds(Capability.REFERRERS) is False
    assert record.holds(Capability.MOUNT) is None


def test_what_the_configuration_says_is_never_unlearned(fake_clock: FakeClock) -> None:
    record = Capabilities(fake_clock, {Capability.MOUNT: False})
    record.learn(Capability.MOUNT, holds=True)
    assert record.holds(Capability.MOUNT) is False
