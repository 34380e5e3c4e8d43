"""The other end of systemd's notify protocol: a datagram socket that keeps what a service says of itself."""

import contextlib
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually

_LONGEST = 64 * 1024


@dataclass(slots=True)
class ServiceManager:
    """What was said so far, each message as its fields; `address` goes into NOTIFY_SOCKET."""

    address: str
    _socket: socket.socket
    _said: list[dict[str, str]] = field(default_factory=list)

    @property
    def said(self) -> list[dict[str, str]]:
        """All messages, oldest first."""
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._socket.recv(_LONGEST).decode()
                self._said.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self._said

    def heard(self, name: str, value: str | None = None) -> list[dict[str, str]]:
        """Return the messages that have this field, with this value where one is given."""
        return [one for one in self.said if name in one and value in {None, one[name]}]

    @property
    def status(self) -> str:
        """The last line of status."""
        return self.heard("STATUS")[-1]["STATUS"] if self.heard("STATUS") else ""

    async def hears(self, name: str, value: str | None = None, *, times: int = 1, within: float = 30.0) -> None:
        """Wait until a field was said so often."""
        await eventually(
            lambda: len(self.heard(name, value)) >= times,
            within=within,
            what=f"{name}={value} was said {times} times",
        )


@contextlib.contextmanager
def listening_manager(folder: Path, *, abstract: bool = False) -> Iterator[ServiceManager]:
    """Listen for a block, on a socket below `folder` or on one of Linux's abstract sockets."""
    address = f"@replicator-test-{uuid.uuid4().hex}" if abstract else str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.bind("\0" + address[1:] if abstract else address)
        yield ServiceManager(address, receiver)
