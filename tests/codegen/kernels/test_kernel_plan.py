"""Plans of kernels list the values that a kernel reads."""

from __future__ import annotations

from rnngraph.codegen.buffers.memory import Memory
from rnngraph.codegen.buffers.views import View
from rnngraph.codegen.kernels.kernel_plan import values_read
from rnngraph.codegen.loop_ir.nodes import Buffer
from rnngraph.ir.graph import make
from rnngraph.ir.types import TensorType


def test_values_computed_in_place_are_traversed_once() -> None:
    """Each value of this chain is read twice by the next one, so that 2 ** 60 paths lead to the input."""
    source = make("input", label="x", type=TensorType("float32", (3,)))
    value = source
    for _ in range(60):
        value = make("add", value, value)
    member = make("tanh", value)
    views = {source: View(Buffer("x", "float32"), 0, (1,), (3,))}
    assert values_read([member], Memory(None, None, views)) == [source]  # type: ignore[arg-type]
