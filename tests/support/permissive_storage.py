"""Files of the permissive registry: blobs once, a link for each repository that has one, tags as small files."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from replicator.model import Digest


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    media_type: str
    digest: Digest
    body: bytes


class Storage:
    """Content of one registry below `root`; a new Storage on the same folder sees the same content."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._repositories = root / "repositories"
        self._uploads = root / "uploads"
        for folder in (self._blobs, self._repositories, self._uploads):
            folder.mkdir(parents=True, exist_ok=True)

    def blob_file(self, digest: Digest) -> Path:
        """Return where the bytes of a blob lie, whether or not they are there."""
        return self._blobs / f"{digest.algorithm}-{digest.encoded}"

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Say whether the repository has the blob."""
        return self._link(repository, digest).exists() and self.blob_file(digest).exists()

    def link_blob(self, repository: str, digest: Digest) -> None:
        """Give the repository a blob that the registry holds."""
        _put(self._link(repository, digest), b"")

    def unlink_blob(self, repository: str, digest: Digest) -> None:
        """Take the blob from the repository."""
        self._link(repository, digest).unlink(missing_ok=True)

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """Return a manifest by tag or digest."""
        if ":" not in reference:
            tag = self._tag(repository, reference)
            if not tag.exists():
                return None
            reference = tag.read_text()
        digest = Digest.parse(reference)
        path = self._manifest(repository, digest)
        if not path.exists():
            return None
        kind, _, body = path.read_bytes().partition(b"\n")
        return StoredManifest(kind.decode(), digest, body)

    def put_manifest(self, repository: str, manifest: StoredManifest, tag: str | None) -> None:
        """Keep a manifest and let `tag` name it."""
        _put(self._manifest(repository, manifest.digest), manifest.media_type.encode() + b"\n" + manifest.body)
        if tag is not None:
            _put(self._tag(repository, tag), str(manifest.digest).encode())

    def delete_manifest(self, repository: str, reference: str) -> bool:
        """Remove a tag, or a manifest with every tag that names it. False when there was none."""
        if ":" not in reference:
            return _remove(self._tag(repository, reference))
        for tag in self.tags(repository) or ():
            if self._tag(repository, tag).read_text() == reference:
                _remove(self._tag(repository, tag))
        return _remove(self._manifest(repository, Digest.parse(reference)))

    def tags(self, repository: str) -> list[str] | None:
        """Return the tags in order, or None when there is no such repository."""
        folder = self._folder(repository)
        return sorted(one.name for one in folder.glob("_tags/*")) if folder.exists() else None

    def repositories(self) -> list[str]:
        """Return the repositories that have a manifest, in order."""
        return sorted({_name(path, self._repositories) for path in self._repositories.rglob("_manifests")})

    def open_upload(self) -> str:
        """Start an upload and return its id."""
        upload = uuid.uuid4().hex
        self.upload_file(upload).touch()
        return upload

    def upload_file(self, upload: str) -> Path:
        """Return where the bytes of an upload gather; it does not exist once the upload is over."""
        return self._uploads / Path(upload).name

    def finish_upload(self, upload: str, digest: Digest) -> bool:
        """Turn an upload into a blob if its bytes have this digest; else it is gone. Blocks to hash them."""
        path = self.upload_file(upload)
        with path.open("rb") as file:
            right = hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.encoded
        if right:
            path.rename(self.blob_file(digest))
        else:
            path.unlink()
        return right

    def clear(self) -> None:
        """Drop everything."""
        for folder in (self._blobs, self._repositories, self._uploads):
            shutil.rmtree(folder)
            folder.mkdir()

    def _folder(self, repository: str) -> Path:
        return self._repositories / repository

    def _link(self, repository: str, digest: Digest) -> Path:
        return self._folder(repository) / "_blobs" / f"{digest.algorithm}-{digest.encoded}"

    def _manifest(self, repository: str, digest: Digest) -> Path:
        return self._folder(repository) / "_manifests" / f"{digest.algorithm}-{digest.encoded}"

    def _tag(self, repository: str, tag: str) -> Path:
        return self._folder(repository) / "_tags" / tag


def page_of(names: Iterable[str], last: str, size: int) -> tuple[list[str], bool]:
    """Return the names after `last`, at most `size` of them, and whether there are more."""
    after = [name for name in names if name > last]
    return after[:size], len(after) > size


def error_body(code: str, message: str) -> str:
    """Return the error document of the distribution-spec."""
    return json.dumps({"errors": [{"code": code, "message": message}]})


def _name(path: Path, top: Path) -> str:
    return str(path.parent.relative_to(top))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _remove(path: Path) -> bool:
    if not path.exists():
        return False
    path.unlink()
    return True
