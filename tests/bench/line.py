"""A long line before a server: a process that forwards TCP with a delay each way and a rate per connection.

    python -m tests.bench.line --delay 0.04 --rate 20000000 LISTEN=TARGET...     (ports on the loopback)

Each connection may send `rate` bytes a second in each direction, and its opening costs a round trip more, as on a
real line. One thread with epoll and plain buffers: less than one CPU second for a gigabyte.
"""

import argparse
import heapq
import itertools
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field

_PIECE = 128 * 1024
_LISTEN_QUEUE = 512


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds one way, and bytes per second of one connection and direction."""

    delay: float
    rate: float

    @property
    def window(self) -> int:
        """Bytes of one direction that are on the line at once: a round trip's worth, and a little."""
        return int(self.rate * self.delay * 2) + 4 * _PIECE


@dataclass(slots=True)
class _Way:
    """One direction of one connection: what was taken from `source` reaches `sink` when it is due."""

    source: socket.socket
    sink: socket.socket
    opened: float
    queue: deque[tuple[float, memoryview]] = field(default_factory=deque)
    held: int = 0
    free_at: float = 0.0
    ended: bool = False
    blocked: bool = False
    back: "_Way | None" = None


class Line:
    """The lines of one process and their connections; `run` never returns."""

    def __init__(self, figures: Figures, ports: dict[int, int]) -> None:
        self._figures = figures
        self._epoll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, int]] = {}
        self._from: dict[int, _Way] = {}
        self._due: list[tuple[float, int, _Way]] = []
        self._number = itertools.count()
        for listen, target in ports.items():
            listener = socket.create_server(("127.0.0.1", listen), backlog=_LISTEN_QUEUE)
            listener.setblocking(False)
            self._listeners[listener.fileno()] = listener, target
            self._epoll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Forward for ever."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for number, events in self._epoll.poll(wait):
                if number in self._listeners:
                    self._accept(*self._listeners[number])
                    continue
                way = self._from.get(number)
                if way is not None:
                    self._look(way, events)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                way = heapq.heappop(self._due)[2]
                if not way.blocked:
                    self._deliver(way, now)

    def _look(self, way: _Way, events: int) -> None:
        if events & select.EPOLLERR:
            self._close(way)
            return
        if way.back is not None and events & select.EPOLLOUT:
            way.back.blocked = False
            self._deliver(way.back, time.monotonic())
        if events & select.EPOLLIN and not way.ended and way.source.fileno() >= 0:
            self._take(way)

    def _accept(self, listener: socket.socket, target: int) -> None:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", target))
        except OSError:
            client.close()
            return
        now = time.monotonic()
        # What the client sends at once waits for the answer to its first packet, which a real line carries too.
        up = _Way(client, server, opened=now + 2 * self._figures.delay)
        down = _Way(server, client, opened=now)
        up.back, down.back = down, up
        for way in (up, down):
            way.source.setblocking(False)
            way.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._from[way.source.fileno()] = way
            self._epoll.register(way.source, select.EPOLLIN)

    def _take(self, way: _Way) -> None:
        """Read once from the source, and say when it is due on the other side."""
        try:
            data = way.source.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._close(way)
            return
        start = max(max(time.monotonic(), way.opened) + self._figures.delay, way.free_at)
        way.free_at = start + len(data) / self._figures.rate
        way.ended = not data
        way.held += len(data)
        way.queue.append((way.free_at, memoryview(data)))
        if len(way.queue) == 1:
            heapq.heappush(self._due, (way.free_at, next(self._number), way))
        self._watch(way)

    def _deliver(self, way: _Way, now: float) -> None:
        """Hand over what is due, as far as the sink takes it."""
        while way.queue and way.queue[0][0] <= now:
            due, data = way.queue[0]
            try:
                sent = way.sink.send(data) if data else 0
                if not data:
                    way.sink.shutdown(socket.SHUT_WR)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(way)
                return
            way.held -= sent
            if sent < len(data):
                way.queue[0] = due, data[sent:]
                way.blocked = True
                break
            way.queue.popleft()
        if way.back is None or (way.ended and way.back.ended and not way.queue and not way.back.queue):
            self._close(way)
            return
        if way.queue and not way.blocked:
            heapq.heappush(self._due, (way.queue[0][0], next(self._number), way))
        self._watch(way)
        self._watch(way.back)

    def _watch(self, way: _Way) -> None:
        """Ask to be told of what matters at the source of a way: more to take, or room again for the other way."""
        if way.source.fileno() < 0 or way.back is None:
            return
        reading = not way.ended and way.held < self._figures.window
        wanted = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if way.back.blocked else 0)
        self._epoll.modify(way.source, wanted)

    def _close(self, way: _Way) -> None:
        for one in (way, way.back):
            if one is not None and one.source.fileno() >= 0:
                del self._from[one.source.fileno()]
                self._epoll.unregister(one.source)
                one.source.close()
                one.queue.clear()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("ports", nargs="+")
    arguments = parser.parse_args()
    pairs = (pair.split("=") for pair in arguments.ports)
    Line(Figures(arguments.delay, arguments.rate), {int(listen): int(target) for listen, target in pairs}).run()


if __name__ == "__main__":
    main()
