"""``rnngraph profile``: profile calls on random arrays, and print the table of layers for ``bench``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from ...inspection.profile.profile import PICTURES, WIDTH, Profile, duration
from ...program.callable_graph import CallableGraph
from ...program.program import Program
from ...runtime.calls.random_feeds import random_feeds
from ...support.errors import GraphError, RnnGraphError
from ...training.trainer import Trainer
from .command_error import CommandError
from .progress import progress


class ProfileRequest(NamedTuple):
    """Options of ``rnngraph profile``.

    Attributes:
        graph: ``"inference"``, ``"training"`` or ``"step"``.
        batch: Rows of the calls.
        steps: Length of the sequences.
        seconds: Time to spend on calls.
        plot: Image file to draw, ``.svg`` or ``.png``; None for no image.
    """

    graph: str
    batch: int
    steps: int
    seconds: float
    plot: Path | None


def profile_net(script: Path, program: Program, variables: Mapping[str, Any], request: ProfileRequest) -> None:
    """Profile one graph of a program, or a trainer's steps, on random inputs, and print the tables.

    Args:
        script: The script or directory, for errors.
        program: Its program.
        variables: Module-level variables of the script. ``trainer`` is profiled for ``"step"``, or a new Adam trainer.

    Raises:
        CommandError: The calls fail, or the image's format is not supported.
    """
    graph, batch, steps, seconds, plot = request
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise CommandError(f"{plot}: a profile's picture must end in {' or '.join(PICTURES)}")
    timed_graph = program.inference if graph == "inference" else program.training
    called: Any = timed_graph
    try:
        if graph == "step":
            trainer = variables.get("trainer")
            called = trainer if isinstance(trainer, Trainer) else Trainer(program)
        with progress(f"timing the {graph} graph"):
            profile: Profile = called.profile(random_feeds(timed_graph.full_graph(), batch, steps), seconds=seconds)
    except RnnGraphError as error:  # caused by arrays of this command, so no line of the script is to blame
        raise CommandError(f"{script}: {graph}: {error.what}") from error
    if sys.stdout.isatty():
        profile.print_to(console())
    else:
        sys.stdout.write(f"{profile}\n")
    if plot is not None:
        profile.plot(plot)


def print_layers(graph: CallableGraph[Any], feeds: Mapping[str, np.ndarray], seconds: float) -> None:
    """Profile a graph and print the table of layers; nothing if the processor does not support profiles."""
    called: Any = graph
    try:
        profile: Profile = called.profile(feeds, seconds=seconds)
    except GraphError:
        return
    also = "" if graph.kind == "inference" else ", with gradients where there is a loss"
    python = f"{duration(profile.python)} of {duration(profile.call)} in Python"
    out = console()
    out.print(f"\nlayers of a call{also}; {python}", markup=False, soft_wrap=True)
    profile.print_tables(out, ("layers",))


def console() -> Console:
    """Return a console for standard output, as wide as the terminal."""
    wide = None if sys.stdout.isatty() else WIDTH
    return Console(highlight=False, width=wide, force_terminal=sys.stdout.isatty())
