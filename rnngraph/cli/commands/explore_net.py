"""``rnngraph explore``: write the explorer page of a script, a saved program or a file of another format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...formats.net import SCRIPT
from ...inspection.profile.profile import Profile
from ...program.callable_graph import CallableGraph
from ...program.program import Program
from ...runtime.calls.random_feeds import random_feeds
from ...support.errors import RnnGraphError
from .command_error import CommandError
from .file_kinds import SAVED_MODEL, SUFFIXES, ReadOptions, read_file, script_of
from .progress import progress

SECONDS = 0.5
"""Seconds to spend on timed calls of each graph."""


def explore_net(
    file: Path,
    page: Path | None,
    fixed: Mapping[str, Any],
    max_entries: int | None,
    sizes: tuple[int, int] | None,
    program_of: Callable[[Path], Program],
) -> None:
    """Write the explorer's HTML page of a net, and print the page's path and size.

    Args:
        file: A script, the directory of a saved program, or a file of another format.
        page: The page; None for ``NAME.html`` in the working directory.
        fixed: Values of inputs of a file of another format, or sizes of their axes, as for ``read_file``.
        max_entries: Maximum size of an array in such a file; None for the reader's default.
        sizes: (batch, steps) of timed calls; None for no profile.
        program_of: Function that loads the program of a script or directory.

    Raises:
        CommandError: The file cannot be read, or an option does not apply to it.
    """
    target = Path.cwd() / (page or f"{file.resolve().stem}.html")
    if (file.is_file() and file.suffix.lower() in SUFFIXES) or (file / SAVED_MODEL).is_file():
        _, net = read_file(file, ReadOptions(fixed, max_entries=max_entries))
        # Convert the file as ``rnngraph import`` does, so that the page has a script. Paths are relative to its folder.
        with TemporaryDirectory() as folder:
            net.save(folder)
            with chdir(folder):
                size = _write_page(program_of(Path(SCRIPT)), target, file.name, sizes)
    else:
        if fixed or max_entries is not None:
            raise CommandError(f"--fixed and --max-entries are for files of other formats, not {file}; leave them out")
        size = _write_page(program_of(script_of(file)), target, file.resolve().name, sizes)
    print(f"{page or target.name}: {size / 1e3:,.0f} kB")


def _write_page(program: Program, target: Path, title: str, sizes: tuple[int, int] | None) -> int:
    """Write the explorer's HTML page of a program, and return its size in bytes."""
    profiles = [] if sizes is None else [_profile(graph, *sizes) for graph in (program.training, program.inference)]
    with progress(f"making the page of {title}"):
        return len(program.explore(target, title=title, profile=profiles).encode("utf-8", "replace"))


def _profile(graph: CallableGraph[Any], batch: int, steps: int) -> Profile:
    """Return a profile of calls of a graph on random arrays. Errors name the graph."""
    called: Any = graph
    try:
        with progress(f"timing the {graph.kind} graph"):
            profile: Profile = called.profile(random_feeds(graph.full_graph(), batch, steps), seconds=SECONDS)
    except RnnGraphError as error:
        raise CommandError(f"the {graph.kind} graph: {error.what}") from error
    return profile
