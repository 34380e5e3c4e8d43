"""REF as people write it in commands and in the API: `repository:tag` or `repository@digest`."""

from urllib.parse import urlsplit

from replicator.errors import NameInvalid
from replicator.model import Digest, Reference, Repository, parse_repository, parse_tag, shown

_DEFAULT_PORTS = {"https": "443", "http": "80"}
REF_MAX = 600
"""Longer text is no REF: 255 of repository, 128 + 7 of digest, and a host name."""


def parse_ref(text: str, primary_url: str) -> tuple[Repository, Reference]:
    """Return what REF names. The primary's own host in front is dropped. Raises NameInvalid, saying what is right."""
    if len(text) > REF_MAX:
        raise NameInvalid(f"{shown(text)} is too long for a reference")
    rest = _without_host(text, primary_url)
    name, at, digest = rest.partition("@")
    if at:
        return parse_repository(name), Digest.parse(digest)
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        raise NameInvalid(f"{shown(text)} names no tag or digest; write repository:tag or repository@digest")
    return parse_repository(name), parse_tag(tag)


def ref_text(repository: Repository, reference: Reference) -> str:
    """Return the REF that `parse_ref` reads back."""
    return f"{repository}{'@' if isinstance(reference, Digest) else ':'}{reference}"


def _without_host(text: str, primary_url: str) -> str:
    for host in _spellings(primary_url):
        if text.startswith(f"{host}/"):
            return text[len(host) + 1 :]
    return text


def _spellings(primary_url: str) -> tuple[str, ...]:
    """Return the ways in which people write the registry's host: as configured, without and with its default port."""
    url = urlsplit(primary_url)
    host = url.netloc.rpartition("@")[2]
    port = _DEFAULT_PORTS.get(url.scheme, "")
    bare = host.removesuffix(f":{port}") if port else host
    return (host, bare, f"{bare}:{port}")
