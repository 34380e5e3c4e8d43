"""What the copying bench copies: a big image, images that share layers, and many tiny ones; always the same bytes."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.support.content import Blob, Content, closure_of, make_blob, make_image

REPOSITORY = "bench/app"
_KIB = 1024
_MIB = 1024 * 1024
_SLOTS = 8
_SHARED = 0.6


@dataclass(frozen=True, slots=True)
class Workload:
    """Tagged contents of one repository; `title` says what they are."""

    title: str
    tags: dict[str, Content]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Every blob once."""
        return tuple({blob.digest: blob for content in self.tags.values() for blob in content.blobs()}.values())

    @property
    def unique_bytes(self) -> int:
        """Bytes of blobs that have to leave the primary once."""
        return sum(blob.size for blob in self.blobs)

    @property
    def largest(self) -> int:
        """Bytes of the largest blob."""
        return max(blob.size for blob in self.blobs)

    @property
    def objects(self) -> int:
        """Blobs and manifests, each once."""
        return len({digest for content in self.tags.values() for digest in closure_of(content)})


def one_big(layers: int, mib: int) -> Workload:
    """Return one image of `layers` layers of `mib` MiB each."""
    image = make_image("bench-big", (mib * _MIB,) * layers)
    return Workload(f"one image of {layers} x {mib} MiB", {"v0": image})


def sharing(images: int, smallest: int, largest: int) -> Workload:
    """Return images of 8 layers, `smallest` to `largest` KiB; 60 % of the slots hold layers of several images."""
    dice = random.Random("bench-sharing")
    slots = round(images * _SLOTS * _SHARED)
    shared = [f"shared-{number}" for number in range(max(1, slots // 6))]

    def layer(seed: str) -> Blob:
        # More small ones than large ones, as in real images: the mean is two fifths of the way.
        return make_blob(f"bench-{seed}", _KIB * int(smallest + (largest - smallest) * dice.random() ** 1.5))

    pool = [layer(seed) for seed in shared]
    tags: dict[str, Content] = {}
    for number in range(images):
        common = slots * (number + 1) // images - slots * number // images
        layers = dice.sample(pool, min(common, len(pool)))
        layers += [layer(f"own-{number}-{slot}") for slot in range(_SLOTS - len(layers))]
        tags[f"v{number}"] = make_image(f"bench-sharing-{number}", layers)
    return Workload(f"{images} images of 8 layers of {smallest / _KIB:g} to {largest / _KIB:g} MiB", tags)


def tiny(images: int) -> Workload:
    """Return images of three layers of 2 to 20 KiB."""
    dice = random.Random("bench-tiny")
    sizes: Iterable[tuple[int, ...]] = (
        tuple(dice.randrange(2 * _KIB, 20 * _KIB) for _ in range(3)) for _ in range(images)
    )
    tags: dict[str, Content] = {
        f"v{number}": make_image(f"bench-tiny-{number}", each) for number, each in enumerate(sizes)
    }
    return Workload(f"{images} images of 3 layers of 2 to 20 KiB", tags)


SIZES: dict[str, dict[str, Callable[[], Workload]]] = {
    "full": {
        "a": lambda: one_big(4, 256),
        "b": lambda: sharing(20, 1024, 30 * 1024),
        "c": lambda: tiny(500),
        "d": lambda: tiny(500),
    },
    "half": {
        "a": lambda: one_big(4, 128),
        "b": lambda: sharing(20, 512, 15 * 1024),
        "c": lambda: tiny(250),
        "d": lambda: tiny(500),
    },
    "small": {
        "a": lambda: one_big(4, 16),
        "b": lambda: sharing(6, 128, 2 * 1024),
        "c": lambda: tiny(20),
        "d": lambda: tiny(20),
    },
}
"""The cases in the sizes of the targets, in half of them, and in a size to try."""
