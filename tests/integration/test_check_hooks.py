"""`check --hook-url` over real sockets: a real receiver, other servers in its place, and nobody at all."""

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from replicator.cli.hook_probe import HookFinding, examine, targets
from replicator.clock import SystemClock
from replicator.errors import SettingsError
from replicator.intake.quiet_deliveries import QUIET
from replicator.intake.self_test import deliver
from replicator.settings.credentials import EndpointAuth, JwtAuth, SnsAuth
from replicator.settings.generic import GenericFormat
from replicator.settings.schema import Endpoint, ListenAddress
from replicator.settings.secrets import Secret
from tests.integration.commands import command
from tests.integration.intake_site import Running, running
from tests.integration.site import run_site
from tests.support.logging_state import logging_as_before
from tests.support.ports import Port
from tests.support.web import serve
from tests.unit.intake.test_showing import WAYS

CANARY = "canary-of-the-hook"
BEARER = EndpointAuth(bearer_token_file=(Secret.of_text(CANARY),))


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_as_before():
        yield


async def _examined(endpoint: Endpoint, site: Running) -> HookFinding:
    url = f"http://127.0.0.1:{site.port}{endpoint.path}"
    return await examine(endpoint, ListenAddress("0.0.0.0", site.port), url, SystemClock())


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_prove_who_sends_is_proven(way: str, tmp_path: Path) -> None:
    endpoint = Endpoint(path="/hooks/one", auth=WAYS[way], format="distribution")
    async with running(tmp_path, [endpoint]) as site:
        # A test that is made again is not a delivery that comes again.
        for finding in [await _examined(endpoint, site) for _ in range(2)]:
            assert (finding.ok, finding.listener, finding.delivery) == (True, "yes", "passed")
            assert finding.secrets == 2
        assert await site.owed() == []


@pytest.mark.parametrize("name", QUIET)
async def test_the_test_means_nothing_to_any_format(name: str, tmp_path: Path) -> None:
    endpoint = Endpoint.model_validate({"path": "/hooks/one", "auth": BEARER, "format": name})
    async with running(tmp_path, [endpoint]) as site:
        assert (await _examined(endpoint, site)).delivery == "passed"
        assert await site.owed() == []
        assert "unparsable" not in site.log.getvalue()
        assert CANARY not in site.log.getvalue()


async def test_what_cannot_be_tested_is_left_to_the_sender(tmp_path: Path) -> None:
    """The gate is reached, which the refusal of a stranger shows; nothing is sent that would count as a push."""
    signed = EndpointAuth(jwt=JwtAuth(issuer="https://accounts.google.com", audience=("a",), claims={"email": "b"}))
    topics = EndpointAuth(sns=SnsAuth(topics=("arn:aws:sns:eu-central-1:123456789012:pushes",)))
    described = GenericFormat(repository="r", tag="t")
    doors = (
        Endpoint(path="/jwt", auth=signed, format="gar"),
        Endpoint(path="/sns", auth=topics, format="sns"),
        Endpoint(path="/hub", auth=BEARER, format="dockerhub"),
        Endpoint(path="/any", auth=BEARER, format="generic", generic=described),
    )
    async with running(tmp_path, doors) as site:
        found = [await _examined(one, site) for one in doors]
        assert [one.ok for one in found] == [True] * 4
        assert [one.delivery for one in found] == [
            *["unproven: only the sender can sign"] * 2,
            *["unproven: this sender has no event that asks for nothing"] * 2,
        ]
        assert all("let the sender send a test" in one.advice for one in found)
        assert "webhook_unparsable" not in site.log.getvalue()


@pytest.mark.parametrize(
    "described",
    [
        GenericFormat(repository="r", tag="t", action="data.type"),
        GenericFormat(repository="r", tag="t", action="type", events="data.events[*]"),
        GenericFormat(repository="r", tag="t", action="type", events="[*]"),
        GenericFormat(repository="r", tag="t", events="data.events[*]"),
    ],
)
async def test_a_described_sender_is_tested_where_it_can_tell_of_nothing(
    described: GenericFormat, tmp_path: Path
) -> None:
    endpoint = Endpoint(path="/any", auth=BEARER, format="generic", generic=described)
    async with running(tmp_path, [endpoint]) as site:
        finding = await _examined(endpoint, site)
        assert (finding.ok, finding.delivery) == (True, "passed")
        assert await site.owed() == []
        assert "webhook_unparsable" not in site.log.getvalue()


async def test_another_secret_is_told(tmp_path: Path) -> None:
    ours = Endpoint(path="/hooks/one", auth=EndpointAuth(bearer_token_file=(Secret.of_text("canary-of-old"),)))
    theirs = Endpoint(path="/hooks/one", auth=BEARER)
    async with running(tmp_path, [theirs]) as site:
        finding = await _examined(ours, site)
    assert (finding.ok, finding.delivery) == (False, "failed")
    assert finding.problem == "an authentic delivery was answered 401"
    assert "another secret" in finding.advice
    assert "canary" not in finding.problem + finding.advice


async def test_a_path_that_nobody_takes_is_told(tmp_path: Path) -> None:
    endpoint = Endpoint(path="/hooks/one", auth=BEARER)
    async with running(tmp_path, [endpoint]) as site:
        url = f"http://127.0.0.1:{site.port}/hooks/other"
        finding = await examine(endpoint, ListenAddress("127.0.0.1", site.port), url, SystemClock())
    assert (finding.listener, finding.problem) == ("yes", "a delivery that shows no secret was answered 404")
    assert "path" in finding.advice


@contextlib.asynccontextmanager
async def _other_server(status: int, *, guarded: bool) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        known = request.headers.get("Authorization") == f"Bearer {CANARY}"
        code = 401 if guarded and not known else status
        return web.Response(status=code, headers={"Location": "https://elsewhere.invalid/"} if code == 302 else {})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with serve(app) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "guarded", "said"),
    [
        (200, False, "anybody may deliver"),
        (302, False, "do not follow redirects"),
        (302, True, "do not follow redirects"),
        (403, True, "firewall"),
        (404, True, "path"),
        (405, True, "another server"),
        (413, True, "max_body"),
        (429, True, "limits"),
        (500, True, "no answer of the daemon"),
        (503, True, "store"),
    ],
)
async def test_each_answer_has_its_advice(status: int, said: str, *, guarded: bool) -> None:
    async with _other_server(status, guarded=guarded) as url:
        endpoint = Endpoint(path="/hooks/one", auth=BEARER)
        port = int(url.rpartition(":")[2])
        finding = await examine(endpoint, ListenAddress("127.0.0.1", port), f"{url}/hooks/one", SystemClock())
    assert (finding.ok, finding.delivery) == (False, "failed")
    assert finding.problem.endswith(f"was answered {status}")
    assert said in finding.advice
    if not guarded:
        assert finding.listener == f"no: another server answers {status}"


async def test_nobody_there_is_told_and_a_daemon_that_does_not_run_is_no_problem() -> None:
    closed = Port()
    endpoint = Endpoint(path="/hooks/one", auth=BEARER)
    listen, clock = ListenAddress("0.0.0.0", closed.number), SystemClock()
    alone = await examine(endpoint, listen, None, clock)
    assert (alone.ok, alone.delivery) == (True, "not asked")
    assert alone.listener.startswith("no: cannot connect")
    refused = await examine(endpoint, listen, f"http://127.0.0.1:{closed.number}/hooks/one", clock)
    assert "cannot connect" in refused.problem
    assert "port" in refused.advice
    unknown = await examine(endpoint, listen, "http://no-such-host.invalid/hooks/one", clock)
    assert "the name has no address" in unknown.problem
    assert "DNS" in unknown.advice
    closed.release()


async def test_a_certificate_that_senders_would_not_trust_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    endpoint = Endpoint(path="/hooks/one", auth=BEARER)
    async with running(tmp_path, [endpoint], tls=context) as site:
        url = f"https://127.0.0.1:{site.port}/hooks/one"
        finding = await examine(endpoint, ListenAddress("127.0.0.1", site.port), url, SystemClock(), tls=True)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        answer = await deliver(url, b"{}", {}, {}, tls=trusting)
    assert "certificate is not trusted" in finding.problem
    assert "the sender must trust" in finding.advice
    assert finding.listener.startswith("unproven")
    assert answer.status == 401


async def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    auth = EndpointAuth(bearer_token_file=(Secret.of_file(tmp_path / "gone"),))
    finding = await examine(
        Endpoint(path="/hooks/one", auth=auth), ListenAddress("127.0.0.1", 1), None, SystemClock()
    )
    assert not finding.ok
    assert "gone cannot be read" in finding.problem
    assert "daemon's user" in finding.advice


def test_the_url_leads_to_all_endpoints_or_to_one() -> None:
    two = (Endpoint(path="/hooks/a", name="a", auth=None), Endpoint(path="/hooks/b", name="b", auth=None))
    assert targets(two, None) == {}
    assert targets(two, "https://h/") == {"a": "https://h/hooks/a", "b": "https://h/hooks/b"}
    assert targets(two, "https://h/behind/hooks/b") == {"b": "https://h/behind/hooks/b"}
    assert targets(two[:1], "https://h/rewritten") == {"a": "https://h/rewritten"}
    with pytest.raises(SettingsError, match="no endpoint"):
        targets(two, "https://h/other")


async def test_the_command_delivers_to_a_real_daemon(tmp_path: Path) -> None:
    async with run_site(tmp_path, replicas=("eu",)) as site:
        result = await command(site, "check", "--hook-url", site.hook_url, "--json")
        assert result.exit_code == 0, result.output
        (hook,) = json.loads(result.stdout)["webhooks"]
        assert (hook["listener"], hook["delivery"], hook["secrets"], hook["ok"]) == ("yes", "passed", 1, True)
        for line in json.loads(result.stdout)["registries"]:
            assert abs(line["clock_ahead"]) < 5
        wrong = await command(site, "check", "--hook-url", f"{site.hook_url}/x")
        assert wrong.exit_code == 1
        assert "webhooks primary: listener yes; test delivery failed" in wrong.stdout
    with_secret = await command(site, "check", "--hook-url", "https://h/x?token=canary")
    assert (with_secret.exit_code, "canary" in with_secret.output) == (2, False)
