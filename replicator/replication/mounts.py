"""What mounting has shown itself to be good for on one replica (U1): learned from answers, believed for a time."""

from collections import OrderedDict

from replicator.clock import Clock
from replicator.model import Repository
from replicator.registry.capabilities import Capabilities, Capability

REFUSALS_THAT_PROVE = 3
"""Pairs of repositories between which mounting must fail, with none where it works, until it is given up.

No repository may be part of all of them: its rights alone, or a rule about it alone, would then teach it wrongly.
"""
_REFUSED_FOR = 3600.0
_ASK_EVERY = 3600.0
_REMEMBERED = 10_000


class Mounts:
    """Whether a mount is worth its request, and whether it must wait for a manifest."""

    def __init__(self, capabilities: Capabilities, clock: Clock) -> None:
        self._capabilities = capabilities
        self._clock = clock
        self._refused: OrderedDict[tuple[Repository, Repository], float] = OrderedDict()
        self._in_a_row = 0
        self._in_all: frozenset[Repository] = frozenset()
        self._ask_not_before = 0.0

    @property
    def hopeless(self) -> bool:
        """Whether this registry is proven to mount nothing."""
        return self._capabilities.holds(Capability.MOUNT) is False

    @property
    def need_manifest(self) -> bool:
        """Whether it is proven to mount only what a manifest of the other repository names."""
        return self._capabilities.holds(Capability.MOUNT_UNREFERENCED) is False

    @property
    def anonymous(self) -> bool:
        """Whether it is proven to find by itself where a blob is."""
        return self._capabilities.holds(Capability.ANONYMOUS_MOUNT) is True

    def is_to_be_asked(self) -> bool:
        """Say whether to find out now if it finds blobs by itself: once an hour at most, while nothing is known."""
        now = self._clock.monotonic()
        if self._capabilities.holds(Capability.ANONYMOUS_MOUNT) is not None or now < self._ask_not_before:
            return False
        self._ask_not_before = now + _ASK_EVERY
        return True

    def found_by_itself(self, *, holds: bool) -> None:
        """Take note of whether it found a blob by itself that it mounts when told from where."""
        self._capabilities.learn(Capability.ANONYMOUS_MOUNT, holds=holds)

    def may_work(self, source: Repository, target: Repository) -> bool:
        """Say whether a mount from `source` into `target` is worth trying."""
        if self.hopeless or source == target:
            return False
        return self._clock.monotonic() >= self._refused.get((source, target), 0.0)

    def worked(self, *, unreferenced: bool) -> None:
        """Take note of a mount that worked, of a blob that no manifest was known to name if `unreferenced`."""
        self._in_a_row = 0
        self._capabilities.learn(Capability.MOUNT, holds=True)
        if unreferenced:
            self._capabilities.learn(Capability.MOUNT_UNREFERENCED, holds=True)

    def worked_after_manifest(self) -> None:
        """Take note of a mount that was refused before the manifest was put, and worked after it."""
        self.worked(unreferenced=False)
        self._capabilities.learn(Capability.MOUNT_UNREFERENCED, holds=False)

    def refused(self, source: Repository, target: Repository) -> None:
        """Take note of a mount that the registry did not do of a blob that it was shown to hold in `source`."""
        self._refused[source, target] = self._clock.monotonic() + _REFUSED_FOR
        self._refused.move_to_end((source, target))
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        pair = frozenset({source, target})
        self._in_all = pair if self._in_a_row == 0 else self._in_all & pair
        self._in_a_row += 1
        proven = self._in_a_row >= REFUSALS_THAT_PROVE and not self._in_all
        if proven and self._capabilities.holds(Capability.MOUNT) is not True:
            self._capabilities.learn(Capability.MOUNT, holds=False)
