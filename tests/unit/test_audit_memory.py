"""What an audit remembers is bounded, however many images it looks at."""

import json

from replicator.audit.findings import Fault
from replicator.audit.holdings import HELD, HELD_BYTES, Manifests
from replicator.audit.once import Once
from replicator.model import Digest, MediaType, RawManifest


def manifest(number: int, padding: int = 0) -> RawManifest:
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MediaType.OCI_MANIFEST,
            "config": {"mediaType": "application/json", "digest": f"sha256:{number:064x}", "size": 2},
            "layers": [],
            "annotations": {"padding": "x" * padding},
        }
    ).encode()
    return RawManifest(MediaType.OCI_MANIFEST, Digest.of(body), body)


def test_of_many_manifests_the_last_used_are_kept() -> None:
    kept, first = Manifests(), manifest(0)
    kept.add(first, "eu")
    others = [manifest(number) for number in range(1, HELD + 10)]
    for other in others:
        kept.add(other, "eu")
        assert kept.get(first.digest) is not None, "it is used all the time"
    held = [other for other in others if kept.get(other.digest) is not None]
    assert held == others[-(HELD - 1) :]


def test_of_large_manifests_fewer_are_kept() -> None:
    kept = Manifests()
    large = [manifest(number, 1024 * 1024) for number in range(12)]
    for one in large:
        kept.add(one, "eu")
    held = [one for one in large if kept.get(one.digest) is not None]
    assert held == large[-len(held) :]
    assert sum(len(one.body) for one in held) <= HELD_BYTES < sum(len(one.body) for one in large)


async def test_of_many_answers_the_newest_are_kept() -> None:
    once, asked = Once[int](most=100), list[int]()

    async def ask(number: int) -> None:
        async def question() -> Fault | None:
            asked.append(number)
            return None

        await once.ask(number, question)

    for number in (*range(150), *range(50, 150), 0):
        await ask(number)
    assert asked == [*range(150), 0]
