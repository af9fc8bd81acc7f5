"""Options of training in chunks of steps."""

from __future__ import annotations

from ...support.records import dataclass

CHUNK_DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Chunking:
    """Options of training in chunks.

    Attributes:
        steps: Maximum number of steps in a chunk.
        dtype: Dtype to which factors of matrix products are rounded: ``float32`` or ``bfloat16``. Sums are float32.
    """

    steps: int
    dtype: str = "float32"
