"""What systemd is told of a service (sd_notify): lines of text in one datagram to the socket it names."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

_SECONDS = 1.0


class NotifySocket:
    """Sends to the service manager; without one that listens, nothing happens. Never raises, never waits long."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self._address else None
        """Seconds within which a sign of life is expected, None when none is."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody asked to be told."""
        return bool(self._address)

    def send(self, **fields: object) -> None:
        """Send `NAME=value` lines in one datagram, names in upper case."""
        if not self._address:
            return
        message = "\n".join(f"{name.upper()}={_one_line(value)}" for name, value in fields.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SECONDS)
            sender.sendto(message.encode(), self._address)


def _address(name: str) -> str:
    if name.startswith("@"):
        return "\0" + name[1:]  # Linux's abstract sockets have no file
    return name if name.startswith("/") else ""


def _watchdog(environ: Mapping[str, str]) -> float | None:
    # Inherited by a child of the service, the limit is for its parent.
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


def _one_line(value: object) -> str:
    return " ".join(str(value).split("\n"))
