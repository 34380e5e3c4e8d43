"""Comparisons of the primary with the replicas without events: what no webhook told is found (G5)."""
