"""Which repositories an operator means: those that arguments name or match, else all that sweeps compare."""

from collections.abc import AsyncIterator, Sequence

from replicator.errors import RegistryError, ReplicatorError
from replicator.model import Repository
from replicator.sweep.ports import Primary
from replicator.sweep.repositories import Chosen, Concerns


class UnknownRepository(ReplicatorError):
    """An argument names or matches no repository; the message says which, and what would be right."""


class Selection:
    """The repositories that `arguments` mean, exact names or patterns as in rules; none: what sweeps compare.

    `swept` is `sweep.repositories` of the settings. Raises ValueError for a pattern that cannot be understood.
    """

    def __init__(self, arguments: Sequence[str], swept: Sequence[str], rules: Concerns) -> None:
        self._arguments = tuple(arguments)
        self._chosen = Chosen(arguments or swept, rules)

    def __contains__(self, repository: Repository) -> bool:
        return repository in self._chosen

    async def repositories(self, primary: Primary) -> AsyncIterator[Repository]:
        """Yield them, each once. Raises UnknownRepository, and RegistryError of the primary."""
        # All that is named is looked for before anything is done about the first of them.
        named = [name for name in self._chosen.named if name in self._chosen]
        found = {name for name in named if await self._is_there(primary, name)}
        for name in dict.fromkeys(one for one in named if one in found):
            yield name
        if self._chosen.wants_catalog:
            async for name in self._of_catalog(primary):
                if name in self._chosen and name not in found:
                    found.add(name)
                    yield name
        if self._arguments and not found:
            what = " ".join(self._arguments)
            raise UnknownRepository(f"{what}: the primary has no such repository that a rule sends anywhere")

    async def _is_there(self, primary: Primary, name: Repository) -> bool:
        listing = await primary.all_tags(name)
        if listing.tags or listing.whole:
            return True
        if name in self._arguments:
            raise UnknownRepository(f"{name}: the primary has no such repository")
        return False

    async def _of_catalog(self, primary: Primary) -> AsyncIterator[Repository]:
        try:
            async for name in primary.repositories():
                yield name
        except RegistryError as error:
            if error.temporary:
                raise
            problem = f"{error}; name the repositories: as arguments, or in sweep.repositories"
            raise ReplicatorError(problem) from error
