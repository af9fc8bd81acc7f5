"""Nets of torch's functions at hard points."""

from __future__ import annotations

import torch

import rnngraph as rg

from .by_torch import Function
from .cases import Entry
from .doors import Read
from .points import arrays_of


def read(entry: Entry) -> Read:
    """Read an entry's expression as a module."""
    used = compile(entry.case.expression, "", "eval").co_names
    arguments = {name: array for name, array in arrays_of(entry.points, entry.dtype).items() if name in used}
    example = {name: torch.from_numpy(array) for name, array in arguments.items()}
    net = rg.read_torch(Function(entry.case.expression), (example,))
    inputs = {name.removeprefix("at_"): name for name in net.inputs}
    return Read(arguments, net.program(), inputs, {name: name for name in net.outputs})
