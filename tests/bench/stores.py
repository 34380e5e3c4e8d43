"""The data of a Distribution registry on its file system: filled without a push, and read to judge a copy."""

from pathlib import Path

from replicator.model import Digest
from tests.bench.workloads import Workload
from tests.support.content import Blob, Image, Index

_ROOT = Path("docker/registry/v2")


def fill(root: Path, repository: str, workload: Workload) -> None:
    """Put a workload into the storage of a registry that does not run, or has not been asked for it yet."""
    home = root / _ROOT / "repositories" / repository
    manifests: dict[Digest, Image | Index] = {}
    for tag, content in workload.tags.items():
        manifests |= {one.digest: one for one in content.manifests()}
        _link(_tag(home, tag), content.digest)
        _link(_tag(home, tag).parent.parent / "index" / _place(content.digest) / "link", content.digest)
    for digest, manifest in manifests.items():
        with _blob_file(root, digest).open("wb") as file:
            file.write(manifest.body)
        _link(home / "_manifests/revisions" / _place(digest) / "link", digest)
    for blob in workload.blobs:
        _write(root, blob)
        _link(home / "_layers" / _place(blob.digest) / "link", blob.digest)


def lacking(root: Path, repository: str, workload: Workload) -> list[str]:
    """Return the tags that do not name what they should, or whose content is not whole, by sizes."""
    home = root / _ROOT / "repositories" / repository
    return [
        tag
        for tag, content in workload.tags.items()
        if not _names(_tag(home, tag), content.digest)
        or any(not _linked(root, home, blob) for blob in content.blobs())
    ]


def _tag(home: Path, tag: str) -> Path:
    return home / "_manifests/tags" / tag / "current/link"


def _place(digest: Digest) -> str:
    return f"{digest.algorithm}/{digest.encoded}"


def _blob_file(root: Path, digest: Digest) -> Path:
    path = root / _ROOT / "blobs" / digest.algorithm / digest.encoded[:2] / digest.encoded / "data"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(root: Path, blob: Blob) -> None:
    with _blob_file(root, blob.digest).open("wb") as file:
        for chunk in blob.chunks():
            file.write(chunk)


def _link(path: Path, digest: Digest) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(digest))


def _names(link: Path, digest: Digest) -> bool:
    return link.is_file() and link.read_text() == str(digest)


def _linked(root: Path, home: Path, blob: Blob) -> bool:
    data = _blob_file(root, blob.digest)
    return (
        _names(home / "_layers" / _place(blob.digest) / "link", blob.digest)
        and data.is_file()
        and data.stat().st_size == blob.size
    )
