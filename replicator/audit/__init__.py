"""Audits: replicas held against the primary as they are, not as the store knows them."""
