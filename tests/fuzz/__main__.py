"""Fuzz every decoder of webhooks for a while: `make fuzz`, or `make fuzz ARGS='--seconds 600 acr ecr'`."""

import subprocess
import sys
from pathlib import Path

import click

from tests.support.decoding import DECODERS
from tests.support.webhook_samples import samples

_KEPT = Path("build/fuzz")
_MEGABYTES = 1024


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(DECODERS)))
@click.option("--seconds", default=20, show_default=True, help="For how long each.")
def main(names: tuple[str, ...], seconds: int) -> None:
    """Fuzz the decoders NAMES, all if none is named; what reached new code is kept in build/fuzz for the next time.

    Exits with 1 when one raised, took over two seconds, or returned what it must not.
    """
    broken = [name for name in names or sorted(DECODERS) if not _holds(name, seconds)]
    if broken:
        click.echo(f"broken: {', '.join(broken)}; the bytes are in build/fuzz", err=True)
        sys.exit(1)


def _holds(name: str, seconds: int) -> bool:
    folder = _KEPT / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples().values()):
        (folder / sample.name).write_bytes(bytes([number]) + sample.body)
    click.echo(f"== {name}")
    limits = [f"-max_total_time={seconds}", "-timeout=10", f"-rss_limit_mb={_MEGABYTES}", "-print_final_stats=1"]
    command = [sys.executable, "-m", "tests.fuzz.decoder", name, str(folder)]
    ended = subprocess.run([*command, *limits, f"-artifact_prefix={folder}-", "-verbosity=0"], check=False, text=True)
    return ended.returncode == 0


if __name__ == "__main__":
    main()
