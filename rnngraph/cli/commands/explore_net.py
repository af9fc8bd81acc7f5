"""``rnngraph explore``: a net as one page, from a script, a saved program, or a file of another format."""

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
from .file_kinds import SUFFIXES, read_file, script_of
from .progress import progress

SECONDS = 0.5
"""To spend on calls of each graph."""


def explore_net(
    file: Path, page: Path | None, fixed: Mapping[str, Any], max_entries: int | None,
    sizes: tuple[int, int] | None, program_of: Callable[[Path], Program],
) -> None:  # fmt: skip
    """Writes the page and prints where it is.

    page: None: NAME.html, here.
    fixed: values of inputs of an ONNX file.
    max_entries: of an array that a file declares; None: the readers' own bound.
    sizes: batch and steps of calls that are timed; None: none are.
    program_of: gives the program of a script or of a directory.
    """
    target = Path.cwd() / (page or f"{file.resolve().stem}.html")
    if file.is_file() and file.suffix.lower() in SUFFIXES:
        _, net = read_file(file, fixed, max_entries)
        # As ``rnngraph import`` would write it, so that the page has a script. Its lines are named from where it is.
        with TemporaryDirectory() as folder:
            net.save(folder)
            with chdir(folder):
                size = _written(program_of(Path(SCRIPT)), target, file.name, sizes)
    else:
        size = _written(program_of(script_of(file)), target, file.resolve().name, sizes)
    print(f"{page or target.name}: {size / 1e3:,.0f} kB")


def _written(program: Program, target: Path, title: str, sizes: tuple[int, int] | None) -> int:
    """Writes a page; its size."""
    profiles = [] if sizes is None else [_profile(graph, *sizes) for graph in (program.training, program.inference)]
    with progress(f"making the page of {title}"):
        return len(program.explore(target, title=title, profile=profiles).encode("utf-8", "replace"))


def _profile(graph: CallableGraph[Any], batch: int, steps: int) -> Profile:
    """A profile of calls on random arrays, which are at no line of the user's."""
    called: Any = graph
    try:
        with progress(f"timing the {graph.kind} graph"):
            profile: Profile = called.profile(random_feeds(graph.full_graph(), batch, steps), seconds=SECONDS)
    except RnnGraphError as error:
        raise CommandError(f"the {graph.kind} graph: {error.what}") from error
    return profile
