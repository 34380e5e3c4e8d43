"""Alembic's home: env.py runs on the store's own connection, versions/ holds one module a step."""
