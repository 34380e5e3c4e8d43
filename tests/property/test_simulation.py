"""Whole runs from a seed: pushes, broken connections, lost answers, corrupt bytes, outages, kills; time is virtual.

Invariants: an acknowledged event is never lost (G1), no reference of a careless replica ever names incomplete or
wrong content (G2, G3), and when the weather clears each tag is what was pushed last, on every replica (G4). In every
second run rules say `referrers: true`: images are signed over and over by cosign's tags, and others refer to them.
"""

import asyncio
import random
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from replicator import referrers
from replicator.errors import Reason
from replicator.model import Digest, RawManifest, Reference, Repository, Tag, parse_repository, parse_tag
from tests.support.content import Content, make_blob, make_image, make_index
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

# The last puts an older signature over a newer one where nothing guards against that.
SEEDS = (*range(4), 1_021)
MANY_SEEDS = range(1_000, 1_200)
STEPS = 60
NAMES = ("eu", "us", "ap")
REPOSITORIES = [parse_repository(f"team/app-{n}") for n in range(3)]
TAGS = [parse_tag(name) for name in ("latest", "v1")]
LAYERS = [make_blob(f"layer {n}", 3_000 * n) for n in range(6)]
IMAGES = [make_image(f"image {n}", [LAYERS[n % 6], LAYERS[(n * 2) % 6], 500 + n]) for n in range(8)]
CONTENTS: list[Content] = [
    *IMAGES,
    make_index(IMAGES[:2]),
    make_index([IMAGES[2], make_index(IMAGES[1:4])]),
    make_index([*IMAGES[5:7], make_image("own", [LAYERS[1], 99], docker=True)]),
]
SIGNATURES = [make_image(f"signature {n}", [700 + n]) for n in range(4)]
_FAULTY = frozenset(Op) - {Op.END, Op.START, Op.CANCEL, Op.GOT}


class Weather:
    """What happens to one registry's requests; changed by the run."""

    def __init__(self, rig: Rig, registry: ModelRegistry, rng: random.Random) -> None:
        self.rig = rig
        self.registry = registry
        self.rng = rng
        self.down = False
        self.faults = 0.0
        self.broken: list[str] = []
        registry.hook = self
        registry.tamper = self.tamper
        registry.chunk = 1_000

    async def __call__(self, call: Call) -> None:
        """Check what a manifest just put names, then let the weather have its way."""
        await asyncio.sleep(0)
        if call.op is Op.WROTE and not self.registry.complete(call.repository, call.reference):
            self.broken.append(f"{self.registry.name} {call.repository} {call.reference}")
        if call.op not in _FAULTY:
            return
        if self.down:
            raise network_error(self.registry.name)
        if self.rng.random() < self.faults:
            if self.rng.random() < 0.3:
                await self.rig.clock.sleep(self.rng.uniform(0.1, 90.0))
            else:
                raise network_error(self.registry.name, self.rng.choice([Reason.NETWORK, Reason.SERVER_ERROR]))

    def tamper(self, piece: bytes) -> bytes:
        """Hurt a byte now and then."""
        if self.rng.random() >= self.faults / 3:
            return piece
        return bytes([piece[0] ^ 1]) + piece[1:]


class Run:
    """One run of one seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.rng = random.Random(seed)
        self.weather = [Weather(rig, one, self.rng) for one in (rig.source, *rig.replicas.values())]
        self.late: list[tuple[Repository, Tag, Content]] = []
        self.referring: set[tuple[Repository, Digest, Digest]] = set()
        self.killed = 0
        self.contents = CONTENTS
        self.choices = ["push"] * 6 + ["early", "twice", "tag", "weather", "weather", "crash", "kill"]
        if rig.settings.rules:
            self.choices += ["sign"] * 5 + ["attach"]
            # Few, so that what is signed anew is often on its way just then.
            self.contents = self.rng.sample(CONTENTS, 2)
            for one in (rig.source, *rig.replicas.values()):
                one.has_referrers_api = self.rng.random() < 0.5

    async def step(self) -> None:
        self._write_late_tags()
        what = self.rng.choice(self.choices)
        if what in {"push", "early", "twice"}:
            await self._push(early=what == "early", times=3 if what == "twice" else 1)
        elif what == "sign":
            await self._sign(early=self.rng.random() < 0.3)
        elif what == "attach":
            await self._attach()
        elif what == "weather":
            one = self.rng.choice(self.weather)
            one.down = one.registry is not self.rig.source and self.rng.random() < 0.3
            one.faults = self.rng.choice([0.0, 0.02, 0.1])
        elif what == "crash":
            await self.rig.crash()
            self.rig.new_engine()
            self.rig.start()
        elif what == "kill":
            self.killed += 1
            await self.rig.kill()
        for _ in range(self.rng.randrange(4)):
            self.rig.clock.advance(self.rng.choice([0.01, 0.3, 2.0, 20.0]))
            await self.rig.moment()

    def _write_late_tags(self) -> None:
        # Within a minute: later than the last look nobody but a sweep could find it.
        for repository, tag, content in self.late:
            self.rig.source.hold(repository, content, tag)
        self.late.clear()

    async def _push(self, *, early: bool, times: int) -> None:
        """Push to the primary; an early event is told before the tag is written, as Distribution does."""
        repository, tag = self.rng.choice(REPOSITORIES), self.rng.choice(TAGS)
        content = self.rng.choice(self.contents)
        references: list[Reference] = [one.digest for one in content.manifests()[:-1]]
        self.rig.source.hold(repository, content)
        for reference in references:
            await self.rig.event(repository, reference, None, hold=5.0)
        if early:
            self.late.append((repository, tag, content))
        else:
            self.rig.source.hold(repository, content, tag)
        for _ in range(times):
            await self.rig.event(repository, tag, content.digest)

    async def _sign(self, *, early: bool) -> None:
        """Replace what is under a tag of cosign."""
        repository, content = self.rng.choice(REPOSITORIES), self.rng.choice(SIGNATURES)
        tag = referrers.cosign_tags(self.rng.choice(self.contents).digest)[0]
        if early:
            self.late.append((repository, tag, content))
        else:
            self.rig.source.hold(repository, content, tag)
        await self.rig.event(repository, tag, content.digest)

    async def _attach(self) -> None:
        """Push what refers to an image; where there is no API the client keeps the list."""
        source, repository, subject = self.rig.source, self.rng.choice(REPOSITORIES), self.rng.choice(self.contents)
        named = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
        one = make_image(f"referrer {self.rng.randrange(4)}", [300], extra={"subject": named})
        source.hold(repository, one)
        self.referring.add((repository, one.digest, subject.digest))
        await self.rig.event(repository, one.digest, None, hold=5.0)
        tag = referrers.fallback_tag(subject.digest)
        held = source.tags.get((repository, tag))
        entries = [referrers.entry_of(RawManifest(one.media_type, one.digest, one.body))]
        merged = referrers.merge(None if held is None else source.manifests[repository, held], entries)
        if not source.has_referrers_api and merged is not None:
            source.manifests[repository, merged.digest] = merged
            source.tags[repository, tag] = merged.digest
            await self.rig.event(repository, tag, merged.digest)

    async def clear_up(self) -> None:
        """Let the sun shine until nothing is owed and no look is to come."""
        self._write_late_tags()
        for one in self.weather:
            one.down, one.faults = False, 0.0
        await self.rig.until(self._settled, what="all is done", step=7.0)

    async def _settled(self) -> bool:
        summary = await self.rig.store.summary()
        looks = sum(summary.replica(name).looks for name in NAMES)
        return not looks and await self.rig.is_quiet()

    def differences(self) -> list[str]:
        """Return where a replica is not what the primary is, and what was ever incomplete."""
        found = [broken for one in self.weather for broken in one.broken]
        for name, replica in self.rig.replicas.items():
            for (repository, tag), digest in self.rig.source.tags.items():
                if referrers.is_fallback_tag(tag):
                    continue  # the replica's list is its own
                if replica.tags.get((repository, tag)) != digest or not replica.complete(repository, tag):
                    found.append(f"{name} {repository}:{tag} is {replica.tags.get((repository, tag))}, not {digest}")
            found += [
                f"{name} does not list {one} for {subject} in {repository}"
                for repository, one, subject in self.referring
                if not replica.complete(repository, one) or not lists(replica, repository, subject, one)
            ]
            found += [f"{name} was offered wrong bytes of {digest}" for digest in replica.corrupt]
        return found


def lists(replica: ModelRegistry, repository: Repository, subject: Digest, referrer: Digest) -> bool:
    """Say whether a registry that holds `referrer` lists it: by itself where it has the API."""
    held = replica.tags.get((repository, referrers.fallback_tag(subject)))
    listed = None if held is None else replica.manifests[repository, held]
    return replica.has_referrers_api or (listed is not None and str(referrer).encode() in listed.body)


async def simulate(seed: int, folder: Path) -> None:
    with capture_logs():
        await _simulate(seed, folder)


async def _simulate(seed: int, folder: Path) -> None:
    rules = [{"referrers": True}] if seed % 2 else []
    async with running_rig(folder, NAMES, workers=4, rules=rules) as rig:
        run = Run(rig, seed)
        rig.start()
        for _ in range(STEPS):
            await run.step()
            assert rig.running is not None
            assert not rig.running.done(), rig.running
        await run.clear_up()
        assert rig.source.tags
        assert run.differences() == []
        for name in NAMES:
            assert (await rig.owed(name)).since is None
        left = {row.key.reference for row in await rig.store.rows(limit=1000)}
        assert {one for one in left if not rules or isinstance(one, Digest) or not one.startswith("sha256-")} <= set(
            TAGS
        )


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_ends_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("seed", MANY_SEEDS)
async def test_many_runs_end_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)
