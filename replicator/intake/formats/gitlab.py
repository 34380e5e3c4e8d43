"""Deliveries of GitLab's container registry: a fork of Distribution that kept its notification format.

What it has of its own (`user_type` of the actor, renames) is not needed; a rename is an action that is not followed.
"""

from replicator.intake.formats.distribution import decode

__all__ = ["decode"]
