"""What all parts of the settings have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the configuration file: frozen, strict, no unknown keys, and no input in its own errors."""

    # Built when first used: a part is within the whole, and hardly ever read by itself.
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, defer_build=True
    )
