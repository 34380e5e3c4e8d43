"""How long a token says that it lives."""

import jwt
import pytest

from replicator.registry.token_life import told_by

KEY = "k" * 32


@pytest.mark.parametrize(
    ("claims", "life"),
    [
        ({"iat": 1000, "exp": 5500}, 4500.0),
        ({"iat": 1000.5, "exp": 5500}, 4499.5),
        ({"iat": 5500, "exp": 1000}, None),
        ({"exp": 5500}, None),
        ({"iat": 1000}, None),
        ({"iat": True, "exp": 5500}, None),
        ({"iat": 0, "exp": 10**300}, None),
    ],
)
def test_a_jwt_says_it_by_its_claims(claims: dict[str, float], life: float | None) -> None:
    assert told_by(jwt.encode(claims, KEY, algorithm="HS256")) == life


@pytest.mark.parametrize(
    "token", ["", "t", "a.b", "a.b.c", "..", "a.!.c", "a.WzFd.c", "a.e30.c", "a." + "A" * 200_000 + ".c"]
)
def test_other_tokens_do_not(token: str) -> None:
    assert told_by(token) is None
