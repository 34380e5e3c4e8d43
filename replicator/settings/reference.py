"""The reference of all configuration keys, made from the schema; `docs/configuration.md` is what this prints."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replicator.settings.json_schema import NOT_YET, json_schema, resolve

_INTRODUCTION = """\
# Configuration

One YAML file. `config/replicator.minimal.yaml` is the least that works, `config/replicator.example.yaml` shows every
key. `replicator config check` tells every mistake at once, each as `file:line: key.path: what is wrong; what would be
right`; `replicator config show` prints what is in force, `replicator config schema` a JSON Schema for editors. This
page is made from the same schema: `python -m replicator.settings.reference`.

- Unknown keys, keys written twice and keys without a value are mistakes. `off` needs no quotes.
- Durations are a whole number and `ms`, `s`, `m`, `h` or `d`; sizes one and `KiB`, `MiB` or `GiB`; rates end in `/s`.
- Secrets never stand in the file. `*_file` names a file, read anew each time the secret is used (one newline at its
  end is dropped); `*_env` names an environment variable.
- Relative paths start at the configuration file's directory, `~` is the home directory.
"""
_PATTERNS = """\
Patterns are globs: `*` is anything but a slash, `**` anything, `?` one character but a slash; `team/**` is all below
`team`, `**/app` is `app` at any depth. Tags also go by `semver:>=1.2 <3` (ranges as in npm; for tags that are whole
versions, with or without a leading `v`; a pre-release only where the range names one of the same version) and both by
`regex:EXPRESSION`, which must match the whole name. `!` before a pattern means "not". A name passes when any positive
pattern matches and no negative one does; only negative ones let through all but those.
"""
_HEADINGS = {"version": "Registries", "rules": "Rules", "webhooks": "Webhooks", "admin": "The daemon itself"}
_TEXTS = {"rules": _PATTERNS}
_SHARED = ("primary", "replicas[]")


@dataclass(frozen=True, slots=True)
class _Key:
    """One key as the reference shows it."""

    path: str
    type: str
    default: str
    meaning: str
    supported: bool


def reference() -> str:
    """Return the whole page as Markdown."""
    lines = [_INTRODUCTION]
    table: list[_Key] = []
    schema = json_schema()
    for name, part in schema["properties"].items():
        if name in _HEADINGS:
            lines += [*_table(table), f"## {_HEADINGS[name]}", "", *_TEXTS.get(name, "").splitlines()]
            lines += [""] if name in _TEXTS else []
            table = []
        table += _keys(schema, name, part, required=name in schema["required"])
    return "\n".join([*lines, *_table(table)]).rstrip() + "\n"


def _keys(schema: dict[str, Any], path: str, part: dict[str, Any], *, required: bool) -> Iterator[_Key]:
    """Yield a key and all below it."""
    supported = part.get("not") != {}
    yield _Key(
        path=path,
        type=_type(schema, part) if supported else "",
        default="required" if required else _default(part),
        meaning=resolve(schema, part)["description"],
        supported=supported,
    )
    known = _known(schema, path, part)
    if known:
        yield _Key(f"{path}.*", "", "", f"As of `{known}`.", supported=True)
        return
    inside, suffix = _inside(schema, part)
    first, other = _SHARED
    already = schema["$defs"]["PrimarySettings"]["properties"] if path + suffix == other else {}
    for name, below in inside.get("properties", {}).items():
        if already.get(name) != below:
            here = f"{path}{suffix}.{name}"
            yield from _keys(schema, here, below, required=name in inside.get("required", ()))
    if already:
        yield _Key(f"{other}.*", "", "", f"All other keys of `{first}`.", supported=True)


def _known(schema: dict[str, Any], path: str, part: dict[str, Any]) -> str:
    """Return the key of the primary that holds the same mapping as another section's, "" for none."""
    own, first = _mappings(part), _SHARED[0]
    if path.startswith(f"{first}.") or not own:
        return ""
    below = schema["$defs"]["PrimarySettings"]["properties"]
    return next((f"{first}.{name}" for name, each in below.items() if own & _mappings(each)), "")


def _mappings(part: dict[str, Any]) -> set[str]:
    return {each["$ref"] for each in (part, *part.get("anyOf", ())) if "$ref" in each}


def _inside(schema: dict[str, Any], part: dict[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the mapping that a key holds, and `[]` when it holds a list of them."""
    part = resolve(schema, part)
    for choice in part.get("anyOf", ()):
        if "$ref" in choice:
            return resolve(schema, choice), ""
    if "$ref" in part.get("items", {}):
        return resolve(schema, part["items"]), "[]"
    return part, ""


def _type(schema: dict[str, Any], part: dict[str, Any]) -> str:
    if "enum" in part or "const" in part:
        values = part.get("enum", [part.get("const")])
        return ", ".join(f"`{_written(value)}`" for value in dict.fromkeys(map(_written, values)))
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_type(schema, choice) for choice in part["anyOf"]))
    if "$ref" in part or part.get("type") == "object":
        return "mapping"
    if part.get("type") == "array":
        return f"list of {_type(schema, part['items'])}s"
    return str(part.get("title") or {"string": "text", "boolean": "true or false"}.get(part["type"], "number"))


def _default(part: dict[str, Any]) -> str:
    return f"`{_written(part['default'])}`" if "default" in part else ""


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(keys: list[_Key]) -> list[str]:
    """Return the rows of the keys that work, and one line that names the others."""
    if not keys:
        return []
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{key.path}` | {key.type} | {key.default} | {key.meaning} |" for key in keys if key.supported]
    missing = ", ".join(f"`{key.path}`" for key in keys if not key.supported)
    return [*rows, "", *([f"{NOT_YET.removesuffix('.')}: {missing}.", ""] if missing else [])]


if __name__ == "__main__":
    sys.stdout.write(reference())
