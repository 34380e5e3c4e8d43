"""The demo: a primary, two replicas and the daemon on this machine (`make demo`)."""
