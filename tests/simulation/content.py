"""What is pushed in a simulated run: few repositories, tags and images, so that much happens to each of them.

About half are indexes. They share children and list each other; what they list is pushed for its own sake too.
"""

from replicator.model import parse_repository, parse_tag
from tests.support.content import Content, make_blob, make_image, make_index

REPOSITORIES = [parse_repository(f"team/app-{n}") for n in range(3)]
TAGS = [parse_tag(name) for name in ("latest", "v1")]
OWN_TAGS = [parse_tag(name) for name in ("own", "local")]
"""Tags that somebody else puts on replicas."""
_PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")
# The last is no small one: its reads are shared and can be cut.
LAYERS = [make_blob(f"layer {n}", size) for n, size in enumerate((0, 3_000, 6_000, 9_000, 12_000, 70_000))]
IMAGES = [
    make_image(f"image {n}", [LAYERS[n % 6], LAYERS[(n * 2) % 6], 500 + n], platform=_PLATFORMS[n % 3])
    for n in range(7)
]
PAIR = make_index(IMAGES[:2])
OVERLAP = make_index(IMAGES[1:4])
NESTED = make_index([IMAGES[2], PAIR])
DEEP = make_index([IMAGES[4], make_index([NESTED, OVERLAP])])
INDEXES = [
    PAIR,
    OVERLAP,
    NESTED,
    DEEP,
    make_index([*IMAGES[5:7], make_image("own", [LAYERS[1], 99], docker=True)], docker=True),
]
CONTENTS: list[Content] = [*IMAGES, *INDEXES]
FEW_CONTENTS: list[Content] = [*IMAGES[:3], PAIR, NESTED]
CHILDREN = [make_image(f"child {n}", [LAYERS[1], 800 + n]) for n in range(4)]
"""Images that are pushed for the sake of indexes only."""
PARENTS = [
    make_index([IMAGES[5], CHILDREN[0]]),
    make_index([IMAGES[5], make_index([CHILDREN[1]])]),
    make_index([make_index([make_index([CHILDREN[2]]), IMAGES[6]])]),
    make_index([CHILDREN[3], make_index([CHILDREN[3], IMAGES[6]])]),
]
"""An index for each of them, which lists it at several depths."""
SIGNATURES = [make_image(f"signature {n}", [700 + n]) for n in range(4)]
