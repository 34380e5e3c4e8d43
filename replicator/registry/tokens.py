"""Tokens of a token server: fetched once however many ask, renewed early, kept by what they are good for (A2-A6).

A token is kept under its realm, service, scopes and identity, and never used for anything wider or other.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode

import anyio

from replicator import strict_json
from replicator.clock import Clock
from replicator.errors import AccessDenied, Reason, RegistryError
from replicator.model import Operation
from replicator.registry import token_life
from replicator.registry.answers import Reply, failure, unexpected
from replicator.registry.http import Request
from replicator.registry.login import Login, Logins
from replicator.registry.origin import Target
from replicator.registry.scope import Scope, are_extra
from replicator.registry.transport import Transport

_TOKEN_BODY = 128 * 1024
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 86400.0
_CLIENT = "replicator"
_MOST_TOKENS = 1024
_MOST_REALMS = 16
_USED_OF_REST = 0.8
"""The part of the life left at the renewal for which the former token is still used: a request takes a moment too."""
_DENIED_FOR = 5.0
_BROKEN_FOR = 1.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
_WRONG_METHOD = frozenset({400, 401, 404, 405})


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token is good for, and whose it is."""

    realm: Target
    service: str
    scopes: tuple[Scope, ...]
    identity: str


@dataclass(slots=True)
class _Trouble:
    """The last failure, as long as it is handed to those who ask again."""

    error: RegistryError | None = None
    until: float = 0.0

    def check(self, now: float) -> None:
        if self.error is not None and now < self.until:
            raise _again(self.error)


@dataclass(slots=True)
class _Slot:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    trouble: _Trouble = field(default_factory=_Trouble)
    token: str = field(default="", repr=False)
    renew_at: float = 0.0
    ends_at: float = 0.0


@dataclass(slots=True)
class _Realm:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    trouble: _Trouble = field(default_factory=_Trouble)
    proven: bool = False


class Tokens:
    """The tokens of one registry.

    At most one request per key is in flight; the first of a realm goes alone, so that a wrong password is tried once
    and not once per repository. A failure is handed to those who waited and forgotten within 5 s. When the one that
    fetches is cancelled, the next in line takes over. A token that is being renewed, or was in vain, is used as long
    as it lives.
    """

    def __init__(self, logins: Logins, transport: Transport, clock: Clock) -> None:
        self._logins = logins
        self._transport = transport
        self._clock = clock
        self._slots: OrderedDict[TokenKey, _Slot] = OrderedDict()
        self._realms: OrderedDict[tuple[Target, str], _Realm] = OrderedDict()
        self._era = 0

    async def token(self, login: Login, realm: Target, service: str, scopes: tuple[Scope, ...]) -> str:
        """Return a token with life left. Raises AccessDenied for credentials refused, else RegistryError."""
        key = TokenKey(realm, service, scopes, login.identity)
        slot = self._slot(key)
        if slot.token and self._clock.monotonic() < (slot.ends_at if slot.lock.locked() else slot.renew_at):
            return slot.token
        server = self._realm(key)
        async with slot.lock:
            if slot.token and self._clock.monotonic() < slot.renew_at:
                return slot.token
            try:
                if not server.proven:
                    async with server.lock:
                        if not server.proven:
                            return await self._fetched(slot, server, key, login)
                return await self._fetched(slot, server, key, login)
            except RegistryError as error:
                if error.temporary and slot.token and self._clock.monotonic() < slot.ends_at:
                    return slot.token
                raise

    def drop(self, token: str) -> None:
        """Forget a token that a registry refused."""
        for slot in self._slots.values():
            if slot.token == token:
                slot.token = ""

    def forget(self) -> None:
        """Forget all tokens and all refusals, also what is still asked for: the credentials are others now."""
        self._era += 1
        for slot in self._slots.values():
            slot.token, slot.trouble = "", _Trouble()
        for server in self._realms.values():
            server.proven, server.trouble = False, _Trouble()

    def _slot(self, key: TokenKey) -> _Slot:
        slot = self._slots.setdefault(key, _Slot())
        self._slots.move_to_end(key)
        if len(self._slots) > _MOST_TOKENS:
            oldest = next((old for old, found in self._slots.items() if not found.lock.locked()), key)
            if oldest != key:
                del self._slots[oldest]
        return slot

    def _realm(self, key: TokenKey) -> _Realm:
        server = self._realms.setdefault((key.realm, key.service), _Realm())
        self._realms.move_to_end((key.realm, key.service))
        if len(self._realms) > _MOST_REALMS:
            self._realms.popitem(last=False)
        return server

    async def _fetched(self, slot: _Slot, server: _Realm, key: TokenKey, login: Login) -> str:
        server.trouble.check(self._clock.monotonic())
        slot.trouble.check(self._clock.monotonic())
        era = self._era
        try:
            token, life = await self._fetch(key, login)
        except RegistryError as error:
            if era == self._era:
                self._failed(slot, server, key, error)
            raise
        if era != self._era:
            return token  # of former credentials: for whoever asked with them
        slot.token = token
        rest = min(30.0, life / 10)
        slot.renew_at = self._clock.monotonic() + life - rest
        slot.ends_at = slot.renew_at + _USED_OF_REST * rest
        server.proven = True
        return token

    def _failed(self, slot: _Slot, server: _Realm, key: TokenKey, error: RegistryError) -> None:
        seconds = _BROKEN_FOR if error.temporary else _DENIED_FOR
        trouble = _Trouble(error, self._clock.monotonic() + seconds)
        slot.trouble = trouble
        if not error.temporary:
            slot.token = ""
        # A 401 is about the password, unless a right is asked for that it need not have; a 403 may be about this
        # scope alone.
        is_login = error.status == HTTPStatus.UNAUTHORIZED and not (server.proven and are_extra(key.scopes))
        if is_login:
            server.proven = False
            self._logins.refused()
        if is_login or (error.temporary and not server.proven):
            server.trouble = trouble

    async def _fetch(self, key: TokenKey, login: Login) -> tuple[str, float]:
        identity_token = login.identity_token()
        pair = login.password_pair()
        if identity_token is not None:
            reply = await self._post(key, {"grant_type": "refresh_token", "refresh_token": identity_token})
            if reply.status in _WRONG_METHOD and pair is not None:
                reply = await self._get(key, login)
            return self._read(reply, login)
        reply = await self._get(key, login)
        if reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} and pair is not None:
            reply = await self._post(key, {"grant_type": "password", "username": pair[0], "password": pair[1]})
        return self._read(reply, login)

    async def _get(self, key: TokenKey, login: Login) -> Reply:
        query = [("service", key.service)] if key.service else []
        query += [("scope", str(scope)) for scope in key.scopes]
        query.append(("client_id", _CLIENT))
        basic = login.basic()
        headers = {"Accept": "application/json"} | ({} if basic is None else {"Authorization": basic})
        return await self._ask(
            Request(
                operation=Operation.TOKEN,
                method="GET",
                target=key.realm.with_query(urlencode(query)),
                headers=headers,
            )
        )

    async def _post(self, key: TokenKey, grant: dict[str, str]) -> Reply:
        form = {
            **grant,
            "service": key.service,
            "client_id": _CLIENT,
            "scope": " ".join(str(scope) for scope in key.scopes),
        }
        return await self._ask(
            Request(
                operation=Operation.TOKEN,
                method="POST",
                target=key.realm,
                headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode("ascii"),
            )
        )

    async def _ask(self, request: Request) -> Reply:
        answer = await self._transport.send(request)
        try:
            return await answer.reply(_TOKEN_BODY)
        finally:
            answer.close()

    def _read(self, reply: Reply, login: Login) -> tuple[str, float]:
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise AccessDenied(
                f"{login.registry}: the token server {reply.target} refused the credentials of "
                f"{login.identity} ({reply.status}){login.remark}",
                registry=login.registry,
                reason=Reason.AUTH,
                status=reply.status,
            )
        if reply.status != HTTPStatus.OK:
            # Redirects too: credentials do not travel.
            raise failure(login.registry, Operation.TOKEN, reply, now=self._clock.now())
        try:
            document = strict_json.loads(reply.body, limit=_TOKEN_BODY)
        except strict_json.Invalid as error:
            raise unexpected(login.registry, Operation.TOKEN, reply, str(error)) from error
        fields = document if isinstance(document, dict) else {}
        token = fields.get("token") or fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise unexpected(login.registry, Operation.TOKEN, reply, "without a token that can be used")
        return token, _life(fields.get("expires_in", token_life.told_by(token)))


def _life(expires_in: object) -> float:
    # The server's clock is not ours, so `issued_at` is not looked at: the life begins when the answer arrives.
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return _SHORTEST_LIFE
    return float(min(_LONGEST_LIFE, max(_SHORTEST_LIFE, expires_in)))  # an integer may be too large for a float


def _again(error: RegistryError) -> RegistryError:
    """Return an error equal to one that was raised elsewhere before, without its traceback."""
    return type(error)(
        str(error),
        registry=error.registry,
        reason=error.reason,
        temporary=error.temporary,
        retry_after=error.retry_after,
        status=error.status,
        code=error.code,
    )
