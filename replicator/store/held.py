"""Says that a store is another daemon's for now."""

from replicator.errors import StoreError


class Held(StoreError):
    """Another daemon works with the store: this one may wait for its end."""
