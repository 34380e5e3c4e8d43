"""The scaffolding: pins, the Makefile, CI."""

import itertools
import os
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

import replicator
from tests.meta.tree import ROOT, files

PIN = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+")
PINNED_ACTION = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
WORKFLOWS = [path for path in files() if path.parts[:2] == (".github", "workflows")]


def project() -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return metadata


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]).lower()


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    assert [line for line in constraints() if not PIN.fullmatch(line)] == []


def test_every_dependency_is_pinned() -> None:
    wanted = [*project()["dependencies"], *itertools.chain.from_iterable(project()["optional-dependencies"].values())]
    assert {name_of(one) for one in wanted} <= {name_of(one) for one in constraints()}


def test_the_version_is_the_same_everywhere() -> None:
    assert project()["version"] == replicator.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert "## [Unreleased]" in changelog or released[0] == replicator.__version__


def test_help_lists_every_target() -> None:
    phony = set(re.findall(r"^\.PHONY: (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"^ +make (\w+)", listed, re.MULTILINE)) == phony


def test_ci_run_is_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "exec make test"


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_workflows_pin_their_actions_and_bound_their_jobs(path: str) -> None:
    """Actions by commit, no permission that a job does not ask for, and no job that can run for hours by accident."""
    workflow = yaml.safe_load((ROOT / path).read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] > 0, name
        for step in job["steps"]:
            assert "uses" not in step or PINNED_ACTION.fullmatch(step["uses"]), step
            assert "run" not in step or re.fullmatch(r"\.ci/run|make [\w= ]+", step["run"]), step
