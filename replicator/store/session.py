"""What operations of the writer thread share: its connection, the numbers of names, and which keys they changed."""

from collections import deque
from collections.abc import Iterable

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.model import IntentKey
from replicator.news import NOBODY
from replicator.store.encoding import pack_reference
from replicator.store.name_statements import ADD_POLICY, ADD_REPOSITORY, FIND_POLICY, FIND_REPOSITORY
from replicator.store.prepared import Connection, Prepared, Value

_REMEMBERED = 20_000
_UNWRITTEN = 1000


class Session:
    """The writer thread's own state; nothing else touches it while the thread runs.

    `delivery` is the id of one that the commit under way keeps, "" while there is none; `ignoring` whether anything
    is ignored by decision, `dooming` whether a tag is to be deleted, None while that is not known. `audience` is told
    of what happens, `posted` names those of it to whom the commit under way may have something to send. `unwritten`
    are events that wait for a commit that is made anyway (event_log.py), which also counts down `until_trim`. `taken`
    are the leases of the commit under way, each a key and its epoch; `stray` those of commits that failed, which may
    have been kept all the same where the answer was lost, and that nobody knows of.
    """

    def __init__(self, connection: Connection, clock: Clock, owner: str) -> None:
        self.connection = connection
        self.clock = clock
        self.owner = owner
        self.changed: list[IntentKey] = []
        self.delivery = ""
        self.ignoring: bool | None = None
        self.dooming: bool | None = None
        self.audience = NOBODY
        self.posted: set[str] = set()
        self.unwritten: deque[dict[str, Value]] = deque(maxlen=_UNWRITTEN)
        self.until_trim = 0
        self.taken: list[tuple[IntentKey, int]] = []
        self.stray: set[tuple[IntentKey, int]] = set()
        self._numbers: dict[tuple[str, str], int] = {}

    def forget_after_rollback(self, changed: int = 0) -> None:
        """Drop what may have been rolled back: numbers just given, and all changed keys from the `changed`-th on."""
        del self.changed[changed:]
        self.ignoring = None
        self.dooming = None
        self._numbers.clear()

    def repository(self, name: str) -> int:
        """Return the number of a repository, giving it one if it has none."""
        return self._number("repository", name, ADD_REPOSITORY, FIND_REPOSITORY)

    def policy(self, fingerprint: str) -> int:
        """Return the number of a fingerprint, giving it one if it has none."""
        return self._number("policy", fingerprint, ADD_POLICY, FIND_POLICY)

    def key(self, key: IntentKey) -> dict[str, Value]:
        """Return the parameters that name one row."""
        return {
            "key_replica": key.replica,
            "key_repository": self.repository(key.repository),
            "key_reference": pack_reference(key.reference),
        }

    def mark_changed(self, keys: Iterable[IntentKey]) -> None:
        """Have the listeners told of these keys once they are committed."""
        self.changed.extend(keys)

    def _number(self, kind: str, name: str, add: Prepared, find: Prepared) -> int:
        known = self._numbers.get((kind, name))
        if known is not None:
            return known
        values = {"new_name": name}
        found = find.run(self.connection, values).fetchone()
        if found is None:
            add.run(self.connection, values)
            found = find.run(self.connection, values).fetchone()
        if found is None:
            raise StoreError(f"the {kind} just added is not in the database")
        if len(self._numbers) >= _REMEMBERED:
            self._numbers.clear()
        number = int(found[0])
        self._numbers[kind, name] = number
        return number
