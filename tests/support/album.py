"""A registry with one repository of very many small images, of which it holds nothing but numbers.

Every image has a config of its own, and shares its layer with nine others. It answers lists (a page at a time with a
Link), HEADs and GETs of manifests, and HEADs of blobs; it is a few lines over a socket, so that half a million
requests are no burden.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

from replicator.model import Digest, MediaType, Repository, Tag

REPOSITORY = Repository("team/album")
_SIZE = 1234
_ASKED = re.compile(rb"^(GET|HEAD) (\S+) HTTP/1.1\r\n")
_KNOWN = re.compile(rb"\r\nIf-None-Match: \"(\S+)\"", re.IGNORECASE)


def tag_name(number: int) -> Tag:
    """Return the name of a tag."""
    return Tag(f"v{number:07}")


class Album:
    """The registry; `url` is where it listens, `asked` counts what it was asked."""

    def __init__(self, tags: int) -> None:
        """Make so many images."""
        self.tags = tags
        self.url = ""
        self.asked: Counter[str] = Counter()
        self._digests = [Digest.of(_manifest(number)) for number in range(tags)]
        self._numbers = {str(digest): number for number, digest in enumerate(self._digests)}

    def answer(self, head: bytes) -> bytes:
        """Return the whole answer to a request's head."""
        found = _ASKED.match(head)
        assert found is not None, head
        path, _, query = found[2].decode().partition("?")
        kind, _, name = path.removeprefix(f"/v2/{REPOSITORY}/").partition("/")
        self.asked[f"{found[1].decode()} {kind}"] += 1
        if kind == "tags":
            return self._tags(parse_qs(query))
        if kind == "blobs":
            return _answer(b"", {"Content-Length": str(_SIZE), "Docker-Content-Digest": name})
        number = self._numbers[name] if ":" in name else int(name.removeprefix("v"))
        digest, body = self._digests[number], _manifest(number)
        known = _KNOWN.search(head)
        if known is not None and known[1].decode() == str(digest):
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        fields = {"Content-Type": MediaType.OCI_MANIFEST.value, "Docker-Content-Digest": str(digest)}
        fields |= {"Content-Length": str(len(body))}
        return _answer(body if found[1] == b"GET" else b"", fields)

    def _tags(self, query: dict[str, list[str]]) -> bytes:
        first = int(query["last"][0].removeprefix("v")) + 1 if "last" in query else 0
        end = min(self.tags, first + int(query.get("n", ["1000"])[0]))
        body = json.dumps({"name": REPOSITORY, "tags": [tag_name(one) for one in range(first, end)]}).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if end < self.tags:
            fields["Link"] = f'</v2/{REPOSITORY}/tags/list?n={end - first}&last={tag_name(end - 1)}>; rel="next"'
        return _answer(body, fields)


class _Line(asyncio.Protocol):
    def __init__(self, album: Album) -> None:
        self._album = album
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
            self._transport.write(self._album.answer(head + b"\r\n"))


@contextlib.asynccontextmanager
async def run_album(tags: int) -> AsyncIterator[Album]:
    """Run it on the loopback, in this very loop."""
    album = Album(tags)
    server = await asyncio.get_running_loop().create_server(lambda: _Line(album), "127.0.0.1", 0)
    async with server:
        album.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield album


def _manifest(number: int) -> bytes:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{number:064x}"}
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:f{number // 10:063x}"}
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST.value,
        "config": config | {"size": _SIZE},
        "layers": [layer | {"size": _SIZE}],
    }
    return json.dumps(document).encode()


def _answer(body: bytes, fields: dict[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body
