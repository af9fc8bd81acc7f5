"""Names in the loop IR for the workers that run one entry together."""

from __future__ import annotations

from ...ir.types import size
from .nodes import Buffer

WORKER, WORKERS = size("_worker"), size("_workers")
"""Index of the worker that runs the entry, and the number of workers."""
TEAM = Buffer("team", "int64")
"""Memory through which workers synchronise."""
