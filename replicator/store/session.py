"""What operations of the writer thread share: its connection, the numbers of names, and which keys they changed."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.model import IntentKey
from replicator.news import NOBODY
from replicator.store.encoding import pack_reference
from replicator.store.name_statements import ADD_POLICY, ADD_REPOSITORY, FIND_POLICY, FIND_REPOSITORY
from replicator.store.prepared import Connection, Prepared, Value

_REMEMBERED = 20_000
_UNWRITTEN = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the commit under way had come before something that may be rolled back."""

    changed: int = 0
    events: int = 0
    telling: bool = False


_BEGIN = Mark()


class Session:
    """The writer thread's own state; nothing else touches it while the thread runs.

    `delivery` is the id of one that the commit under way keeps, "" while there is none; `ignoring` whether anything
    is ignored by decision, `dooming` whether a tag is to be deleted, None while that is not known. `audience` is told
    of what happens, `posted` names those of it to whom the commit under way may have something to send. `unwritten`
    are events that wait for a commit that is made anyway (event_rows.py), which also counts down `until_trim`;
    `writing` those of them that the commit under way takes along, and `events` its own, `telling` whether something
    came of one of them. `taken` are the leases of the commit under way, each a key and its epoch. A commit whose
    answer was lost may have been kept, and nobody knows of it: `stray` are its leases, `unsure` and `unsure_posts`
    what it changed and whom it posted to, `unanswered` the leases that it settled (unanswered.py); `settling` are
    those of the commit under way.
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
        self.writing: list[dict[str, Value]] = []
        self.events: list[dict[str, Value]] = []
        self.telling = False
        self.until_trim = 0
        self.taken: list[tuple[IntentKey, int]] = []
        self.stray: set[tuple[IntentKey, int]] = set()
        self.settling: list[tuple[IntentKey, int]] = []
        self.unanswered: set[tuple[IntentKey, int]] = set()
        self.unsure: set[IntentKey] = set()
        self.unsure_posts: set[str] = set()
        self._numbers: dict[tuple[str, str], int] = {}

    def begin_anew(self) -> None:
        """Forget what the commit under way did."""
        self.changed.clear()
        self.events.clear()
        self.telling = False
        self.delivery = ""
        self.posted.clear()
        self.taken.clear()
        self.settling.clear()

    def left_undecided(self) -> None:
        """Remember what a commit without an answer may have done. To be called before that is forgotten."""
        self.stray.update(self.taken)
        if len(self.unanswered) >= _REMEMBERED:
            self.unanswered.clear()  # what is told again then is done again
        self.unanswered.update(self.settling)
        self.unsure.update(self.changed)
        self.unsure_posts |= self.posted

    def kept(self) -> None:
        """Have the commit that was just kept tell of those that may have been kept before it."""
        self.stray.clear()
        self.writing.clear()
        self.unanswered.difference_update(self.settling)
        self.changed += self.unsure.difference(self.changed)
        self.posted |= self.unsure_posts
        self.unsure.clear()
        self.unsure_posts.clear()

    def mark(self) -> Mark:
        """Return how far the commit under way has come."""
        return Mark(len(self.changed), len(self.events), self.telling)

    def forget_after_rollback(self, since: Mark = _BEGIN) -> None:
        """Drop what may have been rolled back: numbers just given, and what was changed and heard from `since` on."""
        del self.changed[since.changed :]
        del self.events[since.events :]
        self.telling = since.telling
        self._wait_on()
        self.ignoring = None
        self.dooming = None
        self._numbers.clear()

    def _wait_on(self) -> None:
        """Have the events that were taken along wait again: the newest, as many as may."""
        room = _UNWRITTEN - len(self.unwritten)
        self.unwritten.extendleft(reversed(self.writing[max(0, len(self.writing) - room) :]))
        self.writing.clear()

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
            # All rows of a statement that returns some must be read: only then is it finished.
            found = next(iter(add.run(self.connection, values).fetchall()), None)
        if found is None:
            raise StoreError(f"the {kind} just added is in the database already")
        if len(self._numbers) >= _REMEMBERED:
            self._numbers.clear()
        number = int(found[0])
        self._numbers[kind, name] = number
        return number
