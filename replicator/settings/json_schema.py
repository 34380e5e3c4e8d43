"""JSON Schema (draft 2020-12) of the configuration file, so that editors complete and check it.

It describes what people write: `30s` and not 30.0. What is not supported yet is refused there too.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from replicator.settings.schema import Settings
from replicator.settings.section import Section
from replicator.settings.unsupported import ROWS, Row, spelled

NOT_YET = "Not supported yet."


def json_schema() -> dict[str, Any]:
    """Return the schema of a whole file."""
    schema = Settings.model_json_schema(schema_generator=_Written)
    for row in ROWS:
        for properties, key in list(_places(schema, schema, row.path.replace("[]", ".[]").split("."))):
            properties[key] = _restricted(properties[key], row)
    return {"$schema": _Written.schema_dialect, **schema, "title": "Configuration of replicator"}


def resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a `$ref` inside `schema`; the keywords beside it are kept."""
    if "$ref" not in part:
        return part
    target: dict[str, Any] = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in part.items() if key != "$ref"}}


class _Written(GenerateJsonSchema):
    """Pydantic's generator, made to describe the file instead of the finished settings."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Describe an optional key: it is absent, never null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Tell defaults as people write them; those of whole sections are told key by key."""
        described = self.generate_inner(schema["schema"])
        default = schema.get("default")
        told_elsewhere = default is None or isinstance(default, Section)
        if told_elsewhere or default == "" or (default == () and "anyOf" in described):
            return described
        written = schema["schema"].get("serialization", {})
        if written.get("type") == "function-plain":
            default = written["function"](default)
        return {**described, "default": list(default) if isinstance(default, tuple) else default}

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Keep titles for the names of types: no field has one of its own."""
        return False


def _places(
    schema: dict[str, Any], part: dict[str, Any], parts: Sequence[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each mapping that holds the description of a key below `part`, and the key."""
    part = resolve(schema, part)
    for choice in part.get("anyOf", ()):
        yield from _places(schema, choice, parts)
    if parts[0] == "[]" and "items" in part:
        yield from _places(schema, part["items"], parts[1:])
    elif parts[0] in part.get("properties", ()):
        if len(parts) == 1:
            yield part["properties"], parts[0]
        else:
            yield from _places(schema, part["properties"][parts[0]], parts[1:])


def _restricted(part: dict[str, Any], row: Row) -> dict[str, Any]:
    """Return the description of a key that is not built yet."""
    told: dict[str, Any] = {key: part[key] for key in ("default", "description") if key in part}
    note = f"Only `{spelled(row.off[0])}` is supported yet." if row.off else NOT_YET
    if not told["description"].startswith(note):
        told["description"] = f"{note} {told['description']}"
    return {**told, "enum": list(row.off)} if row.off else {**told, "not": {}}
