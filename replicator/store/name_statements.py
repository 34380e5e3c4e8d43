"""The statements that give repositories and fingerprints their numbers."""

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from replicator.store.prepared import Prepared
from replicator.store.tables import policy, repository

ADD_REPOSITORY = Prepared(
    insert(repository)
    .values(name=bindparam("new_name"))
    .on_conflict_do_nothing(index_elements=["name"])
    .returning(repository.c.id)
)
"""Give a repository its number, and return it; no row where it has one."""
FIND_REPOSITORY = Prepared(select(repository.c.id).where(repository.c.name == bindparam("new_name")))
"""The number of a repository."""
ADD_POLICY = Prepared(
    insert(policy)
    .values(fingerprint=bindparam("new_name"))
    .on_conflict_do_nothing(index_elements=["fingerprint"])
    .returning(policy.c.id)
)
"""Give a fingerprint its number, and return it; no row where it has one."""
FIND_POLICY = Prepared(select(policy.c.id).where(policy.c.fingerprint == bindparam("new_name")))
"""The number of a fingerprint."""
