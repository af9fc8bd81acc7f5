"""TensorFlow 1.x's ``tf.summary``: values of runs in files that TensorBoard reads.

``messages`` are what a log is made of, ``summaries`` operations that give them, ``drawing`` graphs and pictures, and
``event_file`` writes and reads the files.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from .event_file import FileWriter, summary_iterator
from .messages import Event, Summary
from .summaries import histogram, image, merge, merge_all, scalar, text

__all__ = (
    "Event", "FileWriter", "Summary", "histogram", "image", "merge", "merge_all", "scalar", "summary_iterator", "text",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("summary", name)
