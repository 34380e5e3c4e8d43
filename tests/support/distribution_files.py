"""A Distribution's tags as files of its storage: to read what many of them name, and to make many at once."""

from collections.abc import Mapping
from pathlib import Path

from replicator.model import Digest

_DOCKER = Path("docker/registry/v2")


def tags_in(root: Path, repository: str) -> dict[str, str]:
    """Return the tags of a repository with the digests that they name, in order."""
    folder = root / _DOCKER / "repositories" / repository / "_manifests/tags"
    return {one.name: (one / "current/link").read_text() for one in sorted(folder.iterdir())}


def write_tags(root: Path, repository: str, manifests: Mapping[str, bytes]) -> None:
    """Write manifests of an image that was pushed, and tags that name them, as a push of each would."""
    folder = root / _DOCKER / "repositories" / repository / "_manifests"
    for tag, body in manifests.items():
        digest = Digest.of(body)
        _write(root / _DOCKER / f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data", body)
        for place in (
            f"revisions/sha256/{digest.encoded}/link",
            f"tags/{tag}/index/sha256/{digest.encoded}/link",
            f"tags/{tag}/current/link",
        ):
            _write(folder / place, str(digest).encode())


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
