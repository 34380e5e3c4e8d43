"""What `init` prints fits what senders send: each kind's samples pass the printed gate, and name the printed host."""

from pathlib import Path

import pytest
from multidict import CIMultiDict
from yarl import URL

from replicator.cli.quick_starts.every import KINDS
from replicator.intake.formats.known import FORMATS
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import Head, Verdict
from replicator.settings.load import load
from replicator.settings.schema import Endpoint
from tests.support.fake_clock import FakeClock
from tests.support.quick_start import quick_start
from tests.support.webhook_samples import samples

SECRETS = {
    **dict.fromkeys(("acr", "distribution", "zot"), ("Authorization", "example-token")),
    "ghcr": ("X-Hub-Signature-256", "example-secret"),
    "gitea": ("X-Gitea-Signature", "example-secret"),
    "nexus": ("X-Nexus-Webhook-Signature", "example-secret"),
}
"""By kind: the header with which its samples prove who sends, and the secret that they were made with."""


def _endpoint(folder: Path, secret: str, *arguments: str) -> Endpoint:
    start = quick_start(*arguments)
    (folder / "secrets").mkdir(exist_ok=True)
    for file in start.files:
        (folder / file).write_text(secret)
    config = folder / "replicator.yaml"
    config.write_text(start.config)
    (endpoint,) = load(config, {}).webhooks.endpoints
    return endpoint


@pytest.mark.parametrize("kind", SECRETS)
async def test_the_printed_gate_admits_what_that_sender_sends(kind: str, tmp_path: Path) -> None:
    header, secret = SECRETS[kind]
    endpoint = _endpoint(tmp_path, secret, "--primary", kind)
    gate = gate_of(endpoint.auth, FakeClock())
    assert gate is not None
    sent = [one for one in samples().values() if one.format == kind and header in one.headers]
    assert sent
    for sample in sent:
        head = Head(CIMultiDict(sample.headers), URL(endpoint.path))
        assert await gate.admit(head) is Verdict.ADMITTED, sample.name
        assert await gate.prove(head, sample.body) is Verdict.ADMITTED, sample.name


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.hosts])
def test_the_printed_host_is_the_one_that_events_name(kind: str, tmp_path: Path) -> None:
    """Else every event would be ignored as another registry's."""
    hosts: set[str] = set()
    for sample in samples().values():
        if sample.format == kind:
            decoded = FORMATS[kind].decode(sample.body, CIMultiDict(sample.headers), limit=1 << 22)
            hosts |= {change.host for change in decoded.changes if change.host is not None}
    assert hosts
    for host in hosts:
        endpoint = _endpoint(tmp_path, "any", "--primary", kind, "--primary-url", f"https://{host}")
        assert endpoint.hosts == (host.lower(),)
