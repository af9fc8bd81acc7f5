"""Chunks of a time axis and their length. A chunk's temporaries are the only memory besides what outlives it."""

from __future__ import annotations

from ...ir.graph import Node
from ...ir.types import ITEM_BYTES, Dim, Shape, evaluate, product
from ...support.records import dataclass
from ..analysis.kernel_fusion import FusedKernels
from ..machine.target import Target
from .register_tiles import OPEN_ROWS

LONGEST_CHUNK = 1 << 30  # all steps, in numbers of 32 bits too
ROWS_OF_A_CHUNK = 128


@dataclass(frozen=True)
class TimeChunk:
    """Present chunk of a time axis of ``length`` steps: ``steps`` steps from ``start``, at most ``longest``.

    With ``reverse``, the last chunk comes first, and in it the last step.
    """

    length: Dim
    start: Dim
    steps: Dim
    reverse: bool
    longest: int

    def is_axis(self, shape: Shape, axis: int) -> bool:
        """True if an axis is the time axis, of which a chunk has a part."""
        return axis == 0 and len(shape) > 1 and shape[0] == self.length

    @property
    def estimated_steps(self) -> int:
        """Number of steps that estimates assume."""
        return OPEN_ROWS if self.longest >= LONGEST_CHUNK else self.longest


def chunk_length(
    target: Target, fused: FusedKernels, leaving: set[Node], length: Dim, most: int | None = None
) -> int:  # fmt: skip
    """Return the steps of a chunk; all steps if there are no temporaries.

    A chunk has enough rows to amortise reloading the weights, and sums over time that exceed the second cache.

    Args:
        leaving: Values that outlive the chunk.
        most: Maximum steps for whose temporaries there is memory.
    """
    rows = 0
    for node in fused.stored:
        if node.op != "scan" and node not in leaving and node.tensor.rank > 1:
            open_sizes = dict.fromkeys(node.tensor.symbols, OPEN_ROWS)
            rows = max(rows, 1, evaluate(product(node.shape[1:-1]), open_sizes))
    if not rows:
        return LONGEST_CHUNK
    sums = [kernel.first for kernel in fused.kernels if kernel.kind == "outer_sum"]
    far = sum(evaluate(product(node.shape), {}) * ITEM_BYTES[node.dtype] for node in sums)
    wanted = ROWS_OF_A_CHUNK * (2 if far > target.second_cache // 4 else 1)
    steps = -(-wanted // rows)
    steps = steps // 8 * 8 if steps >= 8 else steps
    steps = steps if most is None else min(steps, most)
    return min(steps, length) if isinstance(length, int) and length > 0 else steps
