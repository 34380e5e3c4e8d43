"""Whole runs from a seed: the real lanes, workers, sweeps and store over registries in memory; time is virtual.

Connections break before and after a request was done, answers are lost, bytes turn, replicas are down; events are
early, late, doubled, in the wrong order or lost; the daemon is stopped and killed between any two requests, or
another takes over while it still runs. Tags move and are deleted throughout, and somebody else puts tags on replicas.

Invariants: an acknowledged event is never lost (G1), no reference of a careless replica ever names incomplete or
wrong content (G2, G3), and when the weather clears each tag is what was pushed last, on every replica (G4), also
where no event told (G5); what somebody else put is as it was, and nothing is deleted where no rule says so, nor
before the grace period is over (G8); uploads that are cut go on, and no byte is sent twice without need (G10,
uploading.py).

In every second run rules say `referrers: true`: images are signed over and over by cosign's tags, and others refer to
them. In two of four there are sweeps, and events are lost; in every third deletes propagate. In four of eight
registries keep the bytes of uploads that were cut.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import anyio.to_thread
from structlog.testing import capture_logs

from replicator import referrers
from replicator.model import (
    Change,
    ChangeKind,
    Digest,
    RawManifest,
    Reference,
    Repository,
    Tag,
    parse_repository,
    parse_tag,
)
from replicator.replication import hash_trail, kept_uploads
from replicator.routing import Router
from replicator.store import connections, handle
from replicator.store.rows import Row
from tests.simulation.one_thread import LoopWriter, at_once
from tests.simulation.sweeping import Sweeping
from tests.simulation.uploading import LARGE_IMAGES, WORTH_KEEPING, Uploading
from tests.simulation.weather import Blow, Weather
from tests.support.content import Content, make_blob, make_image, make_index
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.support import Call, ModelRegistry

STEPS = 60
NAMES = ("eu", "us", "ap")
REPOSITORIES = [parse_repository(f"team/app-{n}") for n in range(3)]
TAGS = [parse_tag(name) for name in ("latest", "v1")]
OWN_TAGS = [parse_tag(name) for name in ("own", "local")]
DELETES = {"grace": "20s", "breaker": {"count": 1_000, "percent": 100}}
# The last is no small one: its reads are shared and can be cut.
LAYERS = [make_blob(f"layer {n}", size) for n, size in enumerate((0, 3_000, 6_000, 9_000, 12_000, 70_000))]
IMAGES = [make_image(f"image {n}", [LAYERS[n % 6], LAYERS[(n * 2) % 6], 500 + n]) for n in range(8)]
CONTENTS: list[Content] = [
    *IMAGES,
    make_index(IMAGES[:2]),
    make_index([IMAGES[2], make_index(IMAGES[1:4])]),
    make_index([*IMAGES[5:7], make_image("own", [LAYERS[1], 99], docker=True)]),
]
SMALL_SCALE: tuple[tuple[ModuleType, str, object], ...] = (
    (kept_uploads, "WORTH_KEEPING", WORTH_KEEPING),
    (hash_trail, "_EVERY", WORTH_KEEPING // 10),
    (connections, "WRITER_PRAGMAS", (*connections.WRITER_PRAGMAS, "PRAGMA synchronous=OFF")),
    (handle, "Writer", LoopWriter),
    (anyio.to_thread, "run_sync", at_once),
)
SIGNATURES = [make_image(f"signature {n}", [700 + n]) for n in range(4)]


class Run:
    """One run of one seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.rng = random.Random(seed)
        self.blow = Blow()
        self.weather = [Weather(rig, one, self.rng, self.blow) for one in (rig.source, *rig.replicas.values())]
        self.sweeping = Sweeping(rig, self.rng) if seed // 2 % 2 else None
        self.uploading = Uploading(rig) if seed // 4 % 2 else None
        self.late: list[tuple[Repository, Tag, Content]] = []
        self.untold: list[tuple[Repository, Reference, Digest | None, float]] = []
        self.zombies: list[asyncio.Task[None]] = []
        self.own: dict[tuple[str, Repository, Tag], Digest] = {}
        self.doomed: dict[tuple[Repository, Reference], float] = {}
        if any(rule.deletes == "propagate" for rule in rig.settings.rules):
            for weather in self.weather:
                weather.doomed = self.doomed
        self.referring: set[tuple[Repository, Digest, Digest]] = set()
        self.contents = CONTENTS
        self.choices = ["push"] * 6 + ["early", "twice", "delete", "delete", "somebody", "weather", "weather"]
        self.choices += ["crash", "kill", "blow", "takeover"]
        if seed % 2:
            self.choices += ["sign"] * 5 + ["attach"]
            # Few, so that what is signed anew is often on its way just then.
            self.contents = self.rng.sample(CONTENTS, 2)
            for one in (rig.source, *rig.replicas.values()):
                one.has_referrers_api = self.rng.random() < 0.5
        if self.uploading is not None:
            self.contents = [*self.contents[:4], *LARGE_IMAGES]

    def start(self) -> None:
        """Start the daemon over what is on the disk."""
        self.rig.start()
        if self.sweeping is not None:
            self.sweeping.start()

    async def step(self) -> None:
        """Let one thing happen, and a little time pass."""
        self._write_late_tags()
        await self._tell(self.rng.randrange(len(self.untold) + 1))
        what = self.rng.choice(self.choices)
        if what in {"push", "early", "twice"}:
            await self._push(early=what == "early", times=3 if what == "twice" else 1)
        elif what == "delete":
            await self._delete()
        elif what == "somebody":
            self._somebody_else()
        elif what == "sign":
            await self._sign(early=self.rng.random() < 0.3)
        elif what == "attach":
            await self._attach()
        elif what == "weather":
            one = self.rng.choice(self.weather)
            one.down = one.registry is not self.rig.source and self.rng.random() < 0.3
            one.faults = self.rng.choice([0.0, 0.02, 0.1])
        elif what in {"crash", "kill", "blow"}:
            await self._end(what)
        elif what == "takeover":
            await self._take_over()
        await self._pass_time(self.rng.randrange(4))

    async def _pass_time(self, turns: int) -> None:
        for _ in range(turns):
            self.rig.clock.advance(self.rng.choice([0.01, 0.3, 2.0, 20.0]))
            await self.rig.moment()

    async def _end(self, how: str) -> None:
        """End the daemon and start it anew; by a blow it ends between two requests, wherever that is."""
        if how == "blow":
            await self._push(early=False, times=1)
            self.blow.requests = self.rng.randrange(60)
            for _ in range(20):
                if self.blow.struck:
                    break
                await self._pass_time(1)
            self.blow.dying = True
        await self._end_zombies()
        if self.sweeping is not None:
            await self.sweeping.end()
        if how == "crash":
            await self.rig.crash()
            self.rig.new_engine()
        else:
            await self.rig.kill()
        self.blow.requests, self.blow.dying = None, False
        if how == "crash":
            self.rig.start()
        if self.sweeping is not None:
            self.sweeping.start()

    async def _take_over(self) -> None:
        """Let the daemon lose its leases while it works, and another work beside it, until one of them ends."""
        if self.rig.running is None or len(self.zombies) > 1:
            return
        self.rig.store.broken = frozenset({"renew"})
        self.zombies.append(self.rig.running)
        self.rig.new_engine()
        self.rig.start()
        await self._pass_time(5)
        self.rig.store.broken = frozenset()

    async def _end_zombies(self) -> None:
        for one in self.zombies:
            one.cancel()
        if self.zombies:
            await asyncio.wait(self.zombies)
        self.zombies.clear()

    async def _hear(
        self, repository: Repository, reference: Reference, digest: Digest | None, *, hold: float = 0.0
    ) -> None:
        """Let an event come: now, after others, or never."""
        chance = self.rng.random()
        if chance < 0.15:
            self.untold.append((repository, reference, digest, hold))
        elif chance > 0.9 and self.sweeping is not None and not isinstance(reference, Digest):
            return
        else:
            await self.rig.event(repository, reference, digest, hold=hold)

    async def _tell(self, count: int) -> None:
        """Tell of `count` events that were on their way, in any order."""
        self.rng.shuffle(self.untold)
        for _ in range(count):
            repository, reference, digest, hold = self.untold.pop()
            await self.rig.event(repository, reference, digest, hold=hold)

    async def _delete(self) -> None:
        """Delete a tag from the primary."""
        repository, tag = self.rng.choice(REPOSITORIES), self.rng.choice(TAGS)
        if self.rig.source.tags.pop((repository, tag), None) is None:
            return
        # A push in between cancels it only where it is seen, so what counts is the first delete.
        self.doomed.setdefault((repository, tag), self.rig.clock.now() + self.rig.settings.deletes.grace)
        if self.rng.random() < 0.1:
            return
        change = Change(kind=ChangeKind.DELETE, repository=repository, reference=tag)
        await self.rig.store.add_deletions(Router(self.rig.settings).doomed(change, self.rig.clock.now()))

    def _somebody_else(self) -> None:
        """Have somebody else put a tag of their own on a replica; nothing of ours may touch it."""
        replica, tag = self.rng.choice([*self.rig.replicas.values()]), self.rng.choice(OWN_TAGS)
        repository, content = self.rng.choice(REPOSITORIES), self.rng.choice(IMAGES)
        replica.hold(repository, content, tag)
        self.own[replica.name, repository, tag] = content.digest

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
            await self._hear(repository, reference, None, hold=5.0)
        if early:
            self.late.append((repository, tag, content))
        else:
            self.rig.source.hold(repository, content, tag)
        for _ in range(times):
            await self._hear(repository, tag, content.digest)

    async def _sign(self, *, early: bool) -> None:
        """Replace what is under a tag of cosign."""
        repository, content = self.rng.choice(REPOSITORIES), self.rng.choice(SIGNATURES)
        tag = referrers.cosign_tags(self.rng.choice(self.contents).digest)[0]
        if early:
            self.late.append((repository, tag, content))
        else:
            self.rig.source.hold(repository, content, tag)
        await self._hear(repository, tag, content.digest)

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
        """Let the sun shine until nothing is owed, no look is to come, and sweeps have compared all."""
        self._write_late_tags()
        await self._tell(len(self.untold))
        await self._end_zombies()
        for one in self.weather:
            one.down, one.faults = False, 0.0
        cleared_at = self.rig.clock.now()

        async def settled() -> bool:
            return (self.sweeping is None or await self.sweeping.saw_all_since(cleared_at)) and await self._settled()

        try:
            await self.rig.until(settled, what="all is done", step=7.0)
        except AssertionError as error:
            rows = [row for row in await self.rig.store.rows(limit=1000) if row.owed or row.leased or row.verify_at]
            lanes = self.rig.engine.lanes()
            raise AssertionError(f"{error}; now is {self.rig.clock.now()}, {lanes}, {rows[:3]}") from error

    async def end(self) -> None:
        """End what runs beside the rig."""
        await self._end_zombies()
        if self.sweeping is not None:
            await self.sweeping.end()

    async def _settled(self) -> bool:
        summary = await self.rig.store.summary()
        replicas = [summary.replica(name) for name in NAMES]
        # What was left though it was to be deleted is looked at again in a day.
        left = sum(sum(one.deletes.left.values()) for one in replicas)
        waiting = sum(one.deletes.pending for one in replicas)
        return not waiting and sum(one.looks for one in replicas) == left and await self.rig.is_quiet()

    def differences(self) -> list[str]:
        """Return where a replica is not what the primary is, and what was ever incomplete."""
        found = [broken for one in self.weather for broken in one.broken]
        if self.uploading is not None:
            found += self.uploading.sent_again(sum((one.wrong for one in self.weather), Counter()))
        found += [
            f"{name} {repository}:{tag} was somebody else's and is not what it was"
            for (name, repository, tag), digest in self.own.items()
            if self.rig.replicas[name].tags.get((repository, tag)) != digest
        ]
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


@contextmanager
def on_a_small_scale() -> Iterator[None]:
    """Let small uploads go on, and wait for no disk and no thread: how the power is cut is tried elsewhere."""
    kept = [(module, name, getattr(module, name)) for module, name, _ in SMALL_SCALE]
    for module, name, value in SMALL_SCALE:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


async def simulate(seed: int, folder: Path) -> list[Call]:
    """Run one seed over a store in `folder` and return what the registries were asked.

    Raises AssertionError that names the command which runs it again.
    """
    try:
        with capture_logs(), on_a_small_scale():
            return await _simulate(seed, folder)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\nto run it again: make soak SEEDS=1 FIRST={seed}") from error


def is_remembered(row: Row) -> bool:
    """Say whether a row is kept of a manifest without a tag, which may have to be deleted some day."""
    return row.have == row.key.reference and not row.owed and row.verify_at is None


async def _simulate(seed: int, folder: Path) -> list[Call]:
    rules: list[dict[str, object]] = [{"referrers": True}] if seed % 2 else []
    if seed % 3 == 0:
        rules = [{"referrers": bool(rules), "deletes": "propagate"}]
    deletes = seed % 3 == 0
    async with running_rig(folder, NAMES, workers=4, rules=rules, deletes=DELETES) as rig:
        run = Run(rig, seed)
        try:
            run.start()
            for _ in range(STEPS):
                await run.step()
                if rig.running is None or rig.running.done():
                    raise AssertionError(f"the engine has ended: {rig.running}")
            await run.clear_up()
        finally:
            await run.end()
        # Plain raises: the soak runs without what rewrites assertions.
        wrong = [*run.differences(), *[f"{name} is owed something" for name in NAMES if (await rig.owed(name)).since]]
        rows = await rig.store.rows(limit=1000)
        left = {row.key.reference for row in rows if not (deletes and is_remembered(row))} - set(TAGS)
        wrong += [
            f"a row of {one} is left"
            for one in left
            if not seed % 2 or isinstance(one, Digest) or not one.startswith("sha256-")
        ]
        if wrong or not rig.source.tags:
            raise AssertionError("; ".join(wrong) or "nothing was pushed")
        return [call for one in (rig.source, *rig.replicas.values()) for call in one.calls]
