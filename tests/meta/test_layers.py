"""Which module may import which, and how big one may be. import-linter holds the layers, this holds the rest."""

import ast
import graphlib
import itertools
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.meta.tree import PACKAGE, ROOT, Module, imported, modules

LINES = {PACKAGE: 300, "tests": 400, "grafana": 300}
TEST_LINES = 700  # a file of tests has no inner structure to get lost in
LONGER_MODULES = {
    "tests/contract/test_store.py": 950,  # one contract, which a second store will have to pass as a whole
}

# Third-party packages that only some of our modules may import: the edges where their exceptions are mapped.
FENCES = {
    "aiohttp": (
        *("replicator.registry", "replicator.intake", "replicator.admin", "replicator.daemon"),
        "replicator.notify",
    ),
    "alembic": ("replicator.store",),
    "botocore": ("replicator.registry.logins.ecr_api",),
    "azure": ("replicator.registry.logins.entra",),
    "click": ("replicator.cli",),
    "prometheus_client": ("replicator.observability",),
    "nats": ("replicator.intake.nats_connection", "replicator.intake.nats_feed", "replicator.intake.nats_probe"),
    "nkeys": ("replicator.intake.nats_login",),
    "google": ("replicator.registry.logins.google_token",),
    "pydantic": ("replicator.settings",),
    "rich": ("replicator.cli",),
    "semantic_version": ("replicator.settings", "replicator.routing"),
    "sqlalchemy": ("replicator.store",),
    "yaml": ("replicator.settings", "replicator.cli.configuration"),
}
# Types of these appear in the interface of the package they belong to, which pins their version.
COMPANIONS = {"aiohttp": {"multidict", "yarl"}, "pydantic": {"pydantic-core"}}
PURE = (
    "manifest",
    "routing",
    "plan",
    "platforms",
    "referrers",
    "retry",
    "model",
    "news",
    "heard",
    "errors",
    "strict_json",
    "intake.formats",
)
IMPURE = {
    *("aiohttp", "anyio", "asyncio", "http", "os", "pathlib", "random", "select", "socket", "sqlalchemy", "sqlite3"),
    *("ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "replicator.clock"),
}


def within(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def first_party(module: Module) -> set[str]:
    known = {one.name for one in modules()}
    # `from package import name` names the package too, which is no edge when the name is a module in it.
    targets = {name for name in module.imports if name in known and name != PACKAGE}
    return {name for name in targets if not any(other != name and within(other, name) for other in targets)}


def test_no_import_cycle() -> None:
    graph = {module.name: first_party(module) - {module.name} for module in modules()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as cycle:
        pytest.fail(" -> ".join(cycle.args[1]))


def test_every_module_stands_in_a_layer() -> None:
    """A module that the contract of import-linter does not name could import anything."""
    tools = project()["tool"]
    assert isinstance(tools, dict)
    listed = {
        name for layer in tools["importlinter"]["contracts"][0]["layers"] for name in re.split(r"[\s|:()]+", layer)
    }
    tops = {".".join(module.name.split(".")[:2]) for module in modules()} - {PACKAGE}
    assert tops <= listed


@pytest.mark.parametrize("package", FENCES)
def test_third_party_io_stays_behind_its_fence(package: str) -> None:
    inside = FENCES[package]
    trespassers = [
        module.name
        for module in modules()
        if not within(module.name, *inside) and any(within(name, package) for name in module.imports)
    ]
    assert trespassers == []


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_no_clock_and_no_io(name: str) -> None:
    found = {
        (module.name, what)
        for module in modules()
        if within(module.name, f"{PACKAGE}.{name}")
        for what in module.imports
        if within(what, *IMPURE)
    }
    assert found == set()


def test_first_party_imports_stand_at_the_top() -> None:
    """An import inside a function hides an edge, and usually a cycle."""
    lazy = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if any(within(name, PACKAGE) for name in imported(node))
    ]
    assert lazy == []


def test_package_files_hold_a_docstring_only() -> None:
    """What a package offers is imported from the module that defines it. Only the root also knows its version."""
    fat = [
        str(module.path)
        for module in modules()
        if module.is_package
        and (ast.get_docstring(module.tree) is None or any(map(defines_more, module.tree.body[1:])))
    ]
    assert fat == []


def defines_more(statement: ast.stmt) -> bool:
    return not (isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__")


def test_no_module_is_too_long() -> None:
    lengths = {module.path: len(module.source.splitlines()) for top in LINES for module in modules(top)}
    assert [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > limit(path)] == []


def limit(path: Path) -> int:
    usual = TEST_LINES if path.name.startswith("test_") else LINES[path.parts[0]]
    return LONGER_MODULES.get(str(path), usual)


def test_each_module_can_be_imported_without_a_warning() -> None:
    """In any order, which an ordering by name backwards stands for: the most particular come first."""
    script = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    import_by(script, sorted(importable(), reverse=True))


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_each_module_can_be_imported_alone() -> None:
    """Importing any module first must work: nothing leans on what another one imported. It takes minutes."""
    script = (
        "import importlib, sys, traceback\n"
        "failed = 0\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [one for one in sys.modules if one.split('.')[0] == 'replicator']:\n"
        "        del sys.modules[loaded]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except BaseException:\n"
        "        failed = 1\n"
        "        print(name, traceback.format_exc(limit=-3))\n"
        "sys.exit(failed)\n"
    )
    import_by(script, importable())


def importable() -> list[str]:
    # Alembic imports its own scripts, by path.
    return [module.name for module in modules() if "migrations" not in module.path.parts]


def import_by(script: str, names: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("top", [PACKAGE, "tests"])
def test_what_is_imported_is_declared(top: str) -> None:
    """A package that is there only because another one needs it can go away with the next version of that one."""
    metadata = project()["project"]
    assert isinstance(metadata, dict)
    declared = list(metadata["dependencies"])
    ours = {"dev", "pictures"} if top == PACKAGE else set()
    extras = metadata["optional-dependencies"]
    declared += itertools.chain.from_iterable(extras[name] for name in extras.keys() - ours)
    names = {normal(re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0]) for one in declared}
    names |= {companion for name in names for companion in COMPANIONS.get(name, ())}
    homes = packages_distributions()
    undeclared = {
        name.split(".")[0]
        for module in modules(top)
        for name in module.imports
        if (homes_of := homes.get(name.split(".")[0])) and not names & {normal(home) for home in homes_of}
    }
    assert undeclared - {PACKAGE} == set()


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
