"""`python -m tests.pictures`: run a site through its story, ask Prometheus what the panels ask, draw docs/pictures.

With `--look DIRECTORY` they are drawn as PNG too, into that directory.
"""

import argparse
import tempfile
from pathlib import Path

import anyio

from tests.meta.tree import ROOT
from tests.pictures.asking import chart
from tests.pictures.catalogue import FOLDER, PICTURES
from tests.pictures.drawing import draw
from tests.pictures.story import tell, watched_site


async def make(look: Path | None) -> None:
    """Draw all pictures, into `look` as PNG too."""
    with tempfile.TemporaryDirectory(prefix="replicator-pictures-") as scratch:
        async with watched_site(Path(scratch)) as (site, prometheus):
            print("letting it happen: three and a half minutes", flush=True)
            told = await tell(site, prometheus)
            for picture in PICTURES:
                charts = [await chart(prometheus, shown, told.start, told.end) for shown in picture.shown]
                draw(charts, told.spans, picture.file, picture.title)
                print(f"{picture.file.relative_to(ROOT)}: {picture.file.stat().st_size / 1000:.0f} kB")
                if look is not None:
                    draw(charts, told.spans, look / f"{picture.name}.png", picture.title)


def main() -> None:
    """Read the command line and draw."""
    arguments = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    arguments.add_argument("--look", type=Path)
    look = arguments.parse_args().look
    FOLDER.mkdir(exist_ok=True)
    if look is not None:
        look.mkdir(parents=True, exist_ok=True)
    anyio.run(make, look)


if __name__ == "__main__":
    main()
