"""The tables, as SQLAlchemy Core describes them; migrations/ makes them.

Wall-clock times are Unix seconds; `lease_until` is the process's monotonic time (a lock makes sure that one process
holds all leases). `reference` and digests are packed by replicator.store.encoding.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
    text,
)

from replicator.store.columns import EMPTY, WHOLE

metadata = MetaData()
repository = Table(
    "repository",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("name", name="repository_name"),
)
policy = Table(
    "policy",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    UniqueConstraint("fingerprint", name="policy_fingerprint"),
)
"""Fingerprints of rules, kept once: a million rows share a handful."""

intent = Table(
    "intent",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, ForeignKey("repository.id"), primary_key=True),
    Column("reference", LargeBinary, primary_key=True),
    Column("generation", WHOLE, nullable=False),
    Column("observed_generation", WHOLE, nullable=False, server_default=text("0")),
    Column("want_digest", LargeBinary),
    Column("have_digest", LargeBinary),
    Column("dirty_since", Float),
    Column("next_dirty_since", Float),
    Column("due_at", Float),
    Column("priority", WHOLE, nullable=False),
    Column("attempts", WHOLE, nullable=False, server_default=text("0")),
    Column("failing_since", Float),
    Column("reason", Text),
    Column("message", Text),
    Column("parked", WHOLE, nullable=False, server_default=text("0")),
    Column("deadline_missed", WHOLE, nullable=False, server_default=text("0")),
    Column("verify_at", Float),
    Column("doubt_at", Float),
    Column("looks", WHOLE, nullable=False, server_default=text("0")),
    Column("policy_id", WHOLE, ForeignKey("policy.id"), nullable=False),
    Column("lease_owner", Text),
    Column("lease_epoch", WHOLE, nullable=False, server_default=text("0")),
    Column("lease_until", Float, nullable=False, server_default=text("0")),
    Column("delivery", LargeBinary),
    Column("backfill", WHOLE),
    Column("told", WHOLE),
    Column("put", WHOLE),
    CheckConstraint("(generation > observed_generation) = (dirty_since IS NOT NULL)", name="intent_owed_since"),
    CheckConstraint("(due_at IS NOT NULL) = (dirty_since IS NOT NULL)", name="intent_owed_due"),
    CheckConstraint("verify_at IS NULL OR dirty_since IS NULL", name="intent_look_clean"),
    sqlite_with_rowid=False,
    # Rows are updated far more often than added: the room lets most updates leave the indexes alone.
    postgresql_with={"fillfactor": 70},
)
"""One row per replica, repository and reference (DESIGN 4).

`verify_at` stands only on clean rows: when to look again. `doubt_at` waits beside it: a put of unknown outcome may
land until then, so the row is looked at once more after that, whatever else looks at it before. `delivery` (16
bytes) is what told of the newest change; clean rows have none, so a million of them cost nothing more. An owed row
has `backfill` 1 as long as only a sweep found it that fills a replica: it is worked on, and is no lag. `told` is 1
once a receiver of notifications was told that it is parked, until it succeeds. `put` is 1 where we put what
`have_digest` says, and did not find it there; a row of a digest stays only then, to be deleted some day.
"""

OWED: ColumnElement[bool] = intent.c.dirty_since.is_not(None)
"""Asked by a column that the indexes hold (a CHECK keeps it equal to generation > observed_generation)."""
FAILING: ColumnElement[bool] = and_(OWED, intent.c.reason.is_not(None))
CLEAN: ColumnElement[bool] = intent.c.dirty_since.is_(None)
NOT_YET_MISSED: ColumnElement[bool] = and_(
    intent.c.deadline_missed == literal_column("0"), intent.c.backfill.is_(None)
)
LOOK_PENDING: ColumnElement[bool] = intent.c.verify_at.is_not(None)

Index(
    "intent_owed",
    intent.c.replica,
    intent.c.priority,
    intent.c.due_at,
    intent.c.dirty_since,
    intent.c.backfill,
    sqlite_where=OWED,
    postgresql_where=OWED,
)
"""Finds what is due, and covers the lag of a replica: clean rows cost neither of them anything."""
Index(
    "intent_failing",
    intent.c.replica,
    intent.c.priority,
    intent.c.due_at,
    intent.c.parked,
    intent.c.reason,
    intent.c.dirty_since,
    sqlite_where=FAILING,
    postgresql_where=FAILING,
)
"""Finds what a healed lane may try again, and covers the count of failures."""
Index(
    "intent_on_time",
    intent.c.dirty_since,
    intent.c.replica,
    sqlite_where=and_(OWED, NOT_YET_MISSED),
    postgresql_where=and_(OWED, NOT_YET_MISSED),
)
"""Finds what crosses the objective, each row once."""
Index(
    "intent_look",
    intent.c.replica,
    intent.c.priority,
    intent.c.verify_at,
    sqlite_where=LOOK_PENDING,
    postgresql_where=LOOK_PENDING,
)
"""Finds the looks that are due."""

blob_location = Table(
    "blob_location",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("repository_id", WHOLE, ForeignKey("repository.id"), primary_key=True),
    Column("seen_at", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Where a blob is known to be on a replica: a hint that saves a request, never a truth."""
Index("blob_location_repository", blob_location.c.replica, blob_location.c.repository_id)

upload = Table(
    "upload",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, ForeignKey("repository.id"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("location", Text, nullable=False),
    Column("position", WHOLE, nullable=False),
    Column("expires_at", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Uploads that were begun and may go on: the place that the registry named last, and how far it had come then.

`location` may hold a signature of the registry: it is shown nowhere.
"""
Index("upload_expires", upload.c.expires_at)

sweep = Table(
    "sweep",
    metadata,
    Column("repository_id", WHOLE, ForeignKey("repository.id"), primary_key=True),
    Column("found_at", Float, nullable=False),
    Column("changed_at", Float),
    Column("swept_at", Float),
    Column("next_at", Float, nullable=False),
    Column("full_at", Float),
    Column("full_next_at", Float, nullable=False),
    Column("full_began_at", Float),
    Column("progress", Text),
    Column("scope", Text, nullable=False, server_default=text("''")),
    Column("gone", WHOLE, nullable=False, server_default=text("0")),
    Column("failures", WHOLE, nullable=False, server_default=text("0")),
)
"""Where the comparison of one repository stands (sweep_rows.Swept)."""
Index("sweep_next", sweep.c.next_at)

delivery = Table(
    "delivery",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("endpoint", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
)
"""A bounded log of deliveries that could not be read."""

ignored = Table(
    "ignored",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, primary_key=True),
    Column("reference", LargeBinary, primary_key=True),
    Column("digest", LargeBinary),
    Column("since", Float, nullable=False),
    Column("ignored_at", Float, nullable=False),
    Column("backfill", WHOLE),
    ForeignKeyConstraint(
        ["replica", "repository_id", "reference"],
        ["intent.replica", "intent.repository_id", "intent.reference"],
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)
"""What a replica lacks by an operator's decision: the row of the intent is clean for as long as this one stands.

It ends with a change that names another `digest` than it was about (NULL: with any). `since` is when it had become
owed and `backfill` whether that was no lag, and both are so again when the decision is taken back.
"""

notification = Table(
    "notification",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("happening", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("attempts", WHOLE, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,  # an id in the hands of a sender never means another message
)
"""Messages that wait for one receiver each, as they are sent; `message` is the id that the receiver sees."""
Index("notification_due", notification.c.receiver, notification.c.due_at)

lane = Table(
    "lane",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("paused_since", Float),
    Column("deletes_stopped_since", Float),
)
"""What is kept of a replica's lane as a whole: since when it is paused, and its deletes are stopped; NULL: not."""

repair = Table(
    "repair",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, ForeignKey("repository.id"), primary_key=True),
    Column("reference", LargeBinary, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("generation", WHOLE, nullable=False),
    sqlite_with_rowid=False,
)
"""Intents whose content on the replica was found to be wrong; it is believed to hold nothing until they are settled.

`digest` is a blob or manifest whose bytes are wrong there, empty for the intent as a whole. `generation` is that of
the intent when this was found: what was found later than a lease was taken outlives it.
"""

verification = Table(
    "verification",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("repository_id", WHOLE, nullable=False, server_default=text("0")),
    Column("reference", LargeBinary, nullable=False, server_default=EMPTY),
    Column("whole_repository_id", WHOLE),
    Column("whole_reference", LargeBinary),
)
"""Behind which row the verification of a replica goes on, and the same of a pass over all rows, if one is due."""

state = Table(
    "state",
    metadata,
    Column("id", WHOLE, primary_key=True),
    Column("epoch", WHOLE, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
    Column("holder", Text),
)
"""One row: the last lease epoch given out, store-wide, so that a row dropped and made anew never repeats one.

`holder` names the life of the daemon that works with a store on PostgreSQL (ownership.py).
"""
