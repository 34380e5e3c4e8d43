"""Where a listener is reached from its own machine."""

import pytest

from replicator.settings.listening import is_any_address, reached_at


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("0.0.0.0", "127.0.0.1:80"),
        ("::", "[::1]:80"),
        ("[::]", "[::1]:80"),
        ("", "127.0.0.1:80"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("fd00::5", "[fd00::5]:80"),
        ("[fd00::5]", "[fd00::5]:80"),
        ("replicator", "replicator:80"),
    ],
)
def test_all_addresses_are_reached_at_this_machine_and_others_as_they_are(host: str, reached: str) -> None:
    assert reached_at(host, 80) == reached
    assert is_any_address(host) is (host in {"0.0.0.0", "::", "[::]", ""})
