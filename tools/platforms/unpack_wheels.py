"""Unpack all wheels of a folder, as pip would install them, into a folder that is used on another machine."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path


def unpack(wheels: Path, site: Path) -> None:
    """Unpack wheels into a folder for ``PYTHONPATH``. Scripts and headers are left out."""
    site.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for data in site.glob("*.data"):
        for kind in ("purelib", "platlib"):
            if (data / kind).is_dir():
                shutil.copytree(data / kind, site, dirs_exist_ok=True)
        shutil.rmtree(data)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
