"""The referrers API: who refers to a digest, page by page (distribution-spec "Listing Referrers"; R1, R2, S9)."""

from http import HTTPStatus

from replicator import manifest as manifests
from replicator.errors import ContentError, Reason, ReferrersNotTold, RegistryError
from replicator.model import Descriptor, Digest, MediaType, Operation, RawManifest, Repository
from replicator.referrers import MAX_LIST, MAX_REFERRERS
from replicator.registry import scope
from replicator.registry.answers import Reply, refusal_of
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.link import next_page

_NOT_SERVED = frozenset({400, 404, 405, 406, 501})


class Referrers:
    """The referrers API of one registry; whether there is one is learned from its answers."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities) -> None:
        self._exchange = exchange
        self._capabilities = capabilities

    async def listed(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return what refers to `subject`, None where the registry has no such API.

        Only an index counts as an answer, and only an answer of "there is no such thing" as a no: a refusal, a limit
        or a server in trouble is a RegistryError, never taken for absence. Raises ContentError for too long a list.
        """
        if self._capabilities.holds(Capability.REFERRERS) is False:
            return None
        found: dict[Digest, Descriptor] = {}
        seen: set[str] = set()
        target = self._exchange.endpoint.referrers(repository, subject)
        while True:
            request = Request(
                operation=Operation.REFERRERS_LIST,
                method="GET",
                target=target,
                scopes=scope.pull(repository),
                headers={"Accept": MediaType.OCI_INDEX.value},
            )
            # Not followed elsewhere: some registries send a path they do not know to a page for people.
            reply = await self._exchange.ask(request, limit=MAX_LIST, follow=False)
            if not seen and _knows_no_repository(reply):
                return ()
            if not seen and _is_no(reply):
                self._capabilities.learn(Capability.REFERRERS, holds=False)
                return None
            if reply.status != HTTPStatus.OK:
                raise _not_told(self._exchange.failure(request, reply))
            for descriptor in self._read(request, reply):
                found.setdefault(descriptor.digest, descriptor)
            if len(found) > MAX_REFERRERS:
                raise self._too_many(subject)
            self._capabilities.learn(Capability.REFERRERS, holds=True)
            seen.add(target.text)
            link = next_page(reply.fields.all("Link"))
            if link is None:
                return tuple(found.values())
            target = self._exchange.reach.page(reply.target, link)
            if target.text in seen or len(seen) >= MAX_REFERRERS:
                raise self._exchange.unexpected(request, reply, "and the list does not come to an end")

    def _read(self, request: Request, reply: Reply) -> tuple[Descriptor, ...]:
        if _media_type(reply) != MediaType.OCI_INDEX or len(reply.body) > MAX_LIST:
            raise self._exchange.unexpected(request, reply, "but not with an index that can be read")
        raw = RawManifest(MediaType.OCI_INDEX, Digest.of(reply.body), reply.body)
        return manifests.parse(raw, registry=self._exchange.registry).children

    def _too_many(self, subject: Digest) -> ContentError:
        registry = self._exchange.registry
        return ContentError(
            f"{registry}: {subject} has more than {MAX_REFERRERS} referrers",
            registry=registry,
            reason=Reason.UNSUPPORTED,
        )


def _not_told(failed: RegistryError) -> RegistryError:
    """Return a server error as one about this question alone; any other as it is."""
    if failed.reason is not Reason.SERVER_ERROR:
        return failed
    return ReferrersNotTold(
        str(failed),
        registry=failed.registry,
        reason=failed.reason,
        temporary=failed.temporary,
        retry_after=failed.retry_after,
        status=failed.status,
        code=failed.code,
    )


def _is_no(reply: Reply) -> bool:
    if reply.status == HTTPStatus.OK:
        return _media_type(reply) != MediaType.OCI_INDEX
    redirected = HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST
    return redirected or reply.status in _NOT_SERVED


def _knows_no_repository(reply: Reply) -> bool:
    return reply.status == HTTPStatus.NOT_FOUND and "NAME_UNKNOWN" in refusal_of(reply.body).codes


def _media_type(reply: Reply) -> str:
    return (reply.fields.get("Content-Type") or "").partition(";")[0].strip()
