"""The files of this project, as the rules of the house look at them."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "replicator"
_HIDDEN_OURS = {".ci", ".github"}
_MADE = {"__pycache__", "build", "dist", "htmlcov"}


def _ours(directory: str) -> bool:
    if directory.startswith("."):
        return directory in _HIDDEN_OURS
    return directory not in _MADE and not directory.endswith(".egg-info")


@cache
def files() -> tuple[Path, ...]:
    """Every file of the tree that is not made by a tool, relative to ROOT."""
    found = []
    for folder, directories, names in os.walk(ROOT):
        directories[:] = filter(_ours, directories)
        # In a worktree of git, .git is a file.
        found += [(Path(folder) / name).relative_to(ROOT) for name in names if name != ".git"]
    return tuple(sorted(found))


def texts() -> Iterator[tuple[Path, str]]:
    """Each text file and what it holds."""
    for path in files():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file. `name` is dotted, `imports` are all modules it imports, wherever in the file."""

    path: Path
    name: str
    source: str
    tree: ast.Module
    imports: frozenset[str]

    @property
    def is_package(self) -> bool:
        """True for an __init__.py."""
        return self.path.name == "__init__.py"


@cache
def modules(top: str = PACKAGE) -> tuple[Module, ...]:
    """Every Python module below the directory `top`."""
    found = []
    for path in files():
        if path.suffix == ".py" and path.parts[0] == top:
            source = (ROOT / path).read_text(encoding="utf-8")
            tree = ast.parse(source, str(path))
            found.append(Module(path, _dotted(path), source, tree, frozenset(imported(tree))))
    return tuple(found)


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a piece of code imports; `from a import b` yields both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
