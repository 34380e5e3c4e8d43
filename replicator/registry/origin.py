"""URLs as registries write them: split and joined without ever re-encoding what the server signed (H4). Pure."""

import re
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_ANY = "http://any"
_PRINTABLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # ASCII without space, control characters and backslash
_ABSOLUTE = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9._])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what credentials are bound to. `host` is lower case and without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host` or, where the port is not the scheme's own, `host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Target:
    """An absolute http(s) URL, exactly as written. `str()` leaves out the query: it may hold secrets."""

    origin: Origin
    path: str = "/"
    query: str | None = field(default=None, repr=False)
    port_written: bool = field(default=False, compare=False)

    @property
    def text(self) -> str:
        """The whole URL, for the wire only."""
        return f"{self.origin}{self.path}" if self.query is None else f"{self.origin}{self.path}?{self.query}"

    def with_query(self, addition: str) -> "Target":
        """Return the URL with `addition` (already encoded) put behind the raw query."""
        return replace(self, query=f"{self.query}&{addition}" if self.query else addition)

    def at(self, origin: Origin) -> "Target":
        """Return the same path and query on another origin."""
        return replace(self, origin=origin)

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def parse_url(text: str) -> Target | None:
    """Return an absolute http(s) URL, or None: for anything with user name, backslash, blanks or a strange host."""
    match = _ABSOLUTE.fullmatch(text) if _PRINTABLE.fullmatch(text) else None
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _MAX_PORT:
        return None
    origin = Origin(scheme, match["host"].lower().strip("[]"), port)
    return Target(origin, match["path"] or "/", match["query"], port_written=match["port"] is not None)


def join(base: Target, reference: str) -> Target | None:
    """Return the URL that `reference` (absolute or relative) means in an answer to `base`; None if unusable."""
    if not _PRINTABLE.fullmatch(reference):
        return None
    if _SCHEME.match(reference):
        return parse_url(reference)
    if reference.startswith("//"):
        return parse_url(f"{base.origin.scheme}:{reference}")
    if reference.startswith("/"):
        written = f"{base.origin}{reference}"
    elif reference.startswith(("?", "#")):
        written = f"{base}{reference}"
    else:
        # Behind a host, so that none is looked for in a path that begins with two slashes.
        written = urljoin(f"{_ANY}{base.path}", reference).replace(_ANY, f"{base.origin}", 1)
    joined = parse_url(written)
    return None if joined is None else replace(joined, port_written=base.port_written)
