"""Each question once: what several references need is asked for by the first, and the others wait for its answer."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

from replicator.audit.findings import Fault

REMEMBERED = 100_000
"""Answers kept; the oldest go first, and are asked for again should somebody need them."""
K = TypeVar("K", bound=Hashable)


class Once(Generic[K]):
    """Answers to `is there a fault`; those that say no are kept, and all of them where `faults_stay`."""

    def __init__(self, *, faults_stay: bool = False, most: int = REMEMBERED) -> None:
        self._faults_stay = faults_stay
        self._most = most
        self._known: OrderedDict[K, Fault | None] = OrderedDict()
        self._under_way: dict[K, anyio.Event] = {}

    async def ask(self, key: K, question: Callable[[], Awaitable[Fault | None]]) -> Fault | None:
        """Return the answer for `key`, by `question` if nobody has it."""
        while (other := self._under_way.get(key)) is not None:
            await other.wait()
        if key in self._known:
            return self._known[key]
        ended = self._under_way[key] = anyio.Event()
        try:
            fault = await question()
        finally:
            del self._under_way[key]
            ended.set()
        if fault is None or self._faults_stay:
            self._known[key] = fault
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return fault
