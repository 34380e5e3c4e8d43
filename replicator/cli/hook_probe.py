"""What `check` asks of one webhook endpoint, and what to do when the answer is no."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from replicator.clock import Clock
from replicator.errors import Reason, SettingsError
from replicator.intake.quiet_deliveries import QUIET, quiet_of
from replicator.intake.self_test import Answer, deliver, look
from replicator.intake.showing import secrets_of, shown
from replicator.settings.listening import reached_at
from replicator.settings.schema import Endpoint, ListenAddress

_METHOD_NOT_ALLOWED: Final = 405
_UNAUTHORIZED: Final = 401

_NO_ANSWER = {
    Reason.NETWORK: "check the host and port of the URL, DNS, and what lies between: proxy, load balancer, firewall",
    Reason.TLS: "the sender must trust that certificate: check its authority, its host names and its dates; behind "
    "a proxy that ends TLS it is the proxy's",
    Reason.TIMEOUT: "something on the way drops the packets, or nothing listens behind the proxy",
}
_ANSWERS = {
    401: "the daemon there has another secret (is it the same file, and the same endpoint?), or a proxy on the way "
    "takes away what shows it: the Authorization header, or the query",
    403: "something before the daemon refuses: a proxy or a firewall for web applications",
    404: "nothing takes webhooks at this path: check the path of the URL, and what the proxy makes of it",
    405: "the path is another server's: check the proxy's rules",
    413: "a proxy on the way limits bodies: let at least max_body through",
    429: "something before the daemon limits how often it is called: let the sender through",
    503: "the daemon cannot write to its store now: see its log",
}
_OTHERWISE = "this is no answer of the daemon: check what the proxy does with this path"


@dataclass(slots=True, kw_only=True)
class HookFinding:
    """What was found of one endpoint. `problem` is empty when all is well.

    `secrets` is how many are valid and could be read. `listener` says whether one answers where this configuration
    listens: yes, no, or `no, ...`; a daemon that does not run is no problem. `delivery` is what became of the test
    by way of the sender's URL: `not asked`, `passed`, `failed`, or `unproven: WHY`.
    """

    name: str
    path: str
    format: str
    hosts: Sequence[str]
    auth: str
    secrets: int = 0
    listener: str = "unproven"
    delivery: str = "not asked"
    problem: str = ""
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found that keeps deliveries out."""
        return not self.problem


def targets(endpoints: Sequence[Endpoint], url: str | None) -> dict[str, str]:
    """Return the URL of each endpoint, by its name, that `url` leads to.

    Without a path it leads to all of them, at their own paths; with one, to the endpoint whose path it ends with, or
    else to the only one there is. Raises SettingsError when it leads to none.
    """
    if url is None:
        return {}
    path = urlsplit(url).path.rstrip("/")
    if not path:
        return {one.name: f"{url.rstrip('/')}{one.path}" for one in endpoints}
    found = [one for one in endpoints if path.endswith(one.path)]
    if not found and len(endpoints) == 1:
        found = list(endpoints)
    if not found:
        raise SettingsError(f"--hook-url: {path} is the path of no endpoint; write it without a path for all of them")
    return {max(found, key=lambda one: len(one.path)).name: url}


async def examine(
    endpoint: Endpoint, listen: ListenAddress, url: str | None, clock: Clock, *, tls: bool = False
) -> HookFinding:
    """Look at the endpoint, and deliver to it by way of `url` if there is one."""
    finding = HookFinding(
        name=endpoint.name,
        path=endpoint.path,
        format=endpoint.format,
        hosts=list(endpoint.hosts),
        auth=_auth(endpoint),
    )
    try:
        finding.secrets = _readable(endpoint)
    except SettingsError as error:
        finding.problem, finding.advice = str(error), "put the secret there, readable for the daemon's user"
        return finding
    finding.listener = await _listener(endpoint, listen, tls=tls)
    if url is not None:
        await _deliver(finding, endpoint, url, clock)
    return finding


def _readable(endpoint: Endpoint) -> int:
    every = secrets_of(endpoint.auth) if endpoint.auth is not None else ()
    for secret in every:
        secret.reveal()
    return len(every)


async def _listener(endpoint: Endpoint, listen: ListenAddress, *, tls: bool) -> str:
    if tls:
        # Its certificate is for the name that senders use, and it may want one of the sender.
        return "unproven: it speaks TLS, which --hook-url tests"
    answer = await look(f"http://{reached_at(listen.host, listen.port)}{endpoint.path}")
    if answer.status == _METHOD_NOT_ALLOWED:
        return "yes"
    return f"no: {answer.problem}" if not answer.status else f"no: another server answers {answer.status}"


async def _deliver(finding: HookFinding, endpoint: Endpoint, url: str, clock: Clock) -> None:
    quiet = QUIET.get(endpoint.format) if endpoint.generic is None else quiet_of(endpoint.generic)
    body, headers = (quiet.body, quiet.headers) if quiet is not None else (b"{}", {})
    proof = shown(endpoint.auth, body, identifier=f"check-{secrets.token_hex(16)}", now=clock.now())
    if endpoint.auth is not None:
        # Whoever takes this would take anything, so that the answer to the authentic one would prove nothing.
        stranger = await deliver(url, body, headers, {})
        if stranger.status != _UNAUTHORIZED:
            _note(finding, stranger, "a delivery that shows no secret")
            return
    if quiet is None or proof is None:
        why = "only the sender can sign" if proof is None else "this sender has no event that asks for nothing"
        finding.delivery = f"unproven: {why}"
        finding.advice = "the URL leads to the endpoint; for the rest let the sender send a test, or push something"
        return
    answer = await deliver(url, body, {**headers, **proof.headers}, proof.query)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 -- what HTTP calls success
        _note(finding, answer, "an authentic delivery")
        return
    finding.delivery = "passed"


def _note(finding: HookFinding, answer: Answer, what: str) -> None:
    finding.delivery = "failed"
    if not answer.status:
        finding.problem = f"{what} got no answer: {answer.problem}"
        finding.advice = _NO_ANSWER.get(answer.reason, _NO_ANSWER[Reason.NETWORK])
        return
    finding.problem = f"{what} was answered {answer.status}"
    if 200 <= answer.status < 300:  # noqa: PLR2004 -- what HTTP calls success
        finding.advice = "anybody may deliver there, or another server answers: check where the URL leads"
    elif 300 <= answer.status < 400:  # noqa: PLR2004 -- what HTTP calls a redirect
        finding.advice = "senders do not follow redirects, or lose the body: give them the URL that it leads to"
    else:
        finding.advice = _ANSWERS.get(answer.status, _OTHERWISE)


def _auth(endpoint: Endpoint) -> str:
    if endpoint.auth is None:
        return "none"
    used = endpoint.auth.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(sorted(key.removesuffix("_file").removesuffix("_env") for key in used))
