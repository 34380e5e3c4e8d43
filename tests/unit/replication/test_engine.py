"""How many blobs a lane sends at once: more over a long line, and never what another lane needs."""

import pytest

from replicator.replication.engine import blobs_at_once
from tests.unit.replication.rig import settings_of


@pytest.mark.parametrize(("latency", "blobs"), [(0.0, 8), (0.019, 8), (0.02, 16), (1.0, 16)])
def test_a_lane_sends_more_blobs_at_once_over_a_long_line(latency: float, blobs: int) -> None:
    settings = settings_of(["eu"], workers=32)
    assert blobs_at_once(settings, settings.replicas[0], latency=latency) == blobs


def test_all_lanes_together_leave_connections_to_the_primary_free() -> None:
    settings = settings_of(["eu", "us", "asia", "africa"])
    assert settings.primary.max_connections == 32
    assert [blobs_at_once(settings, one, latency=1.0) for one in settings.replicas] == [7] * 4


def test_all_lanes_together_send_no_more_than_memory_allows() -> None:
    primary = {"url": "http://primary.example.com", "max_connections": 128}
    settings = settings_of(["eu", "us", "asia"], workers=64, primary=primary)
    assert [blobs_at_once(settings, one, latency=1.0) for one in settings.replicas] == [10] * 3
