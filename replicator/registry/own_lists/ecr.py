"""Amazon ECR's list of tagged images, by AWS's own API: `ecr:ListImages`, 1000 at a time."""

from replicator.errors import RegistryError
from replicator.model import Repository
from replicator.registry.capabilities import DigestList
from replicator.registry.login import denied
from replicator.registry.logins.source import Images, NoProof
from replicator.registry.own_lists.form import NotAsExpected, Told, list_of, mapping_of, told_of


def told(identifiers: object) -> tuple[Told, ...]:
    """Return what identifiers of images tell. Raises NotAsExpected."""
    entries = [mapping_of(entry, "objects as images") for entry in list_of(identifiers, "images")]
    return tuple(told_of(entry.get("imageTag"), entry.get("imageDigest")) for entry in entries)


class EcrList:
    """The list of one registry that is logged in to as AWS's SDK says."""

    kind = DigestList.ECR

    def __init__(self, registry: str, images: Images) -> None:
        self._registry = registry
        self._images = images

    def likely(self) -> bool:
        """Say so: the login is AWS's."""
        return True

    def reaches(self, repository: Repository) -> bool:  # noqa: ARG002 -- part of the protocol
        """Say so of any."""
        return True

    async def read(self, repository: Repository) -> tuple[Told, ...]:
        """Return what AWS tells. Raises AccessDenied where it refuses or does not answer, else RegistryError."""
        try:
            return told(await self._images(repository))
        except NoProof as error:
            raise denied(self._registry, str(error), temporary=error.temporary) from error
        except NotAsExpected as error:
            problem = f"{self._registry}: ecr:ListImages was answered, {error}"
            raise RegistryError(problem, registry=self._registry) from error
