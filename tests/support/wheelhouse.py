"""Wheels made of what is installed, so that pip can install it elsewhere without a network."""

import importlib.metadata
import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path

_OF_THE_INSTALLER = {"INSTALLER", "REQUESTED", "direct_url.json"}


def make_wheels(folder: Path, packages: Iterable[str]) -> None:
    """Put a wheel of each installed package into `folder`; their commands come from entry_points.txt as ever."""
    here = Path(sysconfig.get_path("purelib"))
    for package in packages:
        found = importlib.metadata.distribution(package)
        lines = (found.read_text("WHEEL") or "").splitlines()
        parts = zip(*(line[5:].split("-") for line in lines if line.startswith("Tag: ")), strict=True)
        tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
        name = found.metadata["Name"].replace("-", "_").replace(".", "_")
        with zipfile.ZipFile(folder / f"{name}-{found.version}-{tag}.whl", "w", zipfile.ZIP_STORED) as wheel:
            for path in found.files or ():
                foreign = ".." in path.parts or "__pycache__" in path.parts or path.name in _OF_THE_INSTALLER
                if not foreign and (here / path).is_file():
                    wheel.write(here / path, str(path))
