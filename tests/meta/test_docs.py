"""What the documents say is there, and what is there is in the documents."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from replicator.intake.formats.known import FORMATS
from replicator.observability.families import Families
from replicator.settings.load import load
from replicator.settings.reference import reference
from tests.meta.commands import commands
from tests.meta.tree import PACKAGE, ROOT, files, modules

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
GUIDES = [path for path in DOCUMENTS if path.parts[0] == "docs" and "decisions" not in path.parts]
GUIDE_LINES = 250
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(*paths: Path) -> str:
    return "\n".join((ROOT / path).read_text() for path in paths)


def test_every_command_is_described() -> None:
    described = text_of(*DOCUMENTS)
    assert [name for name in commands() if not re.search(rf"`(replicator )?{name}\b", described)] == []


def metrics() -> set[str]:
    registry = CollectorRegistry()
    Families(registry)
    suffixes = {"counter": "_total", "info": "_info"}
    ours = (family for family in registry.collect() if family.name.startswith("replicator_"))
    return {f"{family.name}{suffixes.get(family.type, '')}" for family in ours}


def test_every_metric_is_described_and_every_described_one_exists() -> None:
    described = set(re.findall(r"(?<![:\w])replicator_[a-z_]*[a-z]\b(?!:)", text_of(*DOCUMENTS)))
    assert metrics() - described == set()
    assert described - metrics() == set()


def test_every_format_of_webhooks_has_its_section() -> None:
    described = re.findall(r"^## `(\w+)`$", text_of(Path("docs/webhooks.md")), re.MULTILINE)
    assert sorted(described) == sorted([*FORMATS, "generic"])


def test_every_sender_of_webhooks_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text_of(Path("docs/webhooks.md")).partition("\n| format |")[2], re.MULTILINE)
    assert set(FORMATS) - {"auto"} <= set(rows)


def test_every_log_line_is_explained_and_every_explained_one_exists() -> None:
    names = {
        word
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Event")
        for word in re.findall(
            r"^    [A-Z_]+ = ['\"](\w+)['\"]", ast.get_source_segment(module.source, node) or "", re.MULTILINE
        )
    }
    assert len(names) > 10
    rows = text_of(Path("docs/logs.md")).partition("| event | says |")[2].splitlines()
    described = {name for row in rows if row.startswith("|") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert described == names


def test_every_runtime_dependency_has_its_reason() -> None:
    declared = tomllib.loads(text_of(Path("pyproject.toml")))["project"]["dependencies"]
    table = re.findall(r"^\| ([\w-]+) \|", text_of(Path("docs/decisions/0001-dependencies.md")), re.MULTILINE)
    assert {re.split(r"[<>=\[]", one)[0] for one in declared} == set(table) - {"package"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    targets = [link for link in LINK.findall(text_of(document)) if "://" not in link]
    assert [link for link in targets if not (ROOT / document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_named_in_documents_exist(document: Path) -> None:
    """Modules are named by path in backticks, never with line numbers, which nobody keeps right."""
    named = set(re.findall(rf"`((?:{PACKAGE}|tests|docs|config)/[\w./-]*)`", text_of(document)))
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert not re.search(r"\.py:\d", text_of(document))


def test_the_example_in_the_readme_is_valid(tmp_path: Path) -> None:
    blocks = [body for kind, body in FENCED.findall(text_of(Path("README.md"))) if kind == "yaml"]
    example = next(body for body in blocks if body.startswith("version:"))
    for name in set(re.findall(r"/run/secrets/([\w-]+)", example)):
        (tmp_path / name).write_text("secret\n")
    file = tmp_path / "replicator.yaml"
    file.write_text(example.replace("/run/secrets", str(tmp_path)))
    assert [replica.name for replica in load(file, {}).replicas] == ["eu-west"]


def test_the_configuration_reference_is_what_the_schema_says() -> None:
    assert text_of(Path("docs/configuration.md")) == reference(), "make docs writes it anew"


def test_architecture_names_every_package() -> None:
    described = text_of(Path("docs/architecture.md"))
    tops = {module.name.split(".")[1] for module in modules() if "." in module.name}
    assert [name for name in tops if not re.search(rf"`(?:{PACKAGE}/)?{name}(?:/|\.py)?`", described)] == []


def test_guides_stay_short() -> None:
    assert {str(one): lines for one in GUIDES if (lines := len(text_of(one).splitlines())) > GUIDE_LINES} == {}
