"""``rnngraph profile``: where the time of calls on random arrays goes, and the layers that ``bench`` prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def profile_net(
    script: Path, program: Program, left: Mapping[str, Any], graph: str, batch: int, steps: int, seconds: float,
    plot: Path | None,
) -> None:  # fmt: skip
    """Prints the profile of one graph, or of a trainer's steps. left: names that the script left, ``trainer`` among
    them perhaps.
    """
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise CommandError(f"{plot}: a profile is drawn as {' or '.join(PICTURES)}")
    of = program.inference if graph == "inference" else program.training
    called: Any = of
    try:
        if graph == "step":
            trainer = left.get("trainer")
            called = trainer if isinstance(trainer, Trainer) else Trainer(program)
        with progress(f"timing the {graph} graph"):
            profile: Profile = called.profile(random_feeds(of.full_graph(), batch, steps), seconds=seconds)
    except RnnGraphError as error:  # made by the arrays of this command, at no line of the user's
        raise CommandError(f"{script}: {graph}: {error.what}") from error
    if sys.stdout.isatty():
        profile.print_to(console())
    else:
        sys.stdout.write(f"{profile}\n")
    if plot is not None:
        profile.plot(plot)


def print_layers(graph: CallableGraph[Any], feeds: Mapping[str, np.ndarray], seconds: float) -> None:
    """The table of layers alone; nothing on a processor on which calls can't be profiled."""
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
    """Standard output, as wide as the terminal."""
    wide = None if sys.stdout.isatty() else WIDTH
    return Console(highlight=False, width=wide, force_terminal=sys.stdout.isatty())
