"""What `check` finds of one receiver of notifications: are its keys readable, and does it take a message."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from replicator.clock import Clock
from replicator.errors import Reason, SettingsError
from replicator.news import ping_at
from replicator.notify.posting import open_client, post
from replicator.notify.receivers import Receiver
from replicator.notify.verdicts import DeliveryFailed

_ADVICE: Final = {
    Reason.AUTH: "both ends need the same secret, and a clock that is right",
    Reason.NOT_FOUND: "check the path of the URL",
    Reason.TLS: "name the authority of its certificate under tls: ca_file",
    Reason.NETWORK: "check host and port of the URL, and the proxy on the way",
}


@dataclass(slots=True, kw_only=True)
class ReceiverFinding:
    """What was found of one receiver; `delivery` is `not asked`, `passed` or `failed`, `problem` empty when well."""

    name: str
    events: Sequence[str]
    proxy: str = ""
    delivery: str = "not asked"
    problem: str = ""
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is in the way, as far as was asked."""
        return not self.problem


async def try_out(receiver: Receiver, events: Sequence[str], clock: Clock, *, deliver: bool) -> ReceiverFinding:
    """Read the keys and, if told to, deliver a signed `ping`."""
    finding = ReceiverFinding(name=receiver.name, events=events)
    proxy = receiver.proxy
    finding.proxy = "" if proxy is None else f"{proxy} ({proxy.named_by})"
    try:
        receiver.keys()
        if deliver:
            now = clock.now()
            async with open_client(receiver) as client:
                await post(client, receiver, f"msg_{uuid.uuid4().hex}", ping_at(now), now=now)
            finding.delivery = "passed"
    except (SettingsError, DeliveryFailed) as error:
        finding.problem, finding.advice = str(error), _ADVICE.get(error.reason, "")
        finding.delivery = "failed" if deliver else finding.delivery
    return finding


def lines_of(finding: ReceiverFinding) -> Iterator[str]:
    """Yield what is to be said of a receiver."""
    way = f", through the proxy {finding.proxy}" if finding.proxy else ""
    yield f"notify {finding.name}: {', '.join(finding.events)}{way}; test message {finding.delivery}"
    for said in (finding.problem, finding.advice):
        if said:
            yield f"notify {finding.name}: {said}"
