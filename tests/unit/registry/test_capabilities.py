"""A registry is believed to be able to do what it proved, for a time, and what the configuration says, for ever."""

import pytest

from replicator.registry.capabilities import HOLDS_FOR, LACKS_FOR, Capabilities, Capability, DigestList
from replicator.settings.registries import CapabilitiesSettings, PrimarySettings
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


def test_the_configuration_has_a_key_for_each_capability() -> None:
    keys = set(CapabilitiesSettings.model_fields)
    assert keys - set(Capability) == {"upload", "chunk_min", "chunk_max", "page_size", "digest_list"}
    assert set(Capability) <= keys


def test_the_configuration_names_one_list_of_digests_or_none(fake_clock: FakeClock) -> None:
    for said in (*DigestList, "none"):
        section = CapabilitiesSettings.model_validate({"digest_list": said})
        settings = PrimarySettings(url="https://registry.example.com", capabilities=section)
        record = Capabilities.of(settings, fake_clock)
        assert {one: record.holds(one) for one in DigestList} == {one: one == said for one in DigestList}


def test_what_the_configuration_leaves_out_is_found_out(fake_clock: FakeClock) -> None:
    said = CapabilitiesSettings(mount=False, resume=True, upload="stream")
    record = Capabilities.of(PrimarySettings(url="https://registry.example.com", capabilities=said), fake_clock)
    assert {one: record.holds(one) for one in Capability if record.holds(one) is not None} == {
        Capability.MOUNT: False,
        Capability.RESUME: True,
    }
    form = record.uploads.best(1)
    assert form is not None
    assert form.mode == "stream"
