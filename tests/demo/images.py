"""What the demo pushes: two multi-architecture images that share their big layers."""

from dataclasses import dataclass

from tests.support.content import Content, make_blob, make_image, make_index

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
_MIB = 1024 * 1024
_BASE, _RUNTIME, _OWN = 6 * _MIB, 3 * _MIB, _MIB


@dataclass(frozen=True, slots=True)
class Push:
    """One push, and which of its bytes the replicas hold already, in whatever repository."""

    repository: str
    tag: str
    content: Content
    known: int = 0

    @property
    def size(self) -> int:
        """Bytes of all blobs, each once."""
        return sum(blob.size for blob in self.content.blobs())


def pushes() -> tuple[Push, Push]:
    """Return an application, and a worker in another repository that is built on the same base and runtime."""
    app, worker = _build("app"), _build("worker")
    shared = set(app.blobs()) & set(worker.blobs())
    return Push("demo/app", "1.0", app), Push("demo/worker", "1.0", worker, sum(blob.size for blob in shared))


def _build(name: str) -> Content:
    return make_index(
        [
            make_image(
                f"{name} {platform}",
                [make_blob(f"base {platform}", _BASE), make_blob(f"runtime {platform}", _RUNTIME), _OWN],
                platform=platform,
            )
            for platform in PLATFORMS
        ]
    )
