"""What a registry does differently: one quirk at a time before the permissive registry.

`acted` counts the requests it had a hand in, so that a test can tell a quirk that was borne from one that was never
met. Those of registries in the field are in `field_quirks`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.support.endpoints import Endpoint
from tests.support.permissive_storage import Storage
from tests.support.permissive_uploads import refusal

PAGE = "<html><body><h1>no</h1></body></html>"


@dataclass(slots=True)
class Asked:
    """A request, what it asks for, and what the registry holds."""

    request: web.Request
    endpoint: Endpoint
    storage: Storage

    @property
    def length(self) -> int:
        """Bytes of its body."""
        return self.request.content_length or 0

    @property
    def upload(self) -> Path:
        """Where the bytes are of the upload that it names."""
        return self.storage.upload_file(self.endpoint.reference)

    @property
    def held(self) -> int:
        """Bytes of the upload so far."""
        return self.upload.stat().st_size if self.upload.is_file() else 0

    def to(self, method: str, kind: str = "upload") -> bool:
        """Say whether the request is this method on this kind of endpoint."""
        return (self.request.method, self.endpoint.kind) == (method, kind)


Before = Callable[[Asked], web.StreamResponse | None]
After = Callable[[Asked, web.StreamResponse], web.StreamResponse]
Renames = Callable[[Endpoint, Storage], Endpoint]


@dataclass(slots=True, kw_only=True)
class Quirk:
    """`before` may answer in the registry's place, `after` changes its answer.

    `renames` takes a request for one to something else; `prefix` is cut off paths.
    """

    before: Before = lambda _: None
    after: After = lambda _, answer: answer
    renames: Renames = lambda endpoint, _: endpoint
    prefix: str = ""
    acted: int = field(default=0, init=False)

    def understands(self, endpoint: Endpoint, storage: Storage) -> Endpoint:
        """Return what a request is taken for."""
        taken = self.renames(endpoint, storage)
        self.acted += taken != endpoint
        return taken

    def answers(self, asked: Asked) -> web.StreamResponse | None:
        """Return what is answered in the registry's place."""
        answer = self.before(asked)
        self.acted += answer is not None
        return answer

    def changes(self, asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        """Return the answer as the client gets it."""
        before = (answer.status, dict(answer.headers))
        changed = self.after(asked, answer)
        self.acted += changed is not answer or before != (changed.status, dict(changed.headers))
        return changed


def refuses(status: int, when: Callable[[Asked], bool], *, code: str = "UNSUPPORTED", html: bool = False) -> Quirk:
    """Return the quirk that refuses some requests."""

    def before(asked: Asked) -> web.StreamResponse | None:
        if not when(asked):
            return None
        if html:
            return web.Response(status=status, text=PAGE, content_type="text/html")
        return refusal(status, code, "refused")

    return Quirk(before=before)


def both(*quirks: Quirk) -> Quirk:
    """Return several quirks as one."""

    def before(asked: Asked) -> web.StreamResponse | None:
        return next((answer for one in quirks if (answer := one.before(asked)) is not None), None)

    (prefix,) = {one.prefix for one in quirks} - {""} or {""}

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        for one in quirks:
            answer = one.after(asked, answer)
        return answer

    def renames(endpoint: Endpoint, storage: Storage) -> Endpoint:
        for one in quirks:
            endpoint = one.renames(endpoint, storage)
        return endpoint

    return Quirk(before=before, after=after, renames=renames, prefix=prefix)


def with_body(asked: Asked) -> bool:
    """Say whether it is a PUT that brings bytes of a blob."""
    return asked.to("PUT") and asked.length > 0


def longer(limit: int, *methods: str) -> Callable[[Asked], bool]:
    """Return the test for uploads by `methods` of more bytes than `limit`."""
    return lambda asked: any(asked.to(method) for method in methods) and asked.length > limit


def changes_answers(method: str, kind: str, change: Callable[[Asked, web.StreamResponse], None]) -> Quirk:
    """Return the quirk that changes the good answers to some requests."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        if asked.to(method, kind) and answer.status < 400:
            change(asked, answer)
        return answer

    return Quirk(after=after)


def with_status(code: int) -> Callable[[Asked, web.StreamResponse], None]:
    """Return the change of an answer's status."""
    return lambda _, answer: answer.set_status(code)


def drops_fields(*names: str) -> Callable[[Asked, web.StreamResponse], None]:
    """Return the change that takes header fields away."""

    def drop(_: Asked, answer: web.StreamResponse) -> None:
        for name in names:
            answer.headers.popall(name, None)

    return drop


def sets_fields(**headers: str) -> Callable[[Asked, web.StreamResponse], None]:
    """Return the change that gives header fields, named with _ for -, other values."""
    return lambda _, answer: answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})


def moves(place: Callable[[Asked, str], str]) -> Quirk:
    """Return the quirk that names another Location for uploads, which means the same."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        location = answer.headers.get("Location")
        if asked.endpoint.kind == "upload" and location is not None and answer.status != 201:
            answer.headers["Location"] = place(asked, location)
        return answer

    return Quirk(after=after)


def once(then: Callable[[Asked], bool], *, before: bool) -> Quirk:
    """Return the quirk that breaks the connection of the first such request, or of its answer."""
    broken: list[Asked] = []

    def breaks(asked: Asked) -> bool:
        if broken or not then(asked) or asked.request.transport is None:
            return False
        broken.append(asked)
        asked.request.transport.abort()
        return True

    if before:
        return Quirk(before=lambda asked: web.Response(status=500) if breaks(asked) else None)
    return Quirk(after=lambda asked, answer: web.Response(status=500) if breaks(asked) else answer)
