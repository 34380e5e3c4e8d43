"""What is pushed in a simulated run: few repositories, tags and images, so that much happens to each of them."""

from replicator.model import parse_repository, parse_tag
from tests.support.content import Content, make_blob, make_image, make_index

REPOSITORIES = [parse_repository(f"team/app-{n}") for n in range(3)]
TAGS = [parse_tag(name) for name in ("latest", "v1")]
OWN_TAGS = [parse_tag(name) for name in ("own", "local")]
"""Tags that somebody else puts on replicas."""
# The last is no small one: its reads are shared and can be cut.
LAYERS = [make_blob(f"layer {n}", size) for n, size in enumerate((0, 3_000, 6_000, 9_000, 12_000, 70_000))]
IMAGES = [make_image(f"image {n}", [LAYERS[n % 6], LAYERS[(n * 2) % 6], 500 + n]) for n in range(8)]
CONTENTS: list[Content] = [
    *IMAGES,
    make_index(IMAGES[:2]),
    make_index([IMAGES[2], make_index(IMAGES[1:4])]),
    make_index([*IMAGES[5:7], make_image("own", [LAYERS[1], 99], docker=True)]),
]
FEW_CONTENTS: list[Content] = [*IMAGES[:3], *CONTENTS[8:10]]
SIGNATURES = [make_image(f"signature {n}", [700 + n]) for n in range(4)]
