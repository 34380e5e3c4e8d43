"""Distribution-spec client: all that the daemon says to registries, and the only place that judges their answers."""
