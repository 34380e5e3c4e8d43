"""Uploads of a simulated run that go on where they were cut (G10), and what a cut may cost.

Every byte that a registry was sent of a blob, and that no cut took, it keeps until the upload is done, also over a
kill. So all that it was sent of a blob, less what cuts took under way, is the size of the blob. It is sent once more
where nobody can know better: once for each answer to a finished upload that was lost, and once for each time that the
primary gave wrong bytes of it. Of two daemons, or two images, that send it at the same time nothing is said; nor of
what is sent again while two daemons are at work: one may have asked before the other was done.
"""

from collections import Counter

from replicator.model import Reference
from replicator.registry.capabilities import Capabilities, Capability
from tests.support.content import make_blob, make_image, make_index
from tests.unit.replication.model_uploads import ModelUploads
from tests.unit.replication.rig import Rig

WORTH_KEEPING = 100_000
"""Bytes from which on an upload goes on; outside of simulated runs only much larger ones do."""
_LAYERS = [make_blob(f"large {n}", size) for n, size in enumerate((110_000, 130_000, 150_000))]
LARGE_IMAGES = [make_image(f"large {n}", [layer, 500 + n]) for n, layer in enumerate(_LAYERS)]
"""Images of which one layer each is worth keeping."""
LARGE_INDEX = make_index(LARGE_IMAGES[:2])


class Uploading:
    """The uploads to the replicas of one rig."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._uploads = {name: ModelUploads(rig.clock) for name in rig.replicas}
        for name, replica in rig.replicas.items():
            replica.uploads = self._uploads[name]
            able = {Capability.RESUME: True, Capability.CHECKS_DIGESTS: True}
            replica.capabilities = Capabilities(rig.clock, able)
            # Else each layer is sent once only.
            replica.mounts = False
        rig.new_engine()

    def shared(self, *, by_two: bool) -> None:
        """Take note whether two daemons are at work."""
        for uploads in self._uploads.values():
            uploads.shared = by_two

    def sent_again(self, wrong: Counter[Reference]) -> list[str]:
        """Return which blobs were sent more often than they had to be; `wrong` were read with wrong bytes."""
        found = []
        for name, uploads in self._uploads.items():
            for blob, sent in uploads.sent.items():
                repository, digest = blob
                size = len(self._rig.source.data[digest])
                times = 1 + uploads.unanswered[blob] + wrong[digest]
                if blob not in uploads.contested and sent - uploads.lost[blob] > times * size:
                    found.append(
                        f"{name} was sent {sent} bytes of {digest} in {repository}, {uploads.lost[blob]} of them "
                        f"were lost, and {times} times its {size} would have done"
                    )
        return found
