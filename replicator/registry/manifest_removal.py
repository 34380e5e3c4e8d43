"""Deletes of tags and manifests (distribution-spec "Content Management"; F9)."""

from http import HTTPStatus

from replicator.errors import Reason, RegistryError
from replicator.model import Digest, Operation, Repository, Tag
from replicator.registry import scope
from replicator.registry.answers import Reply, is_from_registry
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request

_DELETED = frozenset({200, 202, 204, 404})


class ManifestRemoval:
    """Removes from one registry."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities) -> None:
        self._exchange = exchange
        self._capabilities = capabilities

    async def delete(self, repository: Repository, digest: Digest) -> None:
        """Delete a manifest and every tag that names it; one that a registry says it lacks is deleted.

        Raises RegistryError where that is refused: UNSUPPORTED where the registry deletes none.
        """
        request = Request(
            operation=Operation.MANIFEST_DELETE,
            method="DELETE",
            target=self._exchange.endpoint.manifest(repository, digest),
            scopes=scope.delete(repository),
        )
        reply = await self._exchange.ask(request)
        if not _is_deleted(reply):
            raise self._exchange.failure(request, reply)

    async def delete_tag(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag; one that is not there is removed. Raises RegistryError, UNSUPPORTED where it removes none.

        Such a refusal is kept as a proof against TAG_DELETE. That the manifest is left is not looked at.
        """
        if self._capabilities.holds(Capability.TAG_DELETE) is False:
            raise self._no_tag_delete()
        request = Request(
            operation=Operation.MANIFEST_DELETE,
            method="DELETE",
            target=self._exchange.endpoint.manifest(repository, tag),
            scopes=scope.delete(repository),
        )
        reply = await self._exchange.ask(request)
        if _is_deleted(reply):
            return
        failed = self._exchange.failure(request, reply)
        if failed.reason is not Reason.UNSUPPORTED:
            raise failed
        self._capabilities.learn(Capability.TAG_DELETE, holds=False)
        raise self._no_tag_delete(failed) from failed

    def _no_tag_delete(self, failed: RegistryError | None = None) -> RegistryError:
        registry = self._exchange.registry
        problem = "removes no tags: it deletes manifests by digest only, with all tags that name them, or nothing"
        return RegistryError(
            f"{registry} {problem}" if failed is None else f"{registry} {problem} ({failed})",
            registry=registry,
            reason=Reason.UNSUPPORTED,
            status=0 if failed is None else failed.status,
            code="" if failed is None else failed.code,
        )


def _is_deleted(reply: Reply) -> bool:
    # A proxy that knows of nothing has deleted nothing.
    return reply.status in _DELETED and (reply.status != HTTPStatus.NOT_FOUND or is_from_registry(reply))
