"""The statements about messages to receivers of notifications, and about which rows were told of."""

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, literal_column, select, update

from replicator.store.prepared import Prepared
from replicator.store.tables import intent, notification, repository

_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_row, _post = intent.c, notification.c
_THIS = and_(
    _row.replica == bindparam("key_replica"),
    _row.repository_id == bindparam("key_repository"),
    _row.reference == bindparam("key_reference"),
)

STANDING = Prepared(select(_row.parked, _row.told, _row.dirty_since, _row.want_digest).where(_THIS))
"""Whether a row is parked, whether that was told, since when it is owed and what is wanted."""
TELL = Prepared(update(intent).where(_THIS).values(told=_ONE))
"""Note that it was told."""
DESCRIBE = Prepared(
    select(
        repository.c.name,
        _row.want_digest,
        _row.dirty_since,
        _row.attempts,
        _row.reason,
        _row.delivery,
    )
    .select_from(intent.join(repository, repository.c.id == _row.repository_id))
    .where(_THIS)
)
"""What a message says of an owed row."""

POST = Prepared(
    insert(notification).values(
        receiver=bindparam("new_receiver"),
        message=bindparam("new_message"),
        happening=bindparam("new_happening"),
        body=bindparam("new_body"),
        created_at=bindparam("now"),
        due_at=bindparam("now"),
    )
)
"""Keep one message."""
FIRST = Prepared(
    select(_post.id, _post.message, _post.happening, _post.body, _post.created_at, _post.due_at, _post.attempts)
    .where(_post.receiver == bindparam("receiver"))
    .order_by(_post.due_at, _post.id)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""Those of a receiver that are due first."""
DROP = Prepared(delete(notification).where(_post.id == bindparam("key_id")))
"""Forget one message."""
AGAIN = Prepared(
    update(notification)
    .where(_post.id == bindparam("key_id"))
    .values(due_at=bindparam("at"), attempts=_post.attempts + _ONE)
)
"""Have one message tried again."""
MAKE_DUE = Prepared(
    update(notification)
    .where(_post.receiver == bindparam("receiver"), _post.due_at > bindparam("now"))
    .values(due_at=bindparam("now"))
)
"""Have all that waits for a receiver tried now."""
WAITING = Prepared(
    select(_post.receiver, func.count(), func.min(_post.created_at)).group_by(_post.receiver).order_by(_post.receiver)
)
"""How much waits for each receiver, and since when."""
OLDEST = Prepared(
    select(_post.id, _post.happening)
    .where(_post.receiver == bindparam("receiver"))
    .order_by(_post.id)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
"""The oldest that wait for a receiver."""
DROP_ALL_OF = Prepared(delete(notification).where(_post.receiver == bindparam("receiver")))
"""Forget all that waits for a receiver."""
