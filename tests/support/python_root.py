"""A Python with this project in a folder, as it would be installed: for roots of containers and of whole systems.

Nothing is downloaded. What is copied is the interpreter that runs the tests, its library, the packages of the runtime
and the shared libraries they need. Those that lie in no usual place come into PREFIX/lib, and LD_LIBRARY_PATH has to
name it: another Python may be there already.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "config-*", "site-packages")
_LOADER = re.compile(r"(?:=> )?(/\S+) \(0x")


PREFIX = "/opt/python"
"""Where the interpreter is installed."""


def install_python(root: Path) -> str:
    """Put interpreter and library below `root` and return the interpreter's path as seen from there."""
    target = root / PREFIX.lstrip("/")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = target / "bin" / version
    program.parent.mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), program)
    library = target / "lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_LEFT_OUT, symlinks=True)
    (library / "site-packages").mkdir()
    for extension in (program, *library.rglob("*.so")):
        install_libraries(root, extension)
    return f"{PREFIX}/bin/{version}"


def install_project(root: Path, python: str) -> None:
    """Put this project and what it needs at runtime beside an installed `python`, and the command into /usr/local."""
    folder = next((root / python.lstrip("/")).parents[1].glob("lib/python*/site-packages"))
    here = Path(sysconfig.get_path("purelib"))
    for package in sorted(requirements("replicator")):
        for path in importlib.metadata.files(package) or ():
            if ".." not in path.parts and (here / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(here / path, folder / path)
                if path.suffix == ".so":
                    install_libraries(root, folder / path)
    shutil.copytree(_PROJECT / "replicator", folder / "replicator", ignore=_LEFT_OUT)
    command = root / "usr/local/bin/replicator"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f"#!{python}\nfrom replicator.cli.main import main\nmain()\n")
    command.chmod(0o755)


def install_libraries(root: Path, binary: Path) -> None:
    """Put the shared libraries that `binary` needs below `root`, those of /usr and /lib at the same places."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    for found in _LOADER.findall(listed):
        source = Path(found)
        usual = source.is_relative_to("/lib") or source.is_relative_to("/lib64") or source.is_relative_to("/usr")
        target = root / found.lstrip("/") if usual else root / PREFIX.lstrip("/") / "lib" / source.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.resolve(), target)


def requirements(package: str, *extras: str) -> set[str]:
    """Return the installed packages that `package` with `extras` needs at runtime, directly or through others."""
    found: set[tuple[str, str]] = set()
    waiting = [(package, extra) for extra in ("", *extras)]
    while waiting:
        wanted = waiting.pop()
        if wanted not in found:
            found.add(wanted)
            waiting += _runtime_requirements(*wanted)
    return {name for name, _ in found} - {package}


def _runtime_requirements(package: str, extra: str) -> Iterator[tuple[str, str]]:
    """Yield what an extra of a package, or the package itself (""), adds: names, each with every extra of its own."""
    for requirement in importlib.metadata.requires(package) or ():
        name = re.match(r"([A-Za-z0-9._-]+)(?:\[([^]]*)\])?", requirement)
        of = re.search(r"""extra == ['"]([^'"]+)['"]""", requirement)
        if name is None or (of[1] if of else "") != extra:
            continue
        try:
            importlib.metadata.distribution(name[1])
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or another Python
        yield name[1].lower(), ""
        for more in (name[2] or "").split(","):
            if more.strip():
                yield name[1].lower(), more.strip()
