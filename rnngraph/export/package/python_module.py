"""Python module that runs exported code with only ctypes and NumPy."""

from __future__ import annotations

from typing import Any

from ...ir.types import dim_text
from .description import Description, module_text
from .template import template

_STREAM_USAGE = """\
    net = Model()
    result = net.step(x=x_t)         # one time step: {output: array}
    result = net.process(x=chunk)    # a block of steps, with their axis"""
_SEQUENCE_USAGE = """\
    net = Model()
    result = net(x=x)                # whole sequences: {output: array}"""


def python_module(net: Description, described: dict[str, Any], library: str) -> str:
    """Return the text of ``NAME.py``, which loads the library named ``library``."""
    form, usage = ("stream", _STREAM_USAGE) if net.is_stream else ("sequence", _SEQUENCE_USAGE)
    parts = map(template, ("model_head.py.in", f"{form}_model.py.in", "model_tail.py.in"))
    shapes = "" if net.is_stream else _shapes(net)
    return module_text(
        "\n\n".join(parts), net, described, template("stream_flush.py.in"), usage=usage, shapes=shapes, library=library
    )


def _shapes(net: Description) -> str:
    """Return the shapes of all arrays as Python functions of sizes."""
    sizes = ", ".join(size.name for size in net.sequence.sizes)
    ports = (*net.sequence.inputs, *net.sequence.outputs)
    dims = {port.symbol: "".join(f"{dim_text(dim)}, " for dim in port.shape).rstrip() for port in ports}
    return "\n".join(f'    "{symbol}": lambda {sizes}: ({inside}),' for symbol, inside in dims.items())
