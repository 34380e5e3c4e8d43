"""Fixtures that every test may take: registries, the event loop's kind, and guards over what a test leaves behind."""

import contextlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests.support.canaries import leaks
from tests.support.fake_clock import FakeClock
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.processes import LASTING, require_tool
from tests.support.registries import RUNNERS, DockerRegistry, Registry, Runner, run_registry
from tests.support.scratch import memory_folder

hypothesis.settings.register_profile("ci", deadline=None, print_blob=True)
hypothesis.settings.register_profile("prove", deadline=None, print_blob=True, max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in which a secret got into what was printed or logged."""
    del item, call
    report = yield
    found = [line for _, text in report.sections for line in leaks(text)]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"the test put a secret into its output: {found[:3]}"
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the product uses."""
    return "asyncio"


@pytest.fixture(scope="session")
def tools() -> None:
    """Fail, and say what to install, where a program that the tests run is missing."""
    for name in ("docker-registry", "skopeo", "setpriv", "prometheus", "promtool"):
        require_tool(name)


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """Fail a test that leaves a child process behind, and end that process.

    Fixtures of a wider scope are set up before this one, so what they run is known here; and what that runs in turn,
    such as a server's processes for each connection, is its own affair.
    """
    before = _children()
    known = {process.pid for process in before} - LASTING
    yield
    left = {process for process in _children() - before if _is_left(process, known)}
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(5)
    assert not left, f"the test left processes behind: {sorted(map(str, left))}"


@pytest.fixture(scope="session")
def shared_primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One docker-registry for the whole run. Use repository names of your own (`repository`), and never stop it."""
    with _running(tmp_path_factory, "primary") as registry:
        yield registry


@pytest.fixture(scope="session")
def shared_replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DockerRegistry, DockerRegistry]]:
    """Two more of them, to copy to."""
    with _running(tmp_path_factory, "replica-1") as first, _running(tmp_path_factory, "replica-2") as second:
        yield first, second


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[DockerRegistry]:
    """Run a docker-registry of the test's own, which it may stop, pause and damage."""
    async with run_registry(tmp_path) as running:
        yield running


@pytest.fixture(params=list(RUNNERS))
async def any_registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    """Run one registry of each kind in turn (see tests/support/registries.py), the test's own."""
    runner: Runner = RUNNERS[request.param]
    async with runner(tmp_path) as running:
        yield running


@pytest.fixture
async def permissive() -> AsyncIterator[PermissiveRegistry]:
    """Run a registry of the test's own that takes manifests without looking for their blobs."""
    async with run_permissive() as running:
        yield running


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Yield a folder in shared memory: for a store of which something is measured that no disk may take part in."""
    folder = memory_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def repository() -> str:
    """Return a repository name that no other test has."""
    return f"test/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that stands still until advanced."""
    return FakeClock()


@contextlib.contextmanager
def _running(factory: pytest.TempPathFactory, name: str) -> Iterator[DockerRegistry]:
    registry = DockerRegistry(factory.mktemp(name), name=name)
    try:
        registry.launch()
        registry.wait_ready()
        yield registry
    finally:
        registry.discard()


def _is_left(process: psutil.Process, known: set[int]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not known & {one.pid for one in process.parents()} and not LASTING & {process.pid, process.ppid()}
    return False


def _children() -> set[psutil.Process]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add(process)
    return found
