"""Lengths of chunks of time, which determine the memory of a loop's temporaries."""

from __future__ import annotations

from ...ir.graph import Node
from ...ir.node import is_batched_product
from ...ir.ops import MATRIX_PRODUCTS
from ...ir.types import Dim, Shape, evaluate, product
from ...support.records import dataclass
from ..analysis.kernel_fusion import FusedKernels
from ..machine.target import Target
from .register_tiles import OPEN_ROWS

MAX_CHUNK = 1 << 30
"""Number of steps that stands for a chunk of the whole sequence, however long it is. It fits in 32 bits."""
ROWS_OF_A_CHUNK = 128
"""Rows of a chunk. With fewer, reloading weights takes too much time; with more, temporaries leave the cache."""

MAX_ROW_RANK = 3
"""Rank of values [time, batch, units]. Trailing axes of size 1 are ignored in values of higher rank."""


@dataclass(frozen=True)
class TimeChunk:
    """Chunk of a time axis of ``length`` steps: ``steps`` steps from ``start``, at most ``longest``.

    With ``reverse``, the last chunk runs first, and within each chunk the last step.
    """

    length: Dim
    start: Dim
    steps: Dim
    reverse: bool
    longest: int

    def is_axis(self, shape: Shape, axis: int) -> bool:
        """True if an axis of a shape is the chunked time axis."""
        return axis == 0 and len(shape) > 1 and shape[0] == self.length

    @property
    def estimated_steps(self) -> int:
        """Number of steps of a chunk that cost estimates assume: ``longest``, or a typical number without a limit."""
        return OPEN_ROWS if self.longest >= MAX_CHUNK else self.longest


def chunk_length(
    target: Target, fused: FusedKernels, leaving: set[Node], length: Dim, maximum: int | None = None
) -> int:
    """Return the number of time steps that a loop runs as one chunk; ``MAX_CHUNK`` if it has no temporaries.

    A chunk has enough rows to amortise the reloading of weights, and of large sums over time.

    Args:
        target: The processor.
        fused: Kernels of the loop.
        leaving: Values that outlive the chunk.
        length: Number of steps of the loop.
        maximum: Maximum steps whose temporaries fit in memory; None without a limit.
    """
    temporaries = [node for node in fused.stored if node.op != "scan" and node not in leaving and node.tensor.rank > 1]
    if not temporaries:
        return MAX_CHUNK
    products = [node for kernel in fused.kernels for node in kernel.members if _has_weights(node)]
    weights = sum(node.tensor.bytes_at(OPEN_ROWS) for node in {node.operands[1] for node in products})
    exceeds_second_cache = weights > target.second_cache // 2  # reloading them costs more than large temporaries
    rows = max(map(_rows, products if exceeds_second_cache else temporaries))
    sum_bytes = sum(kernel.first.tensor.bytes_at(OPEN_ROWS) for kernel in fused.kernels if kernel.kind == "outer_sum")
    rows_of_chunk = ROWS_OF_A_CHUNK * (2 if sum_bytes > target.second_cache // 4 else 1)
    steps = -(-rows_of_chunk // rows)
    steps = steps // 8 * 8 if steps >= 8 else steps
    steps = steps if maximum is None else min(steps, maximum)
    return min(steps, length) if isinstance(length, int) and length > 0 else steps


def _has_weights(node: Node) -> bool:
    """True for a product whose right operand is one matrix for all rows."""
    return node.op in MATRIX_PRODUCTS and not is_batched_product(node)


def _rows(node: Node) -> int:
    """Return the number of rows of one step of a sequence, with ``OPEN_ROWS`` for each symbolic size.

    Rows are the positions on all axes but the first and the last, so that a value [T, 2, 4, 64] has 8 rows. Trailing
    axes of size 1 are dropped first, down to three axes: [T, 2, 64, 1] has 2 rows.
    """
    open_sizes = dict.fromkeys(node.tensor.symbols, OPEN_ROWS)
    shape = node.shape
    while len(shape) > MAX_ROW_RANK and shape[-1] == 1:
        shape = shape[:-1]
    return max(1, evaluate(product(shape[1:-1]), open_sizes))
