"""Machine code of one graph, and what a caller must know of it: where its argument block holds what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError
from ..ir.graph import Graph
from ..ir.types import Dim, Shape, TensorType
from .engine import object_code
from .llvm import module_text
from .plan import Plan
from .schedule import schedule
from .target import Target
from .team import TEAM


@dataclass(frozen=True)
class Output:
    """A result: the slot that names its memory, and how it looks there."""

    name: str
    dtype: str
    shape: Shape
    slot: int


@dataclass(frozen=True)
class Interface:
    """How compiled code is called.

    main, pack: its entries. slots: of the argument block, 8 bytes each; the other slots are numbers of these.
    inputs: by name the slot of a feed, and those of its strides. constants: slots and what they point to.
    arena, panels: slots of the two kinds of memory. arena_bytes: a formula in the run-time sizes. parts: so many
    workers can share a call, who signal to each other in the memory that slot ``team`` names. cycles: about what a call
    takes one worker, a formula too.
    """

    main: str
    pack: str
    slots: int
    inputs: Mapping[str, tuple[int, tuple[int, ...]]]
    parameters: Mapping[str, int]
    outputs: tuple[Output, ...]
    constants: tuple[tuple[int, np.ndarray], ...]
    sizes: Mapping[str, int]
    arena: int
    panels: int
    arena_bytes: Dim
    panel_bytes: int
    parts: int
    team: int
    cycles: Dim


@dataclass(frozen=True)
class ObjectCode:
    """An object file and its interface: all that is needed to run a graph."""

    interface: Interface
    binary: bytes


def compile_graph(graph: Graph, target: Target, name: str, parts: int = 1) -> ObjectCode:
    """The code of an optimised graph whose sizes, but for lengths of scans, are known. parts: as for ``planned``."""
    plan = planned(graph, target, name, parts)
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return ObjectCode(interface_of(plan), object_code(text, target))


def planned(graph: Graph, target: Target, name: str, parts: int) -> Plan:
    """The plan of a graph, for as many workers as ``parts`` where that pays, else for one.

    Raises ``ArgumentError`` where the graph has a dtype that the target can't compute with.
    """
    if "float64" in target.absent:
        _no_float64(graph, target)
    if target.pointer_bits < 64:  # how workers wait for each other is written in 64-bit words
        parts = 1
    plan = schedule(graph, target, name, parts)
    return plan if parts == 1 or plan.work.pays() else schedule(graph, target, name)


def _no_float64(graph: Graph, target: Target) -> None:
    for node in graph.walk():
        if isinstance(node.type, TensorType) and node.dtype == "float64":
            raise ArgumentError(
                f"{node.name or node.op} is float64, and {target.name} computes in float32 only; declare it as float32",
                node.where,
            )


def interface_of(plan: Plan) -> Interface:
    """What of a plan outlives compilation."""
    position = {slot: number for number, slot in enumerate(plan.main.slots)}
    of_kind = {
        kind: [item for item in plan.arguments if item.kind == kind]
        for kind in ("input", "parameter", "constant", "output")
    }
    return Interface(
        main=plan.main.name,
        pack=plan.pack.name,
        slots=len(plan.main.slots),
        inputs={
            item.name: (position[item.buffer.name], tuple(position[slot] for slot in plan.strides[item.name]))
            for item in of_kind["input"]
        },
        parameters={item.name: position[item.buffer.name] for item in of_kind["parameter"]},
        outputs=tuple(
            Output(item.name, item.dtype, item.shape, position[item.buffer.name]) for item in of_kind["output"]
        ),
        constants=tuple((position[item.buffer.name], np.ascontiguousarray(item.value)) for item in of_kind["constant"]),
        sizes={name: position[name] for name in plan.sizes},
        arena=position["arena"],
        panels=position["panels"],
        arena_bytes=plan.arena_bytes,
        panel_bytes=plan.panel_bytes,
        parts=plan.parts,
        team=position[TEAM.name],
        cycles=plan.work.alone,
    )
