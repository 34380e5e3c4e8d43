"""Says that a store is another daemon's for now, or that it is no use any more."""

from replicator.errors import StoreError


class Held(StoreError):
    """Another daemon works with the store: this one may wait for its end."""


class Ended(StoreError):
    """Nothing is read or kept any more in this life."""
