"""The closure of made content, without a source to read it from."""

from replicator import manifest
from replicator.manifest import Closure
from replicator.model import RawManifest
from tests.support.content import Content


def closure(content: Content) -> Closure:
    """Return all that `content` needs, as a survey finds it."""
    parsed = {
        one.digest: manifest.parse(RawManifest(one.media_type, one.digest, one.body), registry="primary")
        for one in content.manifests()
    }
    return manifest.closure(parsed[content.digest], parsed)
