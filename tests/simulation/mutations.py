"""Deliberate breaks of the code, each of which must be noticed: a guarantee that nobody watches is none.

A mutation replaces one piece of text in one module. It is noticed by the simulation (within `SEEDS` runs) or, where
its damage needs what is not simulated, by the tests that it names.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = 40


@dataclass(frozen=True, slots=True)
class Mutation:
    """One break: `old` becomes `new` in `module`; `tests` notice it, the simulation where there are none."""

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The module that it breaks."""
        return ROOT / "replicator" / self.module


MUTATIONS = (
    Mutation(
        "a change that comes while its row is worked on is lost",
        "store/statements.py",
        "dirty_since=case((_NO_NEWER_CHANGE, null()), else_=func.coalesce(_row.next_dirty_since, _row.dirty_since)),",
        "dirty_since=null(),",
        tests=("tests/contract/store",),
    ),
    Mutation(
        "a lease that was taken over still settles",
        "store/statements.py",
        '_MINE = and_(_THIS, _row.lease_epoch == bindparam("epoch"), _LEASED)',
        '_MINE = and_(_THIS, bindparam("epoch") == bindparam("epoch"))',
        tests=("tests/contract/store",),
    ),
    Mutation(
        "a put without a lease leaves no trace",
        "store/leases.py",
        "if settled or (outcome.wrote and _taint(session, lease, outcome)):",
        "if settled:",
        tests=("tests/contract/store", "tests/property/test_store_machine.py"),
    ),
    Mutation(
        "nobody looks a second time",
        "replication/worker.py",
        "look_at = None if lease.digest in {None, digest} else self._look_at(lease.looks)",
        "look_at = None",
    ),
    Mutation(
        "the tag is put before the blobs are there",
        "replication/copy.py",
        "await self._bring(bringer, plan)\n",
        "await self._put(plan.top), await self._bring(bringer, plan)\n",
    ),
    Mutation(
        "children of an index are taken for present",
        "plan.py",
        "        if not _skipped(manifest, facts):\n            waves",
        "        if False:\n            waves",
    ),
    Mutation(
        "the last bytes of a blob are passed on unproven",
        "replication/blob_read.py",
        "if end == self.blob.size and self._hasher.hexdigest() != self.blob.digest.encoded:",
        "if False:",
    ),
    Mutation(
        "a small blob is passed on unproven",
        "replication/small_reads.py",
        "if Digest.of(bytes(data), blob.digest.algorithm) != blob.digest:",
        "if False:",
    ),
    Mutation(
        "a blob is taken for present before its upload has ended",
        "replication/bring.py",
        "            how = await self._bring_alone(step, shared)",
        "            self._tools.presence.learn(self._target, digest)\n"
        "            how = await self._bring_alone(step, shared)",
    ),
    Mutation(
        "a failed update is never tried again",
        "replication/worker.py",
        "return kind(at=again.at, reason",
        "return kind(at=again.at + 1e9, reason",
    ),
    Mutation(
        "sweeps do not ask for digests",
        "sweep/examine.py",
        "differences += await self._ask(listed.repository, result.questions)",
        "pass",
    ),
    Mutation(
        "sweeps do not see tags that no event told of",
        "sweep/compare.py",
        "    if row is None:\n        # One event",
        "    if row is None:\n        return None\n        # One event",
        tests=("tests/unit/sweep/test_compare.py",),
    ),
    Mutation(
        "leases of a process that was killed are never given out again",
        "store/statements.py",
        '_FREE = or_(_row.lease_owner.is_(None), _row.lease_until <= bindparam("monotonic"))',
        '_FREE = or_(_row.lease_owner.is_(None), bindparam("monotonic").is_(None))',
        tests=("tests/contract/store", "tests/property/test_store_machine.py"),
    ),
    Mutation(
        "a tag that somebody else put may be deleted",
        "deletion.py",
        "(not tag.put or tag.held != tag.have, Verdict.NOT_OURS),",
        "(not tag.put, Verdict.NOT_OURS),",
        tests=("tests/unit/test_deletion.py",),
    ),
    Mutation(
        "a tag is deleted although the primary told nothing",
        "deletion.py",
        "(tag.at_primary is None or tag.now < tag.due_at, Verdict.WAIT),",
        "(tag.now < tag.due_at, Verdict.WAIT),",
        tests=("tests/unit/test_deletion.py",),
    ),
    Mutation(
        "an upload that was cut never goes on",
        "registry/resumption.py",
        "        if not 0 < offset <= min(descriptor.size, resumption.sent):",
        "        if True:",
    ),
    Mutation(
        "an upload that was cut goes on in the next life only from its first byte",
        "replication/kept_uploads.py",
        "            found = await store.kept_upload(replica.name, self._repository, self._digest)",
        "            found = None",
    ),
    Mutation(
        "the grace of a delete is nothing",
        "routing.py",
        "key=IntentKey(replica, change.repository, change.reference), found_at=now, due_at=now + self._grace",
        "key=IntentKey(replica, change.repository, change.reference), found_at=now, due_at=now",
    ),
    Mutation(
        "a delete by digest that is told during the copy is forgotten",
        "store/deletions.py",
        'and_(not_(_TAGGED), or_(OWED, _row.put == literal_column("1")))',
        'and_(not_(_TAGGED), _row.put == literal_column("1"))',
    ),
    Mutation(
        "a tagged index does not keep what it lists",
        "need.py",
        "return frozenset(tagged | around.rows) - {digest}",
        "return around.rows - {digest}",
    ),
    Mutation(
        "an index without a tag does not keep what it lists",
        "need.py",
        "return frozenset(tagged | around.rows) - {digest}",
        "return frozenset(tagged) - {digest}",
    ),
    Mutation(
        "what an index of indexes lists further down is not needed",
        "need.py",
        "        level = children - found\n",
        "        level = set()\n",
    ),
    Mutation(
        "a manifest is deleted although a copy that may rely on it has begun",
        "replication/standstill.py",
        "            watch.disturbed = True",
        "            pass",
    ),
    Mutation(
        "a manifest that was deleted is still believed to be there",
        "replication/standstill.py",
        "            presence.lost(repository, digest)",
        "            pass",
    ),
    Mutation(
        "however many deletes are none too many",
        "deletion.py",
        "    return pace.done + pace.due <= min(bounds.count, max(1, part))",
        "    return part >= 0",
        tests=("tests/unit/test_deletion.py",),
    ),
    Mutation(
        "a lane never opens",
        "retry.py",
        "return self.failures >= _TRIPS_AFTER",
        "return False",
        tests=("tests/unit/test_retry.py",),
    ),
    Mutation(
        "a message that was not delivered is lost",
        "notify/sender.py",
        "await means.outbox.again(message.number, verdict.at)",
        "await means.outbox.drop(message.number)",
        tests=("tests/integration/test_notify_sender.py",),
    ),
    Mutation(
        "an older signature is put over a newer one",
        "replication/tag_put.py",
        "if await self._origin.names(tag) != self._companion.raw.digest:",
        "if False:",
        tests=("tests/unit/replication/test_companions.py", "tests/unit/replication/test_companions_trouble.py"),
    ),
)


def noticed(mutation: Mutation, folder: Path) -> tuple[bool, str]:
    """Say whether the break is noticed, and what was said; the broken copy lies in `folder`."""
    shutil.copytree(ROOT / "replicator", folder / "replicator", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "config", "docs", "grafana", "build", "pyproject.toml"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    broken = folder / "replicator" / mutation.module
    broken.write_text(mutation.path.read_text().replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS), "--first", "0", "--until-one-fails"]
    if mutation.tests:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 1, done.stdout + done.stderr
