"""How many steps of a time axis run together: a chunk's temporaries are what memory holds besides what is kept."""

from __future__ import annotations

from ...ir.graph import Node
from ...ir.types import ITEM_BYTES, Dim, evaluate, product
from ..analysis.kernel_fusion import Phases
from ..machine.target import Target
from .register_tiles import OPEN_ROWS

LONGEST_CHUNK = 1 << 30  # all steps, in numbers of 32 bits too
ROWS_OF_A_CHUNK = 128


def chunk_length(target: Target, cutting: Phases, leaving: set[Node], length: Dim) -> int:
    """Steps that have rows enough to make it cheap that every chunk reads the weights again, and sums over time that
    do not stay in the second cache; all steps where there are no temporaries. ``leaving``: what outlives the chunk.
    """
    rows = 0
    for node in cutting.stored:
        if node.op != "scan" and node not in leaving and node.tensor.rank > 1:
            open_sizes = dict.fromkeys(node.tensor.symbols, OPEN_ROWS)
            rows = max(rows, 1, evaluate(product(node.shape[1:-1]), open_sizes))
    if not rows:
        return LONGEST_CHUNK
    sums = [step.members[0] for step in cutting.steps if step.kind == "outer_sum"]
    far = sum(evaluate(product(node.shape), {}) * ITEM_BYTES[node.dtype] for node in sums)
    wanted = ROWS_OF_A_CHUNK * (2 if far > target.second_cache // 4 else 1)
    steps = -(-wanted // rows)
    steps = steps // 8 * 8 if steps >= 8 else steps
    return min(steps, length) if isinstance(length, int) and length > 0 else steps
