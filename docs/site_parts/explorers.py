"""Extension of Sphinx that writes explorer pages and pictures of three nets into the built site."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
NETS = {
    "leaky": "docs/leaky.py",
    "stack": "docs/stack.py",
    "attention": "docs/attention.py",
}
"""Scripts by the name of their page; each defines a ``program``."""
PICTURES = "docs/recurrences.py"
"""Script that defines ``programs`` by name, for which there are only pictures."""


def write_pages(app: Sphinx, error: Exception | None) -> None:
    """Write ``docs/guides/explore/NAME.html`` and ``NAME.svg`` next to the page that links to them."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "docs" / "guides" / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    path, sys.path = sys.path, [str(ROOT), *sys.path]
    try:
        for name, script in NETS.items():
            program = runpy.run_path(str(ROOT / script), run_name=name)["program"]
            program.explore(folder / f"{name}.html", title=name)
            program.plot(folder / f"{name}.svg")
        for name, program in runpy.run_path(str(ROOT / PICTURES), run_name="recurrences")["programs"].items():
            program.plot(folder / f"{name}.svg")
    finally:
        sys.path = path


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the module to Sphinx."""
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
