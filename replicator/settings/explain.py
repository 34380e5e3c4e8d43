"""What pydantic finds wrong, in words for the person who wrote the file. No value is ever repeated here."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import yaml
from pydantic import PlainSerializer, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from replicator.settings.files import Word
from replicator.settings.mistakes import KeyPath, Mistake
from replicator.settings.schema import Settings
from replicator.settings.section import Section
from replicator.settings.units import format_duration, format_size

_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
}
_WANTED = {
    "string_type": "write text",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "finite_number": "write a number",
    "bool_type": "write true or false",
    "dict_type": "write a mapping, as in {key: value}",
    "model_type": "write a mapping, as in {key: value}",
    "tuple_type": "write a list, as in [one, two]",
    "is_instance_of": "write the path of a file",
}
_LIMITS = {
    "literal_error": ("is not what it may be", "write", "expected"),
    "too_short": ("is empty", "write at least one, or remove the key", ""),
    "greater_than": ("is too small", "write more than", "gt"),
    "greater_than_equal": ("is too small", "write at least", "ge"),
    "less_than_equal": ("is too large", "write at most", "le"),
}


def explain(error: ValidationError) -> list[Mistake]:
    """Return the mistakes that the model found in a file's data."""
    # A list is also "too short" when its items are wrong; those have their own errors.
    return [
        _explain(details)
        for details in error.errors(include_url=False)
        if details["type"] != "too_short" or not details["input"]
    ]


def may_be_named(path: KeyPath) -> bool:
    """Say whether the schema has a place for this key. Deeper keys may be parts of a secret, as in `{hunter2}`."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    free = _field(path[:-1]) if path else None
    return not path or _section(path[:-1]) is not None or (free is not None and get_origin(free.annotation) is dict)


def _explain(details: ErrorDetails) -> Mistake:
    path: KeyPath = tuple(part for part in details["loc"] if part != "[key]")
    kind, context = details["type"], details.get("ctx", {})
    if kind == "mistake":
        return Mistake(path, context["wrong"], context["right"])
    if kind == "missing":
        return Mistake(path, "is missing", _example(path))
    if kind == "extra_forbidden":
        return _unknown(path)
    if kind in _LIMITS:
        return _beyond_limit(path, kind, context)
    return _wrong_kind(path, kind, details)


def _beyond_limit(path: KeyPath, kind: str, context: Mapping[str, Any]) -> Mistake:
    wrong, right, limit = _LIMITS[kind]
    if kind == "literal_error":
        return Mistake(path, wrong, f"{right} {context[limit].replace(chr(39), '')}")
    return Mistake(path, wrong, right if kind == "too_short" else f"{right} {_written(path, context[limit])}")


def _wrong_kind(path: KeyPath, kind: str, details: ErrorDetails) -> Mistake:
    value = details["input"]
    if kind == "string_type" and isinstance(value, bool | int | float):
        return Mistake(path, f"is {_KINDS[type(value)]} to YAML", "put it in quotes")
    word = next((f" or the word {found.word}" for found in _metadata(path) if isinstance(found, Word)), "")
    right = _WANTED.get(kind)
    # Pydantic's own sentences do not repeat the input (hide_input_in_errors only concerns its summary).
    return Mistake(path, f"is {_KINDS.get(type(value), 'not valid')}", f"{right}{word}" if right else details["msg"])


def _unknown(path: KeyPath) -> Mistake:
    """Explain a key that the schema lacks: a secret written inline, a slip of the keyboard, or a wrong place."""
    section = _section(path[:-1])
    known = list(section.model_fields) if section else []
    key = str(path[-1])
    ways = [
        f"{name}: {what}" for name, what in ((f"{key}_file", "PATH"), (f"{key}_env", "VARIABLE")) if name in known
    ]
    if ways:
        return Mistake(path, "a secret cannot stand in this file", f"write {' or '.join(ways)}")
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        file = near[0].removesuffix("_env") + "_file"
        return Mistake(path, "is not a known key", f"did you mean {file if file in known else near[0]}?")
    return Mistake(path, "is not a known key", f"known here: {', '.join(known)}")


def _example(path: KeyPath) -> str:
    field = _field(path)
    if field is None or not field.examples:
        return "add it"
    text = yaml.safe_dump({path[-1]: field.examples[0]}, default_flow_style=True, sort_keys=False, width=10_000)
    return f"add it, as in {text.strip()[1:-1]}"


def _written(path: KeyPath, limit: Any) -> str:
    """Return a limit in the form in which people write the value."""
    duration_or_size = any(isinstance(found, PlainSerializer) for found in _metadata(path))
    if not duration_or_size:
        return f"{limit:g}"
    return format_duration(limit) if isinstance(limit, float) else format_size(limit)


def _metadata(path: KeyPath) -> list[Any]:
    field = _field(path)
    return field.metadata if field else []


def _field(path: KeyPath) -> FieldInfo | None:
    section = _section(path[:-1]) if path else None
    return section.model_fields.get(str(path[-1])) if section else None


def _section(path: KeyPath) -> type[Section] | None:
    """Return the part of the schema that describes the mapping at `path`."""
    section: type[Section] | None = Settings
    for part in path:
        if isinstance(part, str):
            field = section.model_fields.get(part) if section else None
            section = _section_in(field.annotation) if field else None
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for found in map(_section_in, get_args(annotation)) if found), None)
