"""What the configuration says about the JSON of a sender that has no format of its own."""

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from replicator.settings import json_paths
from replicator.settings.fields import Many, refuse
from replicator.settings.section import Section


def _path(value: object) -> object:
    if isinstance(value, str):
        try:
            json_paths.parse(value)
        except ValueError as error:
            refuse(f"is not a path: {error}", "write keys with dots between them, as in data.tags[*]")
    return value


JsonPath = Annotated[
    str,
    BeforeValidator(_path),
    WithJsonSchema(
        {
            "type": "string",
            "title": "path in JSON",
            "pattern": r"^(?!\$)(\[\*\]|[^.\[\]\s]+)(\[\*\])*(\.[^.\[\]\s]+(\[\*\])*)*$",
        }
    ),
]
"""A path in the language of `json_paths`."""


class GenericFormat(Section):
    """Where in a sender's JSON the names are; goes with `format: generic`."""

    events: JsonPath | None = Field(
        None, description="The events of a delivery, as `events[*]`; all other paths begin at one of them. "
        "Absent: the body is one event."
    )  # fmt: skip  # the text is one
    repository: JsonPath | None = Field(None, description="The repository's name, without a host.")
    image: JsonPath | None = Field(
        None, description="Instead of `repository`: a full name, `HOST/REPOSITORY`, with `:TAG` and `@DIGEST` or not."
    )
    tag: JsonPath | None = Field(None, description="The tag, or with `[*]` several; a digest in its place is taken.")
    digest: JsonPath | None = Field(None, description="The digest, as `sha256:...`.")
    host: JsonPath | None = Field(None, description="The registry's host, to be compared with `hosts`.")
    time: JsonPath | None = Field(None, description="When it happened: RFC 3339 or Unix seconds.")
    id: JsonPath | None = Field(None, description="What the sender calls the event.")
    action: JsonPath | None = Field(None, description="What happened; absent: every event is a push.")
    pushes: Many[str] = Field(("push",), min_length=1, description="The values of `action` that mean a push.")
    deletes: Many[str] = Field(("delete",), description="Those that mean a delete; all others are ignored.")
