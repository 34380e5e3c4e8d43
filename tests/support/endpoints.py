"""What a request path of the distribution-spec asks for; shared by the permissive registry and the proxy."""

import re
from dataclasses import dataclass

_NAME = r"(?P<repository>[a-z0-9._/-]+)"
_PATTERNS = {
    "ping": re.compile(r"/v2/?"),
    "catalog": re.compile(r"/v2/_catalog"),
    "tags": re.compile(rf"/v2/{_NAME}/tags/list"),
    "upload": re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<reference>[^/]*)"),
    "blob": re.compile(rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)"),
    "manifest": re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"),
    "referrers": re.compile(rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`kind` is ping, catalog, tags, upload, blob, manifest, referrers or other; the rest "" where it has none."""

    kind: str
    repository: str = ""
    reference: str = ""


def endpoint_of(path: str) -> Endpoint:
    """Classify a path without its query."""
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(path)
        if found:
            return Endpoint(kind, **found.groupdict())
    return Endpoint("other")
