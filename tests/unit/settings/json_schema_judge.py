"""A judge for the part of JSON Schema that our schema uses; a keyword that it does not know is an error."""

import re
from collections.abc import Callable, Iterator
from typing import Any

ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "examples"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def objections(schema: dict[str, Any], value: Any) -> list[str]:
    """Return where and by which keyword `schema` refuses `value`."""
    return list(_judge(schema, schema, value, ""))


def _judge(root: dict[str, Any], part: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for keyword, limit in part.items():
        if keyword in ANNOTATIONS:
            continue
        if keyword == "$ref":
            yield from _judge(root, root["$defs"][limit.removeprefix("#/$defs/")], value, path)
        elif keyword in {"properties", "additionalProperties", "items"}:
            yield from _judge_inside(root, part, keyword, value, path)
        elif not _holds(root, keyword, limit, value):
            yield f"{path}: {keyword}"


def _judge_inside(root: dict[str, Any], part: dict[str, Any], keyword: str, value: Any, path: str) -> Iterator[str]:
    if keyword == "items" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _judge(root, part["items"], item, f"{path}[{index}]")
    if keyword == "properties" and isinstance(value, dict):
        for key in value.keys() & part["properties"].keys():
            yield from _judge(root, part["properties"][key], value[key], f"{path}.{key}")
    if keyword == "additionalProperties" and isinstance(value, dict):
        for key in value.keys() - part.get("properties", {}).keys():
            if part[keyword] is False:
                yield f"{path}.{key}: {keyword}"
            else:
                yield from _judge(root, part[keyword], value[key], f"{path}.{key}")


def _holds(root: dict[str, Any], keyword: str, limit: Any, value: Any) -> bool:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    checks: dict[str, Callable[[], bool]] = {
        "type": lambda: isinstance(value, TYPES[limit]) and (limit == "boolean" or not isinstance(value, bool)),
        "const": lambda: value == limit and type(value) is type(limit),
        "enum": lambda: any(value == one and type(value) is type(one) for one in limit),
        "pattern": lambda: not isinstance(value, str) or re.search(limit, value) is not None,
        "required": lambda: not isinstance(value, dict) or limit <= list(value) or set(limit) <= set(value),
        "minProperties": lambda: not isinstance(value, dict) or len(value) >= limit,
        "minItems": lambda: not isinstance(value, list) or len(value) >= limit,
        "minLength": lambda: not isinstance(value, str) or len(value) >= limit,
        "minimum": lambda: number is None or number >= limit,
        "maximum": lambda: number is None or number <= limit,
        "exclusiveMinimum": lambda: number is None or number > limit,
        "anyOf": lambda: any(not list(_judge(root, choice, value, "")) for choice in limit),
        "not": lambda: bool(list(_judge(root, limit, value, ""))),
        "propertyNames": lambda: not isinstance(value, dict) or all(_fine(root, limit, key) for key in value),
    }
    return checks[keyword]()


def _fine(root: dict[str, Any], part: dict[str, Any], value: Any) -> bool:
    return not list(_judge(root, part, value, ""))
