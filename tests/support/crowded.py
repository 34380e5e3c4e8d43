"""A registry of very many small repositories that holds no content: what it is asked is counted, and that is all.

Every tag names a digest of its own, which `names` tells. It answers lists, a page at a time with a Link, and HEADs of
manifests, 304 where the digest is known; it is a few lines over a socket, so that a million requests are no burden.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from replicator.model import Digest, Repository, Tag

PAGE = 1000
_ASKED = re.compile(rb"^(GET|HEAD) (\S+) HTTP/1.1\r\n")
_KNOWN = re.compile(rb"\r\nIf-None-Match: \"(\S+)\"", re.IGNORECASE)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def names(repository: int, tag: int) -> Digest:
    """Return what a tag names."""
    return Digest("sha256", f"{repository * 1_000_000 + tag:064x}")


def repository_name(number: int) -> Repository:
    """Return the name of a repository."""
    return Repository(f"team/app-{number:05}")


def tag_name(number: int) -> Tag:
    """Return the name of a tag."""
    return Tag(f"v{number:04}")


@dataclass
class Crowded:
    """The registry; `moved` are digests that tags name instead, `url` is where it listens.

    When it has told `patience` digests (None: never) it answers 500 to such questions.
    """

    repositories: int
    tags: int
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    patience: int | None = None
    moved: dict[tuple[int, int], Digest] = field(default_factory=dict)

    def answer(self, head: bytes) -> bytes:
        """Return the whole answer to a request's head."""
        found = _ASKED.match(head)
        assert found is not None, head
        path, _, query = found[2].decode().partition("?")
        if path == "/v2/_catalog":
            self.asked["catalog"] += 1
            last = re.search(r"last=team%2Fapp-(\d+)|last=team/app-(\d+)", query)
            return self._catalog(0 if last is None else int(last[1] or last[2]) + 1)
        if path.endswith("/tags/list"):
            self.asked["tags"] += 1
            return _answer(200, {"tags": [tag_name(one) for one in range(self.tags)]})
        place = re.fullmatch(r"/v2/team/app-(\d+)/manifests/v(\d+)", path)
        assert place is not None, path
        if self.patience == 0:
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        if self.patience is not None:
            self.patience -= 1
        digest = self.moved.get((int(place[1]), int(place[2])), names(int(place[1]), int(place[2])))
        known = _KNOWN.search(head)
        if known is not None and known[1].decode() == str(digest):
            self.asked["304"] += 1
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        self.asked["200"] += 1
        fields = f"Content-Type: {_MANIFEST}\r\nContent-Length: 500\r\nDocker-Content-Digest: {digest}\r\n"
        return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()

    def _catalog(self, first: int) -> bytes:
        page = [repository_name(one) for one in range(first, min(first + PAGE, self.repositories))]
        more = first + PAGE < self.repositories
        link = f'Link: </v2/_catalog?n={PAGE}&last={page[-1]}>; rel="next"\r\n' if more else ""
        return _answer(200, {"repositories": page}, link)


class _Line(asyncio.Protocol):
    def __init__(self, registry: Crowded) -> None:
        self._registry = registry
        self._waiting = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            assert self._transport is not None
            self._transport.write(self._registry.answer(head + b"\r\n"))


@contextlib.asynccontextmanager
async def run_crowded(repositories: int, tags: int) -> AsyncIterator[Crowded]:
    """Run it on the loopback, in this very loop."""
    registry = Crowded(repositories, tags)
    server = await asyncio.get_running_loop().create_server(lambda: _Line(registry), "127.0.0.1", 0)
    async with server:
        registry.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield registry


def _answer(status: int, document: object, fields: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return head.encode() + body
