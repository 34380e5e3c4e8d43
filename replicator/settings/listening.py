"""Where what listens on this machine is reached from it. Imports nothing: a health check must not cost a start."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- compared with, never bound


def is_any_address(host: str) -> bool:
    """Say whether a server there listens on all addresses; brackets around `host` do not matter."""
    return host.strip("[]") in _ANY


def reached_at(host: str, port: int | str) -> str:
    """Return `host:port` for a client of a server that listens there, with brackets around IPv6."""
    plain = host.strip("[]")
    plain = _ANY.get(plain, plain)
    return f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"
