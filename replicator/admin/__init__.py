"""The admin listener: health, metrics and the API that commands and operators use."""
