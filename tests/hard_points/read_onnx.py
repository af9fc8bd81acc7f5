"""Nets of ONNX's operators at hard points."""

from __future__ import annotations

import rnngraph as rg

from .cases import Entry
from .doors import Read
from .onnx_models import feeds_of, model_of


def read(entry: Entry) -> Read:
    """Read an entry's expression as a model."""
    net = rg.read_onnx(model_of(entry))
    return Read(
        feeds_of(entry), net.program(), {name: name for name in net.inputs}, {name: name for name in net.outputs}
    )
