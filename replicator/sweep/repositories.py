"""Which repositories are compared: those of the catalog, those that are configured, those that webhooks named."""

import re
from collections.abc import Sequence
from typing import Protocol

import structlog

from replicator.errors import NameInvalid, RegistryError
from replicator.model import Repository, parse_repository
from replicator.observability.labels import SweepRequest
from replicator.settings.patterns import Patterns
from replicator.store.sweeps import Sweeps
from replicator.sweep.events import SweepEvent
from replicator.sweep.ports import Counts, Primary

_PAGE = 200
_PATTERN = re.compile(r"[*?!]|^regex:")

_log = structlog.get_logger(__name__)


class Concerns(Protocol):
    """The rules, as far as repositories are chosen by them."""

    def concerns(self, repository: Repository) -> bool:
        """Say whether a rule sends anything of a repository anywhere."""
        ...


class Chosen:
    """Says which repositories are compared by the `repositories` of the settings (none: all) and the rules."""

    def __init__(self, patterns: Sequence[str], rules: Concerns) -> None:
        self._patterns = Patterns(patterns, versions=False)
        self._rules = rules
        self.named = tuple(_named(patterns))
        self.wants_catalog = not patterns or any(_PATTERN.search(one) for one in patterns)

    def __contains__(self, repository: Repository) -> bool:
        return self._patterns.match(repository) and self._rules.concerns(repository)


class Repositories:
    """Finds repositories and has them compared."""

    def __init__(
        self, primary: Primary, sweeps: Sweeps, chosen: Chosen, replicas: tuple[str, ...], counts: Counts
    ) -> None:
        self._primary = primary
        self._sweeps = sweeps
        self._chosen = chosen
        self._replicas = replicas
        self._counts = counts

    async def look(self, began: float) -> None:
        """Look for repositories at the time `began`. Raises RegistryError that may pass, and StoreError."""
        await self._sweeps.found([one for one in self._chosen.named if one in self._chosen], began)
        await self._add_known(began)
        if self._chosen.wants_catalog:
            await self._read_catalog(began)

    async def _add_known(self, now: float) -> None:
        for replica in self._replicas:
            after = 0
            while page := await self._sweeps.unswept(replica, after):
                await self._sweeps.found([one for _, one in page if one in self._chosen], now)
                after = page[-1][0]

    async def _read_catalog(self, now: float) -> None:
        self._counts.sweep_requested(SweepRequest.CATALOG)
        page: list[Repository] = []
        count = 0
        try:
            async for repository in self._primary.repositories():
                count += 1
                if repository in self._chosen:
                    page.append(repository)
                if len(page) == _PAGE:
                    await self._sweeps.found(page, now)
                    page = []
        except RegistryError as error:
            if error.temporary:
                raise
            # What it has named so far is compared, and nothing is concluded of the rest.
            _log.warning(SweepEvent.SWEEP_CATALOG_MISSING, registry=self._primary.name, error=str(error))
        else:
            _log.debug(SweepEvent.SWEEP_CATALOG_READ, registry=self._primary.name, repositories=count)
        await self._sweeps.found(page, now)


def _named(patterns: Sequence[str]) -> list[Repository]:
    found = []
    for one in patterns:
        if not _PATTERN.search(one):
            try:
                found.append(parse_repository(one))
            except NameInvalid:
                continue  # a pattern that no repository can match
    return found
