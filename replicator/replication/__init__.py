"""Lanes and workers: leased intents -> survey -> plan -> copy -> settle."""
