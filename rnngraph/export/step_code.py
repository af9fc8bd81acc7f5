"""A program's inference graph as what can be exported: plans for a target, packed weights, ports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..codegen.compile import interface_of, planned
from ..codegen.llvm.module import module_text
from ..codegen.machine.engine import object_code
from ..codegen.machine.interface import ObjectCode
from ..codegen.machine.target import Target, twin
from ..codegen.schedule.plan import Plan
from ..errors import ShapeError, Where
from ..ir.graph import Graph
from ..ir.types import Dim, TensorType, evaluate
from ..runtime.calls.call_cache import run_once
from ..runtime.calls.feeds import solve_sizes
from ..runtime.graph_source import GraphSource
from ..runtime.native.compile_options import CompileOptions
from ..runtime.native.entry import NativeEntry
from ..runtime.native.optimized_graph import OptimizedGraph
from ..runtime.parameters import Parameters
from ..runtime.streams.step_graph import StepGraph, step_graph
from .c_interface.llvm_text import STEPS
from .c_interface.ports import ExportedEntry, ExportedNet, Port

_C_WORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class "
    "co_await co_return co_yield compl complex concept const const_cast consteval constexpr constinit continue "
    "decltype default delete do double dynamic_cast else enum errno explicit export extern false float for friend "
    "goto if imaginary inline int int32_t int64_t linux long memory mutable namespace new noexcept not not_eq nullptr "
    "operator or or_eq private protected public register reinterpret_cast requires restrict return short signed "
    "size_t sizeof state static static_assert static_cast stderr stdin stdout steps struct switch template this "
    "thread_local throw true try typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void "
    "volatile wchar_t weights while xor xor_eq"
)
"""Names that C, C++, their headers or the functions of an exported net use themselves."""


@dataclass(frozen=True)
class ExportSource:
    """What is exported: the declaration that the graph is of, its parameters, and how it is compiled."""

    source: GraphSource
    parameters: Parameters
    options: CompileOptions


@dataclass(frozen=True)
class Exportable:
    """An exported net, and the step graph that it was made of."""

    exported: ExportedNet
    about: StepGraph

    def whole_sequence(
        self, graph: Graph, values: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """Outputs of the inference graph as declared, for whole sequences: on this machine, with the target's bits.

        What the exported code computes is held to this, so nothing here knows of steps or of which axis is time.
        """
        compiled, target = self.about.compiled, self.exported.target
        whole = OptimizedGraph(graph, "inference", compiled.options)
        outputs = tuple(port.name for port in self.exported.outputs)
        sizes = solve_sizes(feeds, whole.input_types(), None)
        entry = _native(planned(whole.sized(outputs, sizes), target, "whole", 1), twin(target), "whole")
        return _outputs(entry, values, feeds, sizes)


def exportable(
    given: ExportSource,
    values: Mapping[str, np.ndarray],
    batch: int,
    target: Target,
    embedded: bool,
    where: Where | None,
) -> Exportable:
    """A net of ``batch`` rows for a target. Raises ``GraphError`` with the line of what can't run step by step.

    values: all parameters as they are at one moment, as another thread may be training them.
    """
    about = step_graph(given.source, replace(given.options, target=target), batch, where)
    fed = [name for name in about.compiled.needed(about.outputs) if name in about.types]
    first = _initial_inputs(about)
    shown = [name for name in about.outputs if name not in about.labels]
    kinds = {name: node.tensor for name, node in about.compiled.graph.outputs}
    symbols = iter(symbols_of_names([*fed, *shown, *about.labels, *first]))
    inputs = tuple(_port(name, next(symbols), about.types[name], about.time_axis[name], about, where) for name in fed)
    outputs = tuple(_port(name, next(symbols), kinds[name], about.output_axis[name], about, where) for name in shown)
    states = tuple(_port(name, next(symbols), about.state_types[name], None, about, where) for name in about.labels)
    starts = tuple(_port(name, next(symbols), about.types[name], None, about, where) for name in first)
    step = _exported_entry(about, values, target, embedded, one_step=True)
    block = None
    if target.lanes(4) > 1 and about.lengths and about.lengths <= about.compiled.lengths(about.outputs):
        found = _exported_entry(about, values, target, embedded, one_step=False)
        block = found if isinstance(found.plan.arena_bytes, int) else None
    initial = _initial(about, values, target, embedded)
    exported = ExportedNet(
        target=target,
        inputs=inputs,
        outputs=outputs,
        states=states,
        initial_inputs=starts,
        step=step,
        block=block,
        initial=initial,
        parameters={name: values[name] for name in values if name in _used(step, block, initial)},
        embedded=embedded,
    )
    return Exportable(exported, about)


def _initial_inputs(about: StepGraph) -> tuple[str, ...]:
    names = tuple(name for name, _ in about.initial.graph.outputs)
    return about.initial.needed(names) if names else ()


def _used(*entries: ExportedEntry | Mapping[str, np.ndarray] | None) -> set[str]:
    return {
        item.name
        for entry in entries
        if isinstance(entry, ExportedEntry)
        for item in entry.plan.arguments
        if item.kind == "parameter"
    }


def _port(
    name: str, symbol: str, kind: TensorType, time_axis: int | None, about: StepGraph, where: Where | None
) -> Port:  # fmt: skip
    dims = enumerate(kind.shape)
    shape = tuple(STEPS if place == time_axis else _fixed(name, dim, about, where) for place, dim in dims)
    return Port(name, symbol, kind.dtype, shape, about.held.get(name))


def _fixed(name: str, dim: Dim, about: StepGraph, where: Where | None) -> int:
    try:
        return evaluate(dim, about.sizes)
    except KeyError:
        raise ShapeError(
            f"{name} has the open size {dim}, which is neither the batch nor time; an exported net takes arrays of "
            "fixed sizes: declare the placeholder with an int in its place",
            where,
        ) from None


def symbols_of_names(names: Sequence[str]) -> list[str]:
    """A C name for each. No two are alike, nor are their macros, which are in upper case."""
    found: list[str] = []
    macros: set[str] = set()
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "output"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        is_taken = plain in _C_WORDS.split() or plain.isupper()  # in upper case are macros, the net's own among them
        symbol, count = f"{plain}_" if is_taken else plain, 1
        while symbol.upper() in macros:
            symbol, count = f"{plain}_{count}", count + 1
        macros.add(symbol.upper())
        found.append(symbol)
    return found


def _exported_entry(
    about: StepGraph, values: Mapping[str, np.ndarray], target: Target, embedded: bool, one_step: bool
) -> ExportedEntry:
    """An entry of the exported code with its packed weights: a step, or a block of steps."""
    name, sizes = ("step", dict.fromkeys(about.lengths, 1)) if one_step else ("block", {})
    plan = planned(about.compiled.sized(about.outputs, {**about.sizes, **sizes}, one_step), target, name, 1)
    panels = _packed(_native(plan, twin(target), name), values) if embedded else b""
    arena = plan.arena_bytes
    assert isinstance(arena, int) or not one_step, f"a step's memory has no fixed size: {arena}"
    return ExportedEntry(plan, arena if isinstance(arena, int) else 0, panels)


def _packed(entry: NativeEntry, values: Mapping[str, np.ndarray]) -> bytes:
    """Packed weights, with zeros where nothing is packed: equal nets have equal bytes."""
    panels = entry.panels()
    panels[:] = 0
    entry.packed(0, values, panels)
    return panels[: entry.panel_bytes].tobytes()


def _outputs(
    entry: NativeEntry, values: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> Mapping[str, np.ndarray]:
    """What an entry computes here. values: of parameters."""
    return run_once(entry, entry.packed(0, values, entry.panels()), feeds, sizes)


def _native(plan: Plan, target: Target, name: str) -> NativeEntry:
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return NativeEntry(ObjectCode(interface_of(plan), object_code(text, target)), target)


def _initial(
    about: StepGraph, values: Mapping[str, np.ndarray], target: Target, embedded: bool
) -> ExportedEntry | Mapping[str, np.ndarray]:
    """What the state begins with, as an entry or as it is."""
    names = tuple(name for name, _ in about.initial.graph.outputs)
    if not names:
        return {}
    plan = planned(about.initial.sized(names, about.sizes), target, "initial", 1)
    entry = _native(plan, twin(target), "initial")
    if not _initial_inputs(about) and (embedded or not plan.arguments_of("parameter")):
        return _outputs(entry, values, {}, about.sizes)
    panels = _packed(entry, values) if embedded else b""
    return ExportedEntry(plan, int(str(plan.arena_bytes)), panels)
