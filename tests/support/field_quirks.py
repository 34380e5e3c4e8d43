"""What registries in the field do differently, each named after the registry that it was seen at."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from aiohttp import web

from replicator.errors import NameInvalid
from replicator.model import Digest
from tests.support.endpoints import Endpoint
from tests.support.permissive_storage import Storage
from tests.support.permissive_uploads import refusal
from tests.support.quirks import (
    PAGE,
    Asked,
    Quirk,
    both,
    changes_answers,
    drops_fields,
    longer,
    moves,
    once,
    refuses,
    sets_fields,
    with_body,
    with_status,
)

MIB = 1024 * 1024
_API = {"Docker-Distribution-Api-Version": "registry/2.0"}


def needs_state() -> Quirk:
    """Return Distribution's: the `_state` of the Location named last, which the client must hand back as it is."""

    def stale(asked: Asked) -> bool:
        if asked.endpoint.kind != "upload" or not asked.endpoint.reference or asked.request.method == "DELETE":
            return False
        return asked.request.query.get("_state") != f"a/b={asked.held}"

    return both(
        refuses(404, stale, code="BLOB_UPLOAD_INVALID"),
        refuses(405, with_body),
        changes_answers("POST", "upload", sets_fields(X_Checked="yes")),
    )


def quay() -> Quirk:
    """Return Quay's: odd ranges, a status without Location, and a Location that loses its query."""
    return both(
        refuses(405, with_body),
        changes_answers("POST", "upload", sets_fields(Range="bytes=0--1")),
        changes_answers("GET", "upload", lambda asked, answer: sets_fields(Range=f"0-{asked.held}")(asked, answer)),
        changes_answers("GET", "upload", drops_fields("Location")),
        changes_answers(
            "PATCH",
            "upload",
            lambda asked, answer: sets_fields(Location=answer.headers["Location"].partition("?")[0])(asked, answer),
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
    return both(accepts, refuses(405, with_body), Quirk(after=after))


def html_errors() -> Quirk:
    """Return Nexus's: every error is a page."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        del asked
        if answer.status < 400:
            return answer
        return web.Response(status=answer.status, text=PAGE, content_type="text/html", headers=_API)

    return Quirk(after=after)


def resets(limit: int) -> Quirk:
    """Return ACR's: a PUT that is too long ends in a reset."""

    def before(asked: Asked) -> web.StreamResponse | None:
        if not longer(limit, "PUT")(asked) or asked.request.transport is None:
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
        refuses(405, with_body),
        refuses(413, longer(least + MIB, "PATCH")),
        refuses(416, goes_on_after_a_short_one, code="BLOB_UPLOAD_INVALID"),
        changes_answers(
            "POST", "upload", lambda _, answer: answer.headers.update({"OCI-Chunk-Min-Length": str(least)})
        ),
    )


def replaces() -> Quirk:
    """Return GHCR's: the bytes of a PATCH take the place of what came before."""

    def before(asked: Asked) -> None:
        if asked.to("PATCH") and asked.held:
            asked.upload.write_bytes(b"")

    return Quirk(before=before)


def gitlab() -> Quirk:
    """Return GitLab's: the fallback tag of a digest is the digest itself, where there is such a manifest."""

    def renames(endpoint: Endpoint, storage: Storage) -> Endpoint:
        if endpoint.kind != "manifest" or not endpoint.reference.startswith("sha256-"):
            return endpoint
        name = endpoint.reference.replace("-", ":", 1)
        try:
            Digest.parse(name)
        except NameInvalid:
            return endpoint
        return endpoint if storage.manifest(endpoint.repository, name) is None else replace(endpoint, reference=name)

    return Quirk(renames=renames)


def harbor_withholds() -> Quirk:
    """Return Harbor's: a policy that lets nobody read the manifests that it has, as their images are vulnerable."""

    def is_withheld(asked: Asked) -> bool:
        if not (asked.to("HEAD", "manifest") or asked.to("GET", "manifest")):
            return False
        return asked.storage.manifest(asked.endpoint.repository, asked.endpoint.reference) is not None

    return refuses(412, is_withheld, code="PROJECTPOLICYVIOLATION")


def harbor_immutable() -> Quirk:
    """Return Harbor's: a tag that is there stays what it is, by a rule of its project."""
    return refuses(
        412,
        lambda asked: (
            asked.to("PUT", "manifest")
            and asked.storage.manifest(asked.endpoint.repository, asked.endpoint.reference) is not None
        ),
        code="PRECONDITION",
    )


def harbor_lists() -> Quirk:
    """Return Harbor's: a list cannot be gone on with behind any name."""
    return refuses(400, lambda asked: asked.endpoint.kind in {"tags", "catalog"} and "last" in asked.request.query)


def zot_chunks() -> Quirk:
    """Return zot's: a chunk that goes wrong ends its session. The second of each of two uploads does so."""
    broken: set[str] = set()

    def before(asked: Asked) -> web.StreamResponse | None:
        if not asked.to("PATCH") or not asked.held or len(broken) == 2:
            return None
        broken.add(asked.endpoint.reference)
        asked.upload.unlink()
        return refusal(500, "UNKNOWN", "the chunk went wrong")

    return both(refuses(405, with_body), refuses(413, longer(4 * MIB, "PATCH")), Quirk(before=before))


def zot_limit(most: int) -> Quirk:
    """Return zot's: no more than so many uploads at a time, and no word for how long to wait. Twice, then no more."""
    refused: list[Asked] = []

    def before(asked: Asked) -> web.StreamResponse | None:
        if not asked.to("POST") or len(refused) == 2 or len(list(asked.upload.parent.iterdir())) < most:
            return None
        refused.append(asked)
        return refusal(429, "TOOMANYREQUESTS", "too many")

    return Quirk(before=before)


def pages_of(most: int) -> Quirk:
    """Return Distribution's: more names of one page than so many are not given but refused."""
    return refuses(
        400,
        lambda asked: asked.endpoint.kind in {"tags", "catalog"} and int(asked.request.query.get("n", 0)) > most,
        code="PAGINATION_NUMBER_INVALID",
    )


def limits_once(method: str, kind: str, wish: int, length: int | None = None) -> Quirk:
    """Return the quirk that refuses the first such request and wants to be left alone for `wish` seconds.

    `length`: only one with so many bytes.
    """
    refused: list[Asked] = []

    def before(asked: Asked) -> web.StreamResponse | None:
        if refused or not asked.to(method, kind) or length not in {None, asked.length}:
            return None
        refused.append(asked)
        answer = refusal(429, "TOOMANYREQUESTS", "later")
        answer.headers["Retry-After"] = str(wish)
        return answer

    return Quirk(before=before)


def cuts_a_read() -> Quirk:
    """Return the quirk that cuts the first read of a blob of a MiB or more, halfway."""
    cut: list[Asked] = []

    async def half(asked: Asked, data: bytes) -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        if asked.request.transport is not None:
            asked.request.transport.close()

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        if cut or not asked.to("GET", "blob") or answer.status != 200:
            return answer
        data = asked.storage.blob_file(Digest.parse(asked.endpoint.reference)).read_bytes()
        if len(data) < MIB:
            return answer
        cut.append(asked)
        return web.Response(body=half(asked, data), headers={**answer.headers, "Content-Length": str(len(data))})

    return Quirk(after=after)


def knows_no_ranges() -> Quirk:
    """Return the quirk that answers 200 and the whole blob to those who ask for some of it."""

    def after(asked: Asked, answer: web.StreamResponse) -> web.StreamResponse:
        if not asked.to("GET", "blob") or "Range" not in asked.request.headers or answer.status >= 400:
            return answer
        data = asked.storage.blob_file(Digest.parse(asked.endpoint.reference)).read_bytes()
        return web.Response(body=data, headers=answer.headers)

    return Quirk(after=after)


_UNDESCRIBED = ("Docker-Content-Digest", "Content-Type", "Content-Length")

REPLICA_QUIRKS: dict[str, Callable[[], Quirk]] = {
    "distribution: _state as named last": needs_state,
    "quay: odd ranges, PATCH without query": quay,
    "ghcr: PATCH above 4 MiB is 416": lambda: both(
        refuses(413, longer(4 * MIB, "PUT")), refuses(416, longer(4 * MIB, "PATCH"))
    ),
    "ghcr: a PATCH replaces what came before": lambda: both(refuses(413, longer(4 * MIB, "PUT")), replaces()),
    "ghcr: a second PATCH is 416": lambda: both(
        refuses(405, with_body), refuses(416, lambda asked: asked.to("PATCH") and asked.held > 0)
    ),
    "ecr: PATCH is 201 with a frozen range": lambda: both(
        refuses(405, with_body),
        changes_answers("PATCH", "upload", with_status(201)),
        changes_answers("PATCH", "upload", sets_fields(Range="0-0")),
    ),
    "gar: no chunks": lambda: both(
        refuses(413, longer(4 * MIB, "PUT")),
        refuses(400, lambda asked: asked.to("PATCH") and "Content-Range" in asked.request.headers),
    ),
    "acr: long bodies are 413": lambda: refuses(413, longer(4 * MIB, "PUT", "PATCH"), code="SIZE_INVALID"),
    "acr: a long PUT is reset": lambda: resets(4 * MIB),
    "artifactory: PATCH, no Accept, no codes": artifactory,
    "nexus: errors are pages": html_errors,
    "nexus: uploads at another prefix": lambda: both(
        moves(lambda _, location: f"/repository/hosted{location}"), Quirk(prefix="/repository/hosted")
    ),
    "gitea: relative locations": lambda: moves(lambda _, location: location.rpartition("/")[2]),
    "gitea: only the first write is a stream": lambda: both(
        refuses(413, longer(4 * MIB, "PUT", "PATCH"), html=True),
        refuses(
            400,
            lambda asked: asked.to("PATCH") and asked.held > 0 and "Content-Range" not in asked.request.headers,
            code="BLOB_UPLOAD_INVALID",
        ),
    ),
    "distribution: a page of more than 2 is 400": lambda: pages_of(2),
    "zot: a chunk that goes wrong ends the session": zot_chunks,
    "zot: 429 beyond two uploads": lambda: zot_limit(2),
    "proxy: locations without the port": lambda: moves(lambda _, location: f"http://127.0.0.1{location}"),
    "proxy: absolute locations": lambda: moves(lambda asked, location: f"http://{asked.request.host}{location}"),
    "nginx: 413 is a page": lambda: refuses(413, longer(5 * MIB, "PUT", "PATCH"), html=True),
    "no DELETE, no PUT with a body": lambda: both(
        refuses(405, with_body), refuses(405, lambda asked: asked.to("DELETE"))
    ),
    "chunks of 5 MiB at least": lambda: chunk_min(5 * MIB),
    "a blob is 202": lambda: changes_answers("PUT", "upload", with_status(202)),
    "a blob is 204": lambda: changes_answers("PUT", "upload", with_status(204)),
    "a manifest is 202": lambda: changes_answers("PUT", "manifest", with_status(202)),
    "a 201 says no digest": lambda: both(
        changes_answers("PUT", "upload", drops_fields("Docker-Content-Digest")),
        changes_answers("PUT", "manifest", drops_fields("Docker-Content-Digest")),
    ),
    "the first 201 of a blob is lost": lambda: once(lambda asked: asked.to("PUT"), before=False),
    "the first 201 of a manifest is lost": lambda: once(lambda asked: asked.to("PUT", "manifest"), before=False),
    "the first upload is cut": lambda: once(with_body, before=True),
    "HEAD is 405": lambda: refuses(405, lambda asked: asked.request.method == "HEAD"),
    "HEAD of a manifest says nothing": lambda: changes_answers("HEAD", "manifest", drops_fields(*_UNDESCRIBED)),
}
"""What a replica may do, by name."""

SOURCE_QUIRKS: dict[str, Callable[[], Quirk]] = {
    "a manifest has no digest": lambda: changes_answers("GET", "manifest", drops_fields("Docker-Content-Digest")),
    "a manifest's type has a parameter": lambda: changes_answers(
        "GET",
        "manifest",
        lambda _, answer: answer.headers.update({"Content-Type": f"{answer.headers['Content-Type']}; charset=utf-8"}),
    ),
    "distribution: a page of more than 2 is 400": lambda: pages_of(2),
    "a read is cut": cuts_a_read,
    "a read is cut, and ranges are not known": lambda: both(cuts_a_read(), knows_no_ranges()),
    "a blob says no range": lambda: changes_answers("GET", "blob", drops_fields("Accept-Ranges")),
}
"""What a primary may do, by name."""
