"""Configuration: one YAML file becomes frozen settings, or one message that lists every mistake in it."""
