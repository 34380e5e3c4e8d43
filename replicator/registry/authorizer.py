"""Which Authorization a request to the registry carries, learned from the challenges it sends (A1, A5-A9)."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TypeVar

from replicator.clock import Clock
from replicator.errors import AccessDenied
from replicator.registry import challenge as challenges
from replicator.registry import scope as scope_rules
from replicator.registry.answers import Reply
from replicator.registry.http import LogIn
from replicator.registry.login import Login, Logins
from replicator.registry.origin import Target
from replicator.registry.reach import Reach
from replicator.registry.scope import Scope
from replicator.registry.tokens import Tokens

_REMEMBERED = 1024
_DENIED_FOR = 5.0
_BASIC = "Basic "
_BEARER = "Bearer "
_OAUTH_USER = "$oauthtoken"
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Realm:
    target: Target
    service: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """How a registry has asked for a login so far, as far as that tells what it is.

    `path` and `service` are those of a token server that is at the registry itself, `basic` the realm of Basic.
    """

    path: str = ""
    service: str = ""
    basic: str = ""


class Authorizer:
    """The login of one registry. Nothing is sent before the registry has asked for it, save a ready-made token."""

    def __init__(self, logins: Logins, reach: Reach, tokens: Tokens, clock: Clock) -> None:
        self._logins = logins
        self._reach = reach
        self._tokens = tokens
        self._clock = clock
        self._asked: _Realm | str | None = None
        self.challenged = Challenged()
        self._widened: OrderedDict[tuple[Scope, ...], tuple[Scope, ...]] = OrderedDict()
        self._denied: OrderedDict[tuple[Scope, ...], float] = OrderedDict()
        self.era = 0
        """How often the credentials have changed."""

    async def header(self, scopes: tuple[Scope, ...]) -> str | None:
        """Return what a request that needs `scopes` should carry from the start; None while nothing is known."""
        wanted = scopes if len(scopes) == 1 else scope_rules.merge(scopes)
        login = await self._logins.login(wanted)
        if self._clock.monotonic() < self._denied.get(wanted, 0.0):
            raise login.denied(f"refused the credentials of {login.identity} a moment ago{login.remark}")
        ready = login.bearer()
        if ready is not None:
            return ready
        if isinstance(self._asked, _Realm):
            return await self._bearer(login, self._asked, self._widened.get(wanted, wanted))
        return login.basic() if self._asked == _BASIC else None

    async def beside(self, scopes: tuple[Scope, ...], log_in: LogIn) -> str | None:
        """Return what to carry to an API beside the registry's; None without user name and password.

        Only for a registry that is given them anyway: it has asked for them, or is its own token server. Raises
        AccessDenied for OAUTH where the password is no token.
        """
        if self._asked != _BASIC and not self.challenged.path:
            return None
        login = await self._logins.login(scope_rules.merge(scopes))
        pair = login.password_pair()
        if pair is None or log_in is LogIn.PASSWORD:
            return login.basic()
        if pair[0] != _OAUTH_USER:
            raise login.denied(f"its API takes an OAuth token, which {login.identity} has not")
        return login.bearer_of(pair[1])

    def can_answer(self, reply: Reply) -> bool:
        """Say whether a 401 holds a challenge that we know how to answer."""
        return challenges.choose(challenges.parse(reply.fields.all("WWW-Authenticate"))) is not None

    async def answer(self, reply: Reply, scopes: tuple[Scope, ...], sent: str | None) -> str:
        """Return what to carry after a 401 to a request that carried `sent`. Raises AccessDenied if nothing helps."""
        wanted = scope_rules.merge(scopes)
        if sent is not None:
            self.refused(sent)
        login = await self._logins.login(wanted)
        challenge = challenges.choose(challenges.parse(reply.fields.all("WWW-Authenticate")))
        if challenge is None:
            raise self._give_up(login, wanted, sent, "asks for a login without saying which")
        ready = login.bearer()
        if ready is not None and ready == sent:
            raise self._give_up(login, wanted, sent, "refused the token")
        if ready is not None:
            return ready
        if challenge.scheme == "basic":
            self.challenged = replace(self.challenged, basic=challenge.parameters.get("realm", ""))
            return self._basic(login, wanted, sent)
        realm = self._reach.realm(reply.target, challenge.parameters["realm"])
        self._asked = _Realm(realm, challenge.parameters.get("service", ""))
        if realm.origin == self._reach.origin:
            self.challenged = replace(self.challenged, path=realm.path, service=self._asked.service)
        widened = scope_rules.merge((*wanted, *scope_rules.parse(challenge.parameters.get("scope", ""))))
        if widened != wanted:
            _remember(self._widened, wanted, widened)
        return await self._bearer(login, self._asked, widened)

    def refused(self, sent: str) -> None:
        """Forget a token, or what a login is made of, that the registry did not take."""
        if sent.startswith(_BEARER):
            self._tokens.drop(sent.removeprefix(_BEARER))
        else:
            self._logins.refused()

    def forget(self) -> None:
        """Forget what came of the credentials so far: they are others now."""
        self.era += 1
        self._denied.clear()
        self._logins.forget()
        self._tokens.forget()

    def failed(self, scopes: tuple[Scope, ...], era: int) -> None:
        """Take note that a fresh login of that era did not help, so that the next few seconds do not repeat it."""
        if era == self.era:
            _remember(self._denied, scope_rules.merge(scopes), self._clock.monotonic() + _DENIED_FOR)

    def _basic(self, login: Login, wanted: tuple[Scope, ...], sent: str | None) -> str:
        self._asked = _BASIC
        basic = login.basic()
        if basic is None or basic == sent:
            what = "refused user name or password of" if sent else "asks for user name and password of"
            raise self._give_up(login, wanted, sent, f"{what} {login.identity}{login.remark}")
        return basic

    async def _bearer(self, login: Login, realm: _Realm, scopes: tuple[Scope, ...]) -> str:
        return login.bearer_of(await self._tokens.token(login, realm.target, realm.service, scopes))

    def _give_up(self, login: Login, wanted: tuple[Scope, ...], sent: str | None, problem: str) -> AccessDenied:
        if sent is not None:
            _remember(self._denied, wanted, self._clock.monotonic() + _DENIED_FOR)
        return login.denied(problem)


def _remember(memory: OrderedDict[tuple[Scope, ...], _V], key: tuple[Scope, ...], value: _V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
