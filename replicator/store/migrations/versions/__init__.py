"""Schema steps, oldest first. A published one is never changed."""
