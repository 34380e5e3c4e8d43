"""`python -m tests.demo [--once]`: start everything, push two images, show what arrived, stay until Ctrl-C."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console
from rich.markup import escape

from tests.demo.arrivals import Wrong
from tests.demo.follow import follow
from tests.demo.images import pushes
from tests.demo.registries import NoRegistry
from tests.demo.stage import Stage, open_stage
from tests.demo.tables import arrival_table


async def demonstrate(console: Console, *, once: bool) -> None:
    """Start everything, push, show; then stay until cancelled unless `once`."""
    starting = console.status("starting a primary, two replicas and the daemon")
    with tempfile.TemporaryDirectory(prefix="replicator-demo-") as folder, starting as status:
        async with open_stage(Path(folder)) as stage:
            for push in pushes():
                status.update(f"pushing {push.repository}:{push.tag} to the primary")
                arrivals, source_read = await stage.watcher.push(push)
                console.print(arrival_table(push, arrivals, source_read), "")
            console.print("Every blob on the replicas was hashed, every manifest compared: all as pushed.")
            status.stop()
            if not once:
                invite(console, stage)
                async for line in follow(stage.log):
                    console.print(line, highlight=False)


def invite(console: Console, stage: Stage) -> None:
    """Print the addresses, and what to try."""
    watcher = stage.watcher
    addresses = {"primary": watcher.primary, **watcher.replicas, "metrics": f"{watcher.admin}/metrics"}
    primary = watcher.primary.partition("://")[2]
    replicator = Path(sys.executable).with_name("replicator")
    console.print("\n[bold]It all stays up; Ctrl-C ends it.[/bold]")
    for name, url in addresses.items():
        console.print(f"  {name:<9} {url}", highlight=False)
    console.print("\nPush into the primary, and watch it arrive below:")
    plain = "--src-tls-verify=false --dest-tls-verify=false"
    tries = {
        "skopeo": f"skopeo copy --all {plain} docker://{primary}/demo/app:1.0 docker://{primary}/my/app:1.0",
        "docker": f"docker pull alpine && docker tag alpine {primary}/alpine && docker push {primary}/alpine",
        "podman": f"podman pull alpine && podman push --tls-verify=false alpine {primary}/alpine",
    }
    shown = [line for tool, line in tries.items() if shutil.which(tool)] or list(tries.values())
    asks = [f"{replicator} -c {stage.config} {command}" for command in ("status", "wait demo/app:1.0")]
    for line in (*shown, *asks):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    console.print()


async def until_signal(console: Console, *, once: bool) -> None:
    """Run the demo until it ends or SIGINT or SIGTERM comes; everything that was started is stopped then."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                async for _ in signals:
                    console.print("\nstopping")
                    group.cancel_scope.cancel()

            group.start_soon(stop)
            await demonstrate(console, once=once)
            group.cancel_scope.cancel()


def main() -> int:
    """Return 0 when all replicas hold what was pushed, 1 with a reason otherwise."""
    arguments = argparse.ArgumentParser(prog="make demo", description=__doc__)
    arguments.add_argument("--once", action="store_true", help="check the replicas and leave")
    once = arguments.parse_args().once
    console = Console()
    failures: list[BaseException] = []
    try:
        anyio.run(partial(until_signal, console, once=once))
    except* (AssertionError, NoRegistry, Wrong, OSError) as group:
        failures += leaves(group)
    for failure in failures:
        console.print(f"[red]the demo failed:[/red] {escape(str(failure))}")
    return 1 if failures else 0


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions that a group holds, however deep."""
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from leaves(one)
        else:
            yield one


if __name__ == "__main__":
    sys.exit(main())
