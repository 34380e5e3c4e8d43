"""The commands: thin, they load the settings, ask the daemon or the registries, and print."""
