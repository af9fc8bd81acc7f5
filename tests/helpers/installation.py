"""Choice of the copy of the package to test: the installed one, not the checkout in which pytest is started.

``python -m pytest`` puts the current folder first on the path, so that the checkout would hide the wheel that ``pip
install .`` built, and a file that the wheel lacks would never be missed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "rnngraph"


def is_installed() -> bool:
    """True if the package is installed. False if it is merely on the path, as in the roots of ``tools/platforms``."""
    return any(importlib.metadata.distributions(name=NAME))


def editable() -> bool:
    """True if the checkout itself is tested: installed with ``-e``, or not installed at all."""
    if not is_installed():
        return True
    url = importlib.metadata.distribution(NAME).read_text("direct_url.json")
    return bool(json.loads(url or "{}").get("dir_info", {}).get("editable"))


def prefer_the_installed_package() -> None:
    """Remove the checkout from the path, unless it is installed. Processes that tests start import the same copy."""
    if not editable():
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package().parent), os.environ.get("PYTHONPATH")]))


def package() -> Path:
    """Return the folder of the package that tests import."""
    import rnngraph

    assert rnngraph.__file__ is not None
    return Path(rnngraph.__file__).resolve().parent


def files(folder: Path) -> dict[str, bytes]:
    """Return the package's files without generated ones, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


prefer_the_installed_package()
