"""Whole runs from a seed: the real lanes, workers, sweeps and store over registries in memory; time is virtual.

Connections break before and after a request was done, answers are lost, bytes turn, replicas are down; events are
early, late, doubled, in the wrong order or lost; the daemon is stopped and killed between any two requests, or
another takes over while it still runs. Tags move and are deleted throughout, and so are manifests, by their digest;
somebody else puts tags on replicas. About half of what is pushed are indexes, which share children and list each
other; tags move between an index and what it lists, and where deletes propagate children are lost while an index of
them comes, stays or goes (families.py).

Invariants: an acknowledged event is never lost (G1), no reference of a careless replica ever names incomplete or
wrong content (G2, G3), and when the weather clears each tag is what was pushed last, on every replica (G4), also
where no event told (G5), and what was pushed by its digest is there, whole; what somebody else put is as it was and
whole, nothing is deleted where no rule says so, nor before the grace period is over, nor what anything on a replica
needs; what the primary deleted by its digest is gone in the end where it was ours and nothing needs it (G8); uploads
that are cut go on, and no byte is sent twice without need (G10, uploading.py).

In every second run rules say `referrers: true`: images are signed over and over by cosign's tags, and others refer to
them. In two of four there are sweeps, and events are lost; in every third deletes propagate. In four of eight
registries keep the bytes of uploads that were cut.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import anyio.to_thread
from structlog.testing import capture_logs

from replicator.model import Digest, IntentKey, Repository, Tag
from replicator.replication import hash_trail, kept_uploads
from replicator.replication.deletes import LEFT_FOR
from replicator.store import connections, handle
from tests.simulation.content import CONTENTS, FEW_CONTENTS, IMAGES, INDEXES, OWN_TAGS, REPOSITORIES
from tests.simulation.ending import SOON, differences, left_behind, rows_left
from tests.simulation.families import Families
from tests.simulation.one_thread import LoopWriter, at_once
from tests.simulation.primary import Primary
from tests.simulation.sweeping import Sweeping
from tests.simulation.uploading import LARGE_IMAGES, LARGE_INDEX, WORTH_KEEPING, Uploading
from tests.simulation.weather import Blow, Meanwhile, Weather
from tests.support.content import Content
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.support import Call

STEPS = 60
NAMES = ("eu", "us", "ap")
DELETES = {"grace": "20s", "breaker": {"count": 1_000, "percent": 100}}
DAYS = 4
"""How often what was left, though it was to be deleted, is asked about again in the end."""
SMALL_SCALE: tuple[tuple[ModuleType, str, object], ...] = (
    (kept_uploads, "WORTH_KEEPING", WORTH_KEEPING),
    (hash_trail, "_EVERY", WORTH_KEEPING // 10),
    (connections, "WRITER_PRAGMAS", (*connections.WRITER_PRAGMAS, "PRAGMA synchronous=OFF")),
    (handle, "Writer", LoopWriter),
    (anyio.to_thread, "run_sync", at_once),
)


class Run:
    """One run of one seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.rng = random.Random(seed)
        self.blow = Blow()
        self.meanwhile = Meanwhile()
        self.weather = [
            Weather(rig, one, self.rng, self.blow, self.meanwhile) for one in (rig.source, *rig.replicas.values())
        ]
        self.sweeping = Sweeping(rig, self.rng) if seed // 2 % 2 else None
        self.uploading = Uploading(rig) if seed // 4 % 2 else None
        self.zombies: list[asyncio.Task[None]] = []
        self.own: dict[tuple[str, Repository, Tag], Digest] = {}
        deletes = any(rule.deletes == "propagate" for rule in rig.settings.rules)
        # Where deletes propagate few, and those of indexes among them, so that one often needs what is deleted.
        contents = FEW_CONTENTS if deletes else CONTENTS
        self.choices = ["push"] * 6 + ["early", "twice", "delete", "delete", "somebody", "weather", "weather"]
        self.choices += ["untagged", "delete manifest", "move", "crash", "kill", "blow", "takeover"]
        if deletes:
            self.choices += ["untagged"] * 2 + ["delete manifest"] * 3 + ["clear out meanwhile", "somebody"]
            self.choices += ["clear out", "clear out"] + ["lose child"] * 6
        if seed % 2:
            self.choices += ["sign"] * 5 + ["attach", "attach", "detach"]
            # Few, so that what is signed anew is often on its way just then.
            contents = [self.rng.choice(IMAGES[:3]), self.rng.choice(INDEXES[:4])]
            for one in (rig.source, *rig.replicas.values()):
                one.has_referrers_api = self.rng.random() < 0.5
        if self.uploading is not None:
            contents = [*contents[:1], *contents[-2:], *LARGE_IMAGES, LARGE_INDEX]
        self.primary = Primary(rig, self.rng, contents, lossy=self.sweeping is not None)
        self.families = Families(self.primary, self.rng, self.meanwhile, arrive=self._arrive, put_own=self._put_own)
        if deletes:
            for weather in self.weather:
                weather.doomed = self.primary.doomed

    def start(self) -> None:
        """Start the daemon over what is on the disk."""
        self.rig.start()
        if self.sweeping is not None:
            self.sweeping.start()

    async def step(self) -> None:
        """Let one thing happen, and a little time pass."""
        self.primary.write_late_tags()
        await self.primary.tell_some()
        what = self.rng.choice(self.choices)
        if what == "somebody":
            await self._put_own(self.rng.choice(REPOSITORIES), self.rng.choice(self.primary.contents))
        elif what == "weather":
            one = self.rng.choice(self.weather)
            one.down = one.registry is not self.rig.source and self.rng.random() < 0.3
            one.faults = self.rng.choice([0.0, 0.02, 0.1])
        elif what in {"crash", "kill", "blow"}:
            await self._end(what)
        elif what == "takeover":
            await self._take_over()
        else:
            await self._at_primary(what)
        await self._pass_time(self.rng.randrange(4))

    async def _at_primary(self, what: str) -> None:
        primary, families, rng = self.primary, self.families, self.rng
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "push": lambda: primary.push(early=False, times=1),
            "early": lambda: primary.push(early=True, times=1),
            "twice": lambda: primary.push(early=False, times=3),
            "untagged": lambda: primary.push_untagged(rng.choice(primary.contents)),
            "delete": primary.delete_tag,
            "delete manifest": primary.delete_manifest,
            "sign": lambda: primary.sign(early=rng.random() < 0.3),
            "attach": primary.attach,
            "detach": primary.detach,
            "move": families.move,
            "clear out": families.clear_out,
            "clear out meanwhile": families.clear_out_meanwhile,
            "lose child": families.lose_child,
        }
        await acts[what]()

    async def _pass_time(self, turns: int) -> None:
        for _ in range(turns):
            self.rig.clock.advance(self.rng.choice([0.01, 0.3, 2.0, 20.0]))
            await self.rig.moment()

    async def _arrive(self) -> None:
        """Let so much time pass that also what came without a tag is on its way, or there."""
        for seconds in (6.0, 3.0, 3.0):
            self.rig.clock.advance(seconds)
            await self.rig.moment()

    async def _end(self, how: str) -> None:
        """End the daemon and start it anew; by a blow it ends between two requests, wherever that is."""
        if how == "blow":
            await self.primary.push(early=False, times=1)
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
        if self.uploading is not None:
            self.uploading.shared(by_two=True)
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
        if self.uploading is not None:
            self.uploading.shared(by_two=False)

    async def _put_own(self, repository: Repository, content: Content) -> None:
        """Have somebody else put a tag of their own on a replica; nothing of ours may touch it."""
        replica, tag = self.rng.choice([*self.rig.replicas.values()]), self.rng.choice(OWN_TAGS)
        if await self._is_going(replica.name, repository, content):
            return  # nobody can keep a manifest that is being deleted just then
        replica.hold(repository, content, tag)
        self.own[replica.name, repository, tag] = content.digest

    async def _is_going(self, name: str, repository: Repository, content: Content) -> bool:
        """Say whether anything of it may be on its way out just now, by the hands of a former daemon too."""
        keys = [IntentKey(name, repository, one.digest) for one in content.manifests()]
        pending = [await self.rig.store.deletion(key) for key in keys]
        due = any(one is not None and one.due_at <= self.rig.clock.now() for one in pending)
        return due or bool(self.zombies)

    async def clear_up(self) -> None:
        """Let the sun shine until nothing is owed, no look is to come, and sweeps have compared all."""
        self.primary.write_late_tags()
        await self.primary.tell_all()
        await self._end_zombies()
        for one in self.weather:
            one.down, one.faults = False, 0.0
        cleared_at = self.rig.clock.now()

        async def settled() -> bool:
            return (self.sweeping is None or await self.sweeping.saw_all_since(cleared_at)) and await self._settled()

        await self._until(settled)
        for _ in range(DAYS):
            if not await left_behind(self.rig, self.primary):
                break
            # What needed it may be gone since: that is asked once a day.
            self.rig.clock.advance(LEFT_FOR)
            await self._until(settled)

    async def _until(self, settled: Callable[[], Awaitable[bool]]) -> None:
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
        for name in NAMES:
            if summary.replica(name).deletes.stopped_since is not None:
                await self.rig.store.resume_deletes(name)  # an operator has looked
        waiting = sum(one.deletes.pending for one in replicas)
        return not waiting and not await self._is_busy()

    async def _is_busy(self) -> bool:
        """Say whether anything is due, or soon to be looked at; what was left is looked at again in a day."""
        due = [await self.rig.store.next_due(name) for name in NAMES]
        soon = self.rig.clock.now() + SOON
        return any(at is not None and at <= soon for at in due) or not await self.rig.is_quiet()

    async def differences(self) -> list[str]:
        """Return where a replica is not what the primary is, and what was ever broken."""
        found = [broken for one in self.weather for broken in one.broken]
        if self.uploading is not None:
            found += self.uploading.sent_again(sum((one.wrong for one in self.weather), Counter()))
        found += differences(self.rig, self.primary, self.own)
        return found + await left_behind(self.rig, self.primary)


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
        wrong = await run.differences()
        wrong += [f"{name} is owed something" for name in NAMES if (await rig.owed(name)).since]
        wrong += await rows_left(rig, deletes=deletes, signed=bool(seed % 2))
        if wrong or not (rig.source.tags or run.primary.doomed):
            raise AssertionError("; ".join(wrong) or "nothing was pushed")
        return [call for one in (rig.source, *rig.replicas.values()) for call in one.calls]
