"""The real daemon that dies by kill -9 at a chosen point of its work, or whose wall clock jumps.

`python -m tests.support.altered -c FILE run`, with in the environment

- `ALTERED_DEATH="before|after MODULE NAME FLAG"`: it kills itself when that function of the module (`Class.method`)
  is called, or has returned. FLAG is a file, which is made then: where it is, nothing happens any more.
- `ALTERED_CLOCK=FILE`: the seconds that stand there are added to the wall clock, whenever it is read.
"""

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replicator.cli.main import main
from replicator.clock import SystemClock


def death(moment: str, module: str, name: str, flag: Path) -> dict[str, str]:
    """Return the environment of a daemon that dies once at that point."""
    return {"ALTERED_DEATH": f"{moment} {module} {name} {flag}"}


def clock(file: Path) -> dict[str, str]:
    """Return the environment of a daemon whose wall clock is ahead by what stands in `file`, and write 0 there."""
    file.write_text("0")
    return {"ALTERED_CLOCK": str(file)}


def leap(file: Path, ahead: float) -> None:
    """Write how far that clock is ahead from now on, at one moment: it is read all the time."""
    written = file.with_name(f"{file.name}.next")
    written.write_text(str(ahead))
    written.replace(file)


def _die(flag: Path) -> None:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _arm(moment: str, module: str, name: str, flag: Path) -> None:
    *path, last = name.split(".")
    holder = functools.reduce(getattr, path, importlib.import_module(module))
    original: Callable[..., Any] = getattr(holder, last)

    @functools.wraps(original)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            _die(flag)
        result = original(*args, **kwargs)
        if moment == "after":
            _die(flag)
        return result

    @functools.wraps(original)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            _die(flag)
        result = await original(*args, **kwargs)
        if moment == "after":
            _die(flag)
        return result

    setattr(holder, last, awaited if inspect.iscoroutinefunction(original) else plain)


def _move(file: Path) -> None:
    original = SystemClock.now

    def now(self: SystemClock) -> float:
        return original(self) + float(file.read_text() or 0)

    SystemClock.now = now  # type: ignore[method-assign]  # that is the point


if __name__ == "__main__":
    if said := os.environ.get("ALTERED_DEATH"):
        wanted, where, what, mark = said.split()
        _arm(wanted, where, what, Path(mark))
    if ahead := os.environ.get("ALTERED_CLOCK"):
        _move(Path(ahead))
    main()
