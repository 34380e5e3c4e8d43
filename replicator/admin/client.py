"""The client of the admin API, for commands that ask the running daemon."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import aiohttp

from replicator.admin.documents import (
    ChangesDocument,
    IgnoreDocument,
    LaneDocument,
    RetryDocument,
    StatusDocument,
    SyncDocument,
    WaitDocument,
)
from replicator.admin.explain_documents import ExplainDocument
from replicator.admin.status import StatusQuery
from replicator.errors import ReplicatorError
from replicator.model import shown
from replicator.settings.listening import reached_at
from replicator.settings.secrets import Secret
from replicator.strict_json import Invalid, loads

_ANSWER_MAX = 64 * 1024 * 1024
_PATIENCE = 10.0
"""Seconds an answer may take beyond what the question itself may."""
_LOOKING = 60.0
"""Seconds that an answer may take for which registries are asked."""
_WAIT_STATUSES = frozenset({200, 404, 408, 409, 502, 503})


class NoDaemon(ReplicatorError):
    """Nothing listens at the admin address."""


class ApiFailed(ReplicatorError):
    """The daemon, or something in its place, gave no useful answer; the message says what."""


class AdminClient:
    """Questions to the daemon. Each raises NoDaemon or ApiFailed; the token's SettingsError passes through."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: Secret | None) -> None:
        self._session = session
        self._base = base
        self._token = token

    async def status(self, query: StatusQuery) -> StatusDocument:
        """Return the status, with rows where `query` lists some."""
        words = [(str(query.listing), "1"), ("limit", str(query.limit))] if query.listing else []
        words += [("after", str(query.after))] if query.listing and query.after else []
        words += [("replica", query.replica)] if query.replica else []
        status, document = await self._get("/api/v1/status", words, _PATIENCE)
        if status != HTTPStatus.OK or "replicas" not in document:
            raise self._failed(status, document)
        return cast("StatusDocument", document)

    async def wait(self, ref: str, replicas: Sequence[str], within: float) -> WaitDocument:
        """Return how the wait ended; waits at most `within` seconds."""
        query = [("ref", ref), ("timeout", f"{within:g}"), *(("replica", name) for name in replicas)]
        status, document = await self._get("/api/v1/wait", query, within + _PATIENCE)
        if status not in _WAIT_STATUSES or "complete" not in document:
            raise self._failed(status, document)
        return cast("WaitDocument", document)

    async def explain(self, ref: str, replicas: Sequence[str]) -> ExplainDocument:
        """Return where a reference is; no `replicas`: on all of them."""
        query = [("ref", ref), *(("replica", name) for name in replicas)]
        status, document = await self._get("/api/v1/explain", query, _LOOKING)
        if status != HTTPStatus.OK or "primary" not in document:
            raise self._failed(status, document)
        return cast("ExplainDocument", document)

    async def pause(self, replica: str) -> LaneDocument:
        """Have a lane rest."""
        return cast("LaneDocument", await self._order(f"/api/v1/lanes/{replica}/pause", "paused_since"))

    async def resume(self, replica: str) -> LaneDocument:
        """Have a lane work again."""
        return cast("LaneDocument", await self._order(f"/api/v1/lanes/{replica}/resume", "paused_since"))

    async def resume_deletes(self, replica: str) -> LaneDocument:
        """Let the deletes of a lane go on that wait for an operator."""
        path = f"/api/v1/lanes/{replica}/resume"
        return cast("LaneDocument", await self._order(path, "paused_since", {"deletes": True}))

    async def retry(self, ref: str | None, replicas: Sequence[str]) -> RetryDocument:
        """Have what failed tried again now; `ref` None: all of it, no `replicas`: on all of them."""
        body = {"replicas": list(replicas)} | ({} if ref is None else {"ref": ref})
        return cast("RetryDocument", await self._order("/api/v1/retry", "due", body))

    async def ignore(self, ref: str, replicas: Sequence[str], *, undo: bool) -> IgnoreDocument:
        """Have a reference ignored, or taken back; no `replicas`: on all of them."""
        body = {"ref": ref, "replicas": list(replicas), "undo": undo}
        return cast("IgnoreDocument", await self._order("/api/v1/ignore", "undo", body))

    async def sync(self, repositories: Sequence[str], replicas: Sequence[str]) -> SyncDocument:
        """Have a sync begun."""
        body = {"repositories": list(repositories), "replicas": list(replicas)}
        return cast("SyncDocument", await self._order("/api/v1/sync", "ended", body))

    async def sync_progress(self, identity: str) -> SyncDocument:
        """Return how far a sync is."""
        status, document = await self._get(f"/api/v1/sync/{quote(identity, safe='')}", (), _PATIENCE)
        if status != HTTPStatus.OK or "ended" not in document:
            raise self._failed(status, document)
        return cast("SyncDocument", document)

    async def repair(
        self, ref: str, replica: str, damaged: Sequence[str], digest: str | None = None
    ) -> ChangesDocument:
        """Have a reference brought anew to a replica found to be wrong; the primary names `digest`."""
        body = {"ref": ref, "replicas": [replica], "damaged": list(damaged), "digest": digest}
        status, document = await self._ask("POST", "/api/v1/changes", _PATIENCE, json=body)
        if status != HTTPStatus.ACCEPTED or "changes" not in document:
            raise self._failed(status, document)
        return cast("ChangesDocument", document)

    async def _order(self, path: str, expected: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        status, document = await self._ask("POST", path, _PATIENCE, json=body or {})
        if status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED} or expected not in document:
            raise self._failed(status, document)
        return document

    async def _get(
        self, path: str, query: Sequence[tuple[str, str]], seconds: float
    ) -> tuple[int, Mapping[str, Any]]:
        return await self._ask("GET", path, seconds, params=query)

    async def _ask(self, method: str, path: str, seconds: float, **more: Any) -> tuple[int, Mapping[str, Any]]:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token is not None else {}
        try:
            async with self._session.request(
                method,
                f"{self._base}{path}",
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
                **more,
            ) as response:
                status = response.status
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _ANSWER_MAX:
                        break
        except aiohttp.ClientConnectorError as error:
            raise NoDaemon(f"no daemon answers at {self._base}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiFailed(f"{self._base}: {type(error).__name__}") from error
        try:
            document = loads(bytes(body), limit=_ANSWER_MAX)
        except Invalid as error:
            raise ApiFailed(f"{self._base}: HTTP {status}, and not the answer of replicator") from error
        if not isinstance(document, dict):
            raise ApiFailed(f"{self._base}: HTTP {status}, and not the answer of replicator")
        return status, document

    def _failed(self, status: int, document: Mapping[str, Any]) -> ApiFailed:
        error = document.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return ApiFailed(f"{self._base}: HTTP {status}" + (f": {shown(str(message), 500)}" if message else ""))


@asynccontextmanager
async def open_client(host: str, port: int, token: Secret | None) -> AsyncIterator[AdminClient]:
    """Yield a client of the daemon whose admin listener is bound to `host`:`port`."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield AdminClient(session, f"http://{reached_at(host, port)}", token)
