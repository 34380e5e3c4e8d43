"""What the proxy can do to a request, chosen by method, path and how often such a request has come.

`nth` is the first matching request that is hit (1 = the first after the fault was added), `times` how many are hit
from there on (None = all). `path` is searched in the target, query included.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Plan:
    """What all faults that hit one request ask of the proxy together."""

    delay: float = 0.0
    held: asyncio.Event | None = None
    answer: "Answer | None" = None
    never: bool = False
    cut_request: int | None = None
    cut_response: int | None = None
    reset: bool = False
    lose_answer: bool = False
    hang: bool = False
    hang_after: int | None = None
    corrupt_request: int | None = None
    corrupt_response: int | None = None
    lie_length: int = 0
    resize: int = 0
    request_headers: dict[str, str | None] = field(default_factory=dict)
    response_headers: dict[str, str | None] = field(default_factory=dict)
    rate_down: float | None = None
    rate_up: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Which requests are hit; does nothing by itself."""

    method: str = ""
    path: str = ""
    nth: int = 1
    times: int | None = 1

    def matches(self, method: str, target: str) -> bool:
        """Say whether a request is one of those that are counted."""
        return self.method in {"", method} and re.search(self.path, target) is not None

    def apply(self, plan: Plan) -> None:
        """Write into the plan what is to happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Fault):
    """The request waits before it is forwarded."""

    seconds: float

    def apply(self, plan: Plan) -> None:
        plan.delay += self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Fault):
    """The request waits until an event is set, and is forwarded then even if its client is gone."""

    until: asyncio.Event

    def apply(self, plan: Plan) -> None:
        plan.held = self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Fault):
    """The proxy answers by itself and the server sees nothing: 401, 429 with Retry-After, 503, a redirect.

    It does so after `after` bytes of the request's body (at once by default), and closes the connection.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: int = 0

    def apply(self, plan: Plan) -> None:
        plan.answer = self


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverAnswer(Fault):
    """The request is taken and nothing follows; the server does not see it."""

    def apply(self, plan: Plan) -> None:
        plan.never = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang(Fault):
    """The server does its work; head and `after` bytes of its answer come, then nothing (None: no head either)."""

    after: int | None = None

    def apply(self, plan: Plan) -> None:
        plan.hang, plan.hang_after = True, self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRequest(Fault):
    """The server gets `after` bytes of the body, then both connections end."""

    after: int

    def apply(self, plan: Plan) -> None:
        plan.cut_request = self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class CutResponse(Fault):
    """The client gets `after` bytes of the body, then the connection ends; by a reset (may lose bytes) if asked."""

    after: int
    reset: bool = False

    def apply(self, plan: Plan) -> None:
        plan.cut_response, plan.reset = self.after, self.reset


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer(Fault):
    """The server does its work and answers; the client sees the connection end instead (the lost 201)."""

    def apply(self, plan: Plan) -> None:
        plan.lose_answer = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptRequest(Fault):
    """The byte at offset `at` of the body arrives inverted at the server."""

    at: int

    def apply(self, plan: Plan) -> None:
        plan.corrupt_request = self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptResponse(Fault):
    """The byte at offset `at` of the body arrives inverted at the client."""

    at: int

    def apply(self, plan: Plan) -> None:
        plan.corrupt_response = self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class LieLength(Fault):
    """Content-Length of the answer is wrong by `by`; the body is as it was, then the connection ends."""

    by: int

    def apply(self, plan: Plan) -> None:
        plan.lie_length = self.by


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Fault):
    """The body of the answer is `by` bytes longer (zeros) or shorter, and Content-Length agrees: valid HTTP."""

    by: int

    def apply(self, plan: Plan) -> None:
        plan.resize = self.by


@dataclass(frozen=True, slots=True, kw_only=True)
class SetHeader(Fault):
    """A header of the answer (of the request, if asked) is replaced, added, or with None taken away."""

    name: str
    value: str | None
    of_request: bool = False

    def apply(self, plan: Plan) -> None:
        (plan.request_headers if self.of_request else plan.response_headers)[self.name] = self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Fault):
    """Bodies of this request go no faster than these bytes per second."""

    down: float | None = None
    up: float | None = None

    def apply(self, plan: Plan) -> None:
        plan.rate_down, plan.rate_up = self.down, self.up


@dataclass(slots=True, eq=False)
class Installed:
    """A fault in force: `seen` matching requests so far, `acted` of them hit."""

    fault: Fault
    seen: int = 0
    acted: int = 0

    def hits(self, method: str, target: str) -> bool:
        """Count a request and say whether it is hit."""
        if not self.fault.matches(method, target):
            return False
        self.seen += 1
        last = None if self.fault.times is None else self.fault.nth + self.fault.times
        hit = self.seen >= self.fault.nth and (last is None or self.seen < last)
        self.acted += hit
        return hit


class FaultBook:
    """The faults in force; may be changed at any time, requests that run keep the plan they began with."""

    def __init__(self) -> None:
        self._installed: list[Installed] = []

    def add(self, fault: Fault) -> Installed:
        """Put a fault in force; what is returned counts how often it acted."""
        installed = Installed(fault)
        self._installed.append(installed)
        return installed

    def remove(self, installed: Installed) -> None:
        """Take a fault out of force; nothing when it was already."""
        if installed in self._installed:
            self._installed.remove(installed)

    def clear(self) -> None:
        """Take all of them out of force."""
        self._installed.clear()

    @contextmanager
    def during(self, fault: Fault) -> Iterator[Installed]:
        """Keep a fault in force for a block."""
        installed = self.add(fault)
        try:
            yield installed
        finally:
            self.remove(installed)

    def plan_for(self, method: str, target: str) -> Plan:
        """Count a request against every fault and return what is to happen to it."""
        plan = Plan()
        for installed in self._installed:
            if installed.hits(method, target):
                installed.fault.apply(plan)
        return plan
