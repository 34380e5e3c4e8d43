"""What `check` says of one subscription, and what to do when nothing could be fetched from there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from replicator.intake.nats_connection import FeedLost
from replicator.intake.nats_probe import Looked, look
from replicator.settings.subscriptions import AUTO, Subscription

_ADVICE = {
    "credentials": "check what is under credentials:, and that the server knows this user",
    "does not allow it": "give the user the rights that docs/webhooks.md lists (events over NATS)",
    "certificate is not trusted": "write the authority that made it as tls: {ca_file: ...}",
    "does not speak TLS": "let it speak TLS, or write nats:// and no tls: where nobody is on the way",
    "is another one's": "remove that consumer, or write another name as durable",
    "stream not found": "make the stream, or leave stream: away so that the one with the subject is found",
    "no answer in time": "check host and port, and what lies between; with a stream, the user's rights to ask for it",
    "connect": "check that the server runs, its host and port, and what lies between",
}
_OTHERWISE = "see the log of the server"


@dataclass(slots=True, kw_only=True)
class FeedFinding:
    """What was found of one subscription. `problem` is empty when events can be fetched.

    `stream` is the one that keeps the subject, empty for plain NATS; `consumer` is `there`, `made at the start`, or
    empty without a stream. `remark` keeps nothing from working.
    """

    name: str
    url: Sequence[str]
    subject: str
    format: str
    server: str = ""
    stream: str = ""
    consumer: str = ""
    problem: str = ""
    advice: str = ""
    remark: str = ""

    @property
    def ok(self) -> bool:
        """Whether events can be fetched, as far as this was found out."""
        return not self.problem


async def look_at(subscription: Subscription) -> FeedFinding:
    """Connect as the daemon would; no message is taken and nothing made. Failures are findings too."""
    finding = FeedFinding(
        name=subscription.name,
        url=list(subscription.url),
        subject=subscription.subject,
        format=subscription.format,
    )
    try:
        _fill(finding, subscription, await look(subscription))
    except FeedLost as error:
        finding.problem = str(error)
        finding.advice = next((right for said, right in _ADVICE.items() if said in finding.problem), _OTHERWISE)
    return finding


def lines_of(finding: FeedFinding) -> Iterator[str]:
    """Yield the finding in one line, and in another what is to be done or known."""
    name = f"subscription {finding.name}"
    kept = f"stream {finding.stream}, consumer {finding.consumer}" if finding.stream else "no stream"
    found = f"failed: {finding.problem}" if finding.problem else f"ok, {kept}"
    yield f"{name}: {', '.join(finding.url)}, {finding.subject}, {finding.format}: {found}"
    for said in (finding.remark, finding.advice):
        if said:
            yield f"{name}: {said}"


def _fill(finding: FeedFinding, subscription: Subscription, looked: Looked) -> None:
    finding.server, finding.stream = looked.server, looked.stream
    if looked.stream:
        finding.consumer = "there" if looked.consumer else "made at the start"
    elif subscription.stream == AUTO:
        finding.remark = "no stream keeps the subject: what is published while the daemon is away is lost"
