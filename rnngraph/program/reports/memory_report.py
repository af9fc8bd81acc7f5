"""Memory of a call, computed from its schedule before anything is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ...codegen.compile import planned
from ...codegen.schedule.emit.pack_stages import in_stages
from ...ir.types import ITEM_BYTES, evaluate, product
from ...runtime.native.compiled_graph import CompiledGraph
from ...support.attribute_hints import Unindexed
from ...support.display.html import table


@dataclass(frozen=True)
class MemoryUsage(Unindexed):
    """Bytes of one call; ``str()`` is a table.

    Attributes:
        residuals: The part of ``arena`` that the forward pass saves for the derivative.
        arena: All temporaries.
        panels: Packed weights, and other values computed when parameters change.
        parameters: The parameters themselves.
        feeds: The caller's feeds. Large ones are not copied.
        results: The caller's results. Large ones are not copied.
    """

    residuals: int
    arena: int
    panels: int
    parameters: int
    feeds: int
    results: int

    @property
    def total(self) -> int:
        return self.arena + self.panels + self.parameters + self.feeds + self.results

    def _repr_html_(self) -> str:
        rows = [(item.name, f"{getattr(self, item.name):,}") for item in fields(self)]
        rows[0], rows[1] = rows[1], (f"of them {rows[0][0]}", rows[0][1])
        return table(("a call's memory", "bytes"), [*rows, ("total", f"{self.total:,}")], last_is_sum=True)

    def __str__(self) -> str:
        rows = [(item.name, getattr(self, item.name)) for item in fields(self)]
        lines = [f"{'  of them ' + name if name == 'residuals' else name:<20}{count:>16,}" for name, count in rows]
        lines[0], lines[1] = lines[1], lines[0]
        return "\n".join([*lines, f"{'total':<20}{self.total:>16,} bytes"])


Memory = MemoryUsage
"""Deprecated alias of ``MemoryUsage``."""


def memory_of(compiled: CompiledGraph, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> MemoryUsage:
    """Return the memory of a call that returns ``outputs``, at these run-time sizes."""
    options = compiled.options
    graph = compiled.sized(outputs, sizes, recompute=compiled.rematerialisation(outputs, sizes))
    plan, packing = in_stages(planned(graph, options.target, compiled.kind, options.threads.parts))
    count = {"input": 0, "parameter": 0, "output": 0, "constant": 0}
    for item in plan.arguments:
        count[item.kind] += evaluate(product(item.shape), sizes) * ITEM_BYTES[item.dtype]
    return MemoryUsage(
        residuals=evaluate(plan.residual_bytes, sizes),
        arena=evaluate(plan.arena_bytes, sizes),
        panels=plan.panel_bytes if packing is None else sum(stage.bytes for stage in packing.stages),
        parameters=count["parameter"],
        feeds=count["input"],
        results=count["output"],
    )
