"""One sweep now, followed until all that it found is settled: the command `sync`, and the daemon's own by its API."""
