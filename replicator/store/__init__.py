"""The durable store of intents: tables, statements, migrations and the SQLite engine."""
