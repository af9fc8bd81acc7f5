"""``rnngraph explore``: a net as one page, from a script, a saved program, or a file of another format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..formats.net import SCRIPT
from ..program.program import Program
from .file_kinds import SUFFIXES, read_file
from .verify_net import script_of


def explore_net(
    file: Path, page: Path | None, fixed: Mapping[str, Any], program_of: Callable[[Path], Program]
) -> None:  # fmt: skip
    """Writes the page and prints where it is.

    page: None: NAME.html, here. fixed: values of inputs of an ONNX file. program_of: gives the program of a script or
    of a directory.
    """
    target = Path.cwd() / (page or f"{file.resolve().stem}.html")
    if file.is_file() and file.suffix.lower() in SUFFIXES:
        _, net = read_file(file, fixed)
        # As ``rnngraph import`` would write it, so that the page has a script. Its lines are named from where it is.
        with TemporaryDirectory() as folder:
            net.save(folder)
            with chdir(folder):
                size = _written(program_of(Path(SCRIPT)), target, file.name)
    else:
        size = _written(program_of(script_of(file)), target, file.resolve().name)
    print(f"{page or target.name}: {size / 1e3:,.0f} kB")


def _written(program: Program, target: Path, title: str) -> int:
    """Writes a page; its size."""
    return len(program.explore(target, title=title).encode("utf-8", "replace"))
