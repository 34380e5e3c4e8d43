"""Run by Alembic: applies the steps on the connection that the store hands over, in its transaction.

Logging stays as the daemon has set it up.
"""

from alembic import context
from sqlalchemy import Connection

from replicator.store.event_tables import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
