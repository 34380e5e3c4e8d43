"""The YAML file as plain data, with the line on which each key stands.

Stricter than YAML: one document, text keys, no duplicate keys, no values left empty, no tags, bounded aliases.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from replicator.model import shown
from replicator.settings.mistakes import KeyPath, Mistake

DEFAULT_CONFIG = Path("/etc/replicator/replicator.yaml")
"""Where the file is when nobody names another."""
DEFAULT_ADMIN = "127.0.0.1:9464"
"""`admin.listen` of a file that does not say."""
_MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_VALUES = 50_000
"""How many values a file may have once its aliases are followed."""
_YAML = "tag:yaml.org,2002:"
_NAMES_TEXT = re.compile(r"(alias|anchor|handle) .*", re.DOTALL)


@dataclass(slots=True)
class Document:
    """What a file says: `data`, the line of each key path, and what is wrong with it as YAML."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


class _TooMuch(yaml.YAMLError):
    """The file is nested too deeply or grows too large through its aliases."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with a limit to nesting, which it would otherwise follow into a RecursionError."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node and what is in it."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _TooMuch
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_document(raw: bytes) -> Document:
    """Return what the bytes of a file say. Mistakes are collected in the document, never raised."""
    document = Document()
    if len(raw) > _MAX_BYTES:
        document.mistakes.append(Mistake((), "is longer than 1 MiB", "give a configuration file"))
        return document
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        if node is not None:
            document.lines[()] = _line(node)
            document.data = _Builder(loader, document).build(node, ())
        if document.data is None and not document.mistakes:
            document.mistakes.append(Mistake((), "is empty", "start from config/replicator.minimal.yaml"))
    except UnicodeDecodeError as error:
        document.lines[()] = raw[: error.start].count(b"\n") + 1
        document.mistakes.append(Mistake((), "is not UTF-8 text", "save it as UTF-8"))
    except _TooMuch:
        document.mistakes.append(_too_much())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.lines[()] = mark.line + 1 if mark else 1
        document.mistakes.append(Mistake((), f"is not YAML here ({_problem(error)})", "mend the syntax"))
    except yaml.YAMLError:
        document.mistakes.append(Mistake((), "holds control characters", "remove them"))
    return document


@dataclass(slots=True)
class _Builder:
    """Turns nodes into plain data and keeps their lines."""

    loader: _Loader
    document: Document
    values: int = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.values += 1
        if self.values > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise _TooMuch
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_YAML}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_YAML}seq":
            return self._sequence(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._tagged(path)
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(path, "has a key that is not text", "write keys as plain words")
                continue
            key: str = key_node.value
            here = (*path, key)
            if key in data:
                wrong = f"is written twice, first on line {self.document.lines[here]}"
                self.document.mistakes.append(Mistake(here, wrong, "keep one of them", _line(key_node)))
                continue
            self.document.lines[here] = _line(key_node)
            data[key] = self._value(value_node, here)
        return {key: value for key, value in data.items() if value is not None}

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        data = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self.document.lines[here] = _line(item)
            data.append(self._value(item, here))
        return data

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        before = len(self.document.mistakes)
        value = self.build(node, path)
        if value is None and len(self.document.mistakes) == before:
            self._mistake(path, "has no value", "write one, or remove the key")
        return value

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind = node.tag.removeprefix(_YAML)
        if kind in {"str", "timestamp", "value"}:
            return node.value
        if kind == "null":
            return None
        if kind not in {"bool", "int", "float"}:
            self._tagged(path)
            return None
        try:
            # Text behind an explicit tag may not be what the tag says; PyYAML then raises bare built-in errors.
            return self.loader.construct_object(node)
        except (ValueError, KeyError):
            self._mistake(path, f"cannot be read as a YAML {kind}", "write the plain value")
            return None

    def _tagged(self, path: KeyPath) -> None:
        self._mistake(
            path, "has a YAML tag (!)", "write the plain value, in quotes if it starts with an exclamation mark"
        )

    def _mistake(self, path: KeyPath, wrong: str, right: str) -> None:
        self.document.mistakes.append(Mistake(path, wrong, right))


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _too_much() -> Mistake:
    return Mistake((), "is nested too deeply or grows too large through its aliases", "write the values out")


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Return the parser's own words without the text from the file, which may be a secret written bare."""
    return shown(_NAMES_TEXT.sub(r"\1", error.problem or ""))[1:-1]
