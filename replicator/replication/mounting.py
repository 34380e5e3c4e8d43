"""One mount on a replica, and what its answer shows: of the registry, of two repositories, or of nothing (U1)."""

from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Digest, Repository
from replicator.registry.upload_requests import UploadSession
from replicator.registry.urgency import current
from replicator.replication.claims import Claim
from replicator.replication.tools import Tools
from replicator.replication.waiting import wait_within

LEADER_LIMIT = 600.0
"""Longest wait for another worker's upload of the same blob while no byte moves, seconds; then it is sent again."""


class Mounting:
    """Mounts blobs into `target` for the copy that holds `claim`."""

    def __init__(self, tools: Tools, target: Repository, claim: Claim) -> None:
        self._tools = tools
        self._target = target
        self._claim = claim

    async def mount(self, blob: Descriptor, repository: Repository) -> UploadSession | None:
        """Return None when the blob was mounted, else the session to send it in; what it shows is remembered."""
        replica, mounts = self._tools.replica, self._tools.mounts
        unnamed = self._who_brought(blob.digest, repository)
        session = await self._asked(blob, repository)
        if session is None:
            mounts.worked(unreferenced=unnamed is not None and unnamed.has_sent(blob.digest))
            return None
        if unnamed is None:
            return await self._refused(blob, repository, session)
        # Perhaps it mounts only what a manifest names. We are behind the other one, so it does not wait for us.
        await replica.cancel_upload(session)
        await self._until_it_left(blob.digest, unnamed)
        session = await replica.mount_blob(self._target, blob, repository)
        if session is None:
            mounts.worked_after_manifest()
            return None
        return await self._refused(blob, repository, session)

    async def _asked(self, blob: Descriptor, repository: Repository) -> UploadSession | None:
        """Mount once; the first time without saying from where, which shows whether the registry finds it."""
        replica, mounts = self._tools.replica, self._tools.mounts
        if not mounts.is_to_be_asked():
            return await replica.mount_blob(self._target, blob, repository)
        session = await replica.mount_blob(self._target, blob, None)
        if session is None:
            mounts.found_by_itself(holds=True)
            return None
        await replica.cancel_upload(session)
        session = await replica.mount_blob(self._target, blob, repository)
        if session is None:
            mounts.found_by_itself(holds=False)
        return session

    async def _refused(self, blob: Descriptor, repository: Repository, session: UploadSession) -> UploadSession:
        """Take note of a refused mount. Where `repository` lost the blob, or we may not read it, that shows nothing.

        Where it is not there any more, nothing that was believed of that repository is believed further.
        """
        try:
            await self._note(repository, await self._is_held(blob, repository))
        except BaseException:
            await self._tools.replica.cancel_upload(session)
            raise
        return session

    async def _is_held(self, blob: Descriptor, repository: Repository) -> bool | None:
        """Say whether `repository` has the blob; None where that is not told."""
        if self._tools.presence.proven(repository, blob.digest):
            return True
        try:
            return await self._tools.replica.has_blob(repository, blob)
        except (RegistryError, ContentError):
            return None

    async def _note(self, repository: Repository, held: bool | None) -> None:  # noqa: FBT001 -- what was asked
        tools = self._tools
        if held:
            tools.mounts.refused(repository, self._target)
        elif held is False:
            tools.presence.forget(repository)
            await tools.locations.forget_blobs(tools.replica.name, repository)

    def _who_brought(self, digest: Digest, repository: Repository) -> Claim | None:
        """Return the claim ahead of ours that brought the blob to `repository` and has yet to put its manifests."""
        ahead = self._claim.ahead(digest)
        return next((one for one in ahead if one.repository == repository and one.has_brought(digest)), None)

    async def _until_it_left(self, digest: Digest, leader: Claim) -> None:
        clock = self._tools.clock
        began = clock.monotonic()
        leader.hurry_all(current().priority)
        while leader in self._claim.ahead(digest):
            left = max(began, leader.moved_at()) + LEADER_LIMIT - clock.monotonic()
            if left <= 0:
                return
            await wait_within(clock, left, self._claim.changed(digest))
