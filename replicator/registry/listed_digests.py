"""Digests that some registries tell in their lists of tags: Google's have a map `manifest` beside `tags`.

They spare a question for each tag. A list that is not as expected tells none, and its tags are asked for as ever.
"""

from collections.abc import Mapping

from replicator.errors import NameInvalid
from replicator.model import Digest


def told_digests(document: object) -> Mapping[str, Digest | None]:
    """Return what each tag names by the `manifest` map of a page; None for one that two manifests claim."""
    listed = document.get("manifest") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        return {}
    found: dict[str, Digest | None] = {}
    for text, about in listed.items():
        tags = about.get("tag") if isinstance(about, dict) else None
        digest = _digest(text)
        if digest is None or not isinstance(tags, list):
            continue
        for tag in tags:
            if isinstance(tag, str):
                found[tag] = digest if found.get(tag, digest) == digest else None
    return found


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except NameInvalid:
        return None
