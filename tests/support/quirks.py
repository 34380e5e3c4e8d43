"""What registries in the field do differently: one quirk at a time before the permissive registry.

Each is named after the row of the field's list that it comes from. `acted` counts the requests it had a hand in, so
that a test can tell a quirk that was borne from one that was never met.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.support.endpoints import Endpoint
from tests.support.permissive_uploads import refusal

MIB = 1024 * 1024
_HTML = "<html><body><h1>no</h1></body></html>"
_API = {"Docker-Distribution-Api-Version": "registry/2.0"}


@dataclass(slots=True)
class Asked:
    """A request, what it asks for, and how many bytes the upload that it names has so far (None: it names none)."""

    request: web.Request
    endpoint: Endpoint
    upload: Path

    @property
    def length(self) -> int:
        """Bytes of its body."""
        return self.request.content_length or 0

    @property
    def held(self) -> int:
        """Bytes of the upload."""
        return self.upload.stat().st_size if self.upload.is_file() else 0

    def to(self, method: str, kind: str = "upload") -> bool:
        """Say whether the request is this method on this kind of endpoint."""
        return (self.request.method, self.endpoint.kind) == (method, kind)


Before = Callable[[Asked], web.StreamResponse | None]
After = Callable[[Asked, web.StreamResponse], web.StreamResponse]


@dataclass(slots=True, kw_only=True)
class Quirk:
    """`before` may answer in the registry's place, `after` changes its answer; `prefix` is cut off paths."""

    before: Before = lambda _: None
    after: After = lambda _, answer: answer
    prefix: str = ""
    acted: int = field(default=0, init=False)

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
            return web.Response(status=status, text=_HTML, content_type="text/html")
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

    return Quirk(before=before, after=after, prefix=prefix)


def _with_body(asked: Asked) -> bool:
    return asked.to("PUT") and asked.length > 0


def _longer(limit: int, *methods: str) -> Callable[[Asked], bool]:
    return lambda asked: any(asked.to(method) for method in methods) and asked.length > limit


def _answers(method: str, kind: str, change: Callable[[Asked, web.StreamResponse], None]) -> Quirk:
    """Return the quirk that changes the good answers to some requests."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        if asked.to(method, kind) and answer.status < 400:
            change(asked, answer)
        return answer

    return Quirk(after=after)


def _status(code: int) -> Callable[[Asked, web.StreamResponse], None]:
    return lambda _, answer: answer.set_status(code)


def _drops(*names: str) -> Callable[[Asked, web.StreamResponse], None]:
    def drop(_: Asked, answer: web.StreamResponse) -> None:
        for name in names:
            answer.headers.popall(name, None)

    return drop


def _sets(**headers: str) -> Callable[[Asked, web.StreamResponse], None]:
    return lambda _, answer: answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})


def _moves(place: Callable[[Asked, str], str]) -> Quirk:
    """Return the quirk that names another Location for uploads, which means the same."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        location = answer.headers.get("Location")
        if asked.endpoint.kind == "upload" and location is not None and answer.status != 201:
            answer.headers["Location"] = place(asked, location)
        return answer

    return Quirk(after=after)


def needs_state() -> Quirk:
    """Return Distribution's: the `_state` of the Location named last, which the client must hand back as it is."""

    def stale(asked: Asked) -> bool:
        if asked.endpoint.kind != "upload" or not asked.endpoint.reference or asked.request.method == "DELETE":
            return False
        return asked.request.query.get("_state") != f"a/b={asked.held}"

    return both(
        refuses(404, stale, code="BLOB_UPLOAD_INVALID"),
        refuses(405, _with_body),
        _answers("POST", "upload", _sets(X_Checked="yes")),
    )


def quay() -> Quirk:
    """Return Quay's: odd ranges, a status without Location, and a Location that loses its query."""
    return both(
        refuses(405, _with_body),
        _answers("POST", "upload", _sets(Range="bytes=0--1")),
        _answers("GET", "upload", lambda asked, answer: _sets(Range=f"0-{asked.held}")(asked, answer)),
        _answers("GET", "upload", _drops("Location")),
        _answers(
            "PATCH",
            "upload",
            lambda asked, answer: _sets(Location=answer.headers["Location"].partition("?")[0])(asked, answer),
        ),
    )


def artifactory() -> Quirk:
    """Return Artifactory's: no Accept on writes, PATCH wanted, errors with a status in place of a code."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        del asked
        if answer.status < 400:
            return answer
        return web.json_response({"errors": [{"status": answer.status, "message": "no"}]}, status=answer.status)

    accepts = refuses(406, lambda asked: asked.request.method == "PUT" and "Accept" in asked.request.headers)
    return both(accepts, refuses(405, _with_body), Quirk(after=after))


def html_errors() -> Quirk:
    """Return Nexus's: every error is a page."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        del asked
        if answer.status < 400:
            return answer
        return web.Response(status=answer.status, text=_HTML, content_type="text/html", headers=_API)

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


def resets(limit: int) -> Quirk:
    """Return ACR's: a PUT that is too long ends in a reset."""

    def before(asked: Asked) -> web.StreamResponse | None:
        if not _longer(limit, "PUT")(asked) or asked.request.transport is None:
            return None
        asked.request.transport.abort()
        return web.Response(status=500)

    return Quirk(before=before)


def chunk_min(least: int) -> Quirk:
    """Return the quirk of a least length of all chunks but the last, where neither PUT nor one stream is taken."""
    ended: set[str] = set()

    def goes_on_after_a_short_one(asked: Asked) -> bool:
        upload = asked.endpoint.reference
        if not asked.to("PATCH") or upload in ended:
            return asked.to("PATCH")
        if asked.length < least:
            ended.add(upload)
        return False

    return both(
        refuses(405, _with_body),
        refuses(413, _longer(least + MIB, "PATCH")),
        refuses(416, goes_on_after_a_short_one, code="BLOB_UPLOAD_INVALID"),
        _answers("POST", "upload", lambda _, answer: answer.headers.update({"OCI-Chunk-Min-Length": str(least)})),
    )


_UNDESCRIBED = ("Docker-Content-Digest", "Content-Type", "Content-Length")

REPLICA_QUIRKS: dict[str, Callable[[], Quirk]] = {
    "distribution: _state as named last": needs_state,
    "quay: odd ranges, PATCH without query": quay,
    "ghcr: PATCH above 4 MiB is 416": lambda: both(
        refuses(413, _longer(4 * MIB, "PUT")), refuses(416, _longer(4 * MIB, "PATCH"))
    ),
    "ecr: PATCH is 201 with a frozen range": lambda: both(
        refuses(405, _with_body),
        _answers("PATCH", "upload", _status(201)),
        _answers("PATCH", "upload", _sets(Range="0-0")),
    ),
    "gar: no chunks": lambda: both(
        refuses(413, _longer(4 * MIB, "PUT")),
        refuses(400, lambda asked: asked.to("PATCH") and "Content-Range" in asked.request.headers),
    ),
    "acr: long bodies are 413": lambda: refuses(413, _longer(4 * MIB, "PUT", "PATCH"), code="SIZE_INVALID"),
    "acr: a long PUT is reset": lambda: resets(4 * MIB),
    "artifactory: PATCH, no Accept, no codes": artifactory,
    "nexus: errors are pages": html_errors,
    "nexus: uploads at another prefix": lambda: both(
        _moves(lambda _, location: f"/repository/hosted{location}"), Quirk(prefix="/repository/hosted")
    ),
    "gitea: relative locations": lambda: _moves(lambda _, location: location.rpartition("/")[2]),
    "proxy: locations without the port": lambda: _moves(lambda _, location: f"http://127.0.0.1{location}"),
    "proxy: absolute locations": lambda: _moves(lambda asked, location: f"http://{asked.request.host}{location}"),
    "nginx: 413 is a page": lambda: refuses(413, _longer(5 * MIB, "PUT", "PATCH"), html=True),
    "no DELETE, no PUT with a body": lambda: both(
        refuses(405, _with_body), refuses(405, lambda asked: asked.to("DELETE"))
    ),
    "chunks of 5 MiB at least": lambda: chunk_min(5 * MIB),
    "a blob is 202": lambda: _answers("PUT", "upload", _status(202)),
    "a blob is 204": lambda: _answers("PUT", "upload", _status(204)),
    "a manifest is 202": lambda: _answers("PUT", "manifest", _status(202)),
    "a 201 says no digest": lambda: both(
        _answers("PUT", "upload", _drops("Docker-Content-Digest")),
        _answers("PUT", "manifest", _drops("Docker-Content-Digest")),
    ),
    "the first 201 of a blob is lost": lambda: once(lambda asked: asked.to("PUT"), before=False),
    "the first 201 of a manifest is lost": lambda: once(lambda asked: asked.to("PUT", "manifest"), before=False),
    "the first upload is cut": lambda: once(_with_body, before=True),
    "HEAD is 405": lambda: refuses(405, lambda asked: asked.request.method == "HEAD"),
    "HEAD of a manifest says nothing": lambda: _answers("HEAD", "manifest", _drops(*_UNDESCRIBED)),
}
"""What a replica may do, by name."""

SOURCE_QUIRKS: dict[str, Callable[[], Quirk]] = {
    "a manifest has no digest": lambda: _answers("GET", "manifest", _drops("Docker-Content-Digest")),
    "a manifest's type has a parameter": lambda: _answers(
        "GET",
        "manifest",
        lambda _, answer: answer.headers.update({"Content-Type": f"{answer.headers['Content-Type']}; charset=utf-8"}),
    ),
    "a blob says no range": lambda: _answers("GET", "blob", _drops("Accept-Ranges")),
}
"""What a primary may do, by name."""
