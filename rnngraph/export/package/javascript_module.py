"""JavaScript module that runs exported WebAssembly in browsers, audio worklets and Node.js."""

from __future__ import annotations

from typing import Any

from ...ir.sizes.polynomial import Dim, Floor, terms_of
from .description import Description, module_text
from .template import template

_STREAM_USAGE = """\
//     net.step({x: [0.5]});             // {output: Float32Array}, a view that the next call writes over
//     net.process({x: samples});        // a block of steps, the same bits"""
_SEQUENCE_USAGE = """\
//     net.run({x: samples});            // {output: Float32Array}, a view that the next call writes over
//     net.run({x: samples}, {batch: 2});"""


def javascript_module(net: Description, described: dict[str, Any]) -> str:
    """Return the text of ``NAME.mjs``."""
    form, usage, unit = ("stream", _STREAM_USAGE, "block") if net.is_stream else ("sequence", _SEQUENCE_USAGE, "call")
    names = ("net_head.mjs.in", f"{form}_net.mjs.in", "net_tail.mjs.in", f"{form}_count.mjs.in")
    shapes = "" if net.is_stream else _shapes(net)
    words = {"usage": usage, "unit": unit, "shapes": shapes}
    return module_text("\n".join(map(template, names)), net, described, template("stream_flush.mjs.in"), **words)


def _shapes(net: Description) -> str:
    """Return the shapes of all arrays as JavaScript functions of sizes."""
    sizes = ", ".join(size.name for size in net.sequence.sizes)
    ports = (*net.sequence.inputs, *net.sequence.outputs)
    dims = {port.symbol: ", ".join(map(_size_in_javascript, port.shape)) for port in ports}
    return "\n".join(f"  {symbol}: ({{ {sizes} }}) => [{inside}]," for symbol, inside in dims.items())


def _size_in_javascript(dim: Dim) -> str:
    """Return a size as a JavaScript expression."""
    terms = []
    for names, factor in terms_of(dim):
        floors = [f"Math.floor(({_size_in_javascript(n.dim)}) / {n.by})" if isinstance(n, Floor) else n for n in names]
        terms.append(" * ".join([str(factor), *floors] if factor != 1 or not names else floors))
    return " + ".join(terms) or "0"
