"""The workers that run one entry together, as the loop IR names them."""

from __future__ import annotations

from ...ir.types import size
from .nodes import Buffer

WORKER, WORKERS = size("_worker"), size("_workers")
"""Which worker runs the entry, counted from 0, and how many there are."""
TEAM = Buffer("team", "int64")
"""The memory through which they wait for each other."""
