"""Arguments that several commands share, and their parsers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .commands.file_kinds import fixed_input, opened_axis

_FIXED = (
    "value of an input on which the graph of a .onnx or .pb file depends; 'INPUT[AXIS]=NUMBER' is the size of an axis, "
    "also for .keras and .h5 files; may be repeated"
)
_OPEN = "name of an axis that may have any size, for .onnx, .pb, .keras and .h5 files; may be repeated"


BATCH, STEPS = 1, 100
"""Sizes of timed calls, unless the options give others."""


def add_output(command: argparse.ArgumentParser, metavar: str, text: str, *former: str) -> None:
    """Add the options ``-o`` and ``--output``, and ``former`` ones that still work."""
    command.add_argument("-o", "--output", *former, type=Path, metavar=metavar, help=text)


def add_sizes(command: argparse.ArgumentParser) -> None:
    """Add the options ``--batch`` and ``--steps``, the sizes of timed calls."""
    every = f"every symbolic size except time (default {BATCH})"
    command.add_argument("--batch", type=positive, default=BATCH, help=every)
    command.add_argument("--steps", type=positive, default=STEPS, help=f"length of sequences (default {STEPS})")


def add_fixed(command: argparse.ArgumentParser) -> None:
    """Add the option ``--fixed``, which sets inputs of a file to values."""
    command.add_argument("--fixed", type=_fixed, action="append", default=[], metavar="INPUT=NUMBER", help=_FIXED)


def add_open(command: argparse.ArgumentParser) -> None:
    """Add the option ``--open``, which makes axes of inputs symbolic."""
    command.add_argument("--open", type=_open, action="append", default=[], metavar="INPUT[AXIS]=NAME", help=_OPEN)


def add_max_entries(command: argparse.ArgumentParser) -> None:
    """Add the option ``--max-entries``, which limits arrays and loops of a file."""
    command.add_argument(
        "--max-entries", type=positive, metavar="N", help="maximum entries of an array or loop (2**28)"
    )


def add_max_steps(command: argparse.ArgumentParser) -> None:
    """Add the option ``--max-steps``, the number of steps of loops whose end depends on the data."""
    text = "steps to run of loops whose end depends on the data, for .pb files"
    command.add_argument("--max-steps", type=positive, metavar="N", help=text)


def positive(text: str) -> int:
    """Return a positive int from an argument's text. Raise ``argparse.ArgumentTypeError`` for any other text."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def _fixed(text: str) -> tuple[str, Any]:
    """Parse ``INPUT=NUMBER`` or ``INPUT[AXIS]=NUMBER``. Raise ``argparse.ArgumentTypeError`` for any other text."""
    try:
        return fixed_input(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form INPUT=NUMBER, such as sr=16000, or 'INPUT[AXIS]=NUMBER', such as 'x[1]=200'"
        ) from None


def _open(text: str) -> tuple[str, dict[int, str]]:
    """Parse ``INPUT[AXIS]=NAME``. Raise ``argparse.ArgumentTypeError`` for any other text."""
    try:
        return opened_axis(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 'INPUT[AXIS]=NAME', such as 'x[3]=W'") from None
