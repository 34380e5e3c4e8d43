"""Outgoing webhooks: signed messages about what happened on the replicas, kept until they are delivered."""
