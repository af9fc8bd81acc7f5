"""Export of a net that takes whole sequences: a plan for a target, with symbolic sizes."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..codegen.compile import planned
from ..codegen.machine.target import Target
from ..ir.axes.by_size import rows_and_steps
from ..ir.equal_sizes import multiples
from ..ir.graph import Graph, with_sizes
from ..ir.types import Dim, Size, TensorType, dim_text, evaluate, product, size, substitute
from ..passes.simplify import Simplify
from ..runtime.native.optimized_graph import OptimizedGraph
from ..runtime.native.size_bounds import Bounds, UpperBound, bounds_of
from ..support.errors import ShapeError, Where
from .c_array_names import symbols_of_names
from .c_interface.nets import ExportedSequence, SizeArgument
from .c_interface.ports import Port
from .native_code import Arrays, Calls, ExportSource, entry_of, whole_sequence

BATCH, STEPS = "batch", "steps"
_RESERVED = ("net", BATCH, "scratch")
_JAVASCRIPT_WORDS = (
    "arguments await debugger delete eval export finally function in instanceof let null super var void with yield"
)
_OTHER_WORDS = (*keyword.kwlist, *_JAVASCRIPT_WORDS.split())
"""Reserved words of the Python and JavaScript modules."""


@dataclass(frozen=True)
class SequenceForm:
    """Exported net for whole sequences, and its graph.

    ``names`` are C names of symbolic sizes, by the graph's names. ``likely`` are assumed values of sizes that only a
    call determines. ``divided`` are sizes that must be multiples, as in ``n * (T // n)``.
    """

    exported: ExportedSequence
    about: OptimizedGraph
    names: Mapping[str, str]
    likely: Mapping[str, Dim]
    divided: Mapping[str, Dim]

    @property
    def unit(self) -> int:
        """Least common multiple of the divisors. Its multiples are valid values of all divided sizes."""
        terms = [term for dim in self.divided.values() if isinstance(dim, Size) for term in dim.terms]
        return math.lcm(*(factor for _, factor in terms))

    @property
    def _outputs(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.exported.outputs)

    def graph_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return sizes by the graph's names, given sizes by C names."""
        known = {name: sizes[symbol] for name, symbol in self.names.items()}
        return known | {name: evaluate(dim, known) for name, dim in self.likely.items()}

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ``ShapeError`` if the graph does not accept these sizes."""
        self.about.check(self._outputs, {}, self.graph_sizes(sizes), None)

    def limits(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return the maximum integer that each input may be fed, by the input's name."""
        ranges = self.about.range_preconditions(self._outputs)
        return {check.label: evaluate(check.high, self.graph_sizes(sizes)) for check in ranges}

    def expected(self, source: ExportSource, values: Arrays, feeds: Arrays) -> Arrays:
        """Return the inference graph's results for feeds, bit for bit as the target computes them."""
        graph, options = source.source.lowered.graph, self.about.options
        return whole_sequence(graph, self._outputs, options, self.exported.target, values, Calls(feeds))


def sequence_form(
    source: ExportSource, values: Arrays, batch: int | None, target: Target, embedded: bool, where: Where | None
) -> SequenceForm:
    """Plan the export of a net that takes whole sequences of ``batch`` rows (None: any number) for a target.

    Args:
        values: Consistent copy of all parameters, which another thread may be training.

    Raises:
        ShapeError: The graph is declared for another batch than ``batch``, or sizes that must be equal have two names.
    """
    about = OptimizedGraph(source.source.lowered.graph, "inference", replace(source.options, target=target))
    outputs = tuple(name for name, node in about.graph.outputs if name != "loss" or source.source.loss is None)
    graph = about.pruned(outputs)
    likely, divided = _equal_sizes(about, outputs)
    rows, steps = (dim if dim is None else substitute(dim, likely) for dim in rows_and_steps(graph))
    if batch is not None and isinstance(rows, int) and rows != batch:
        raise ShapeError(f"the graph is declared for a batch of {rows}, not {batch}; give batch={rows}", where)
    fixed = {rows.symbol: batch} if batch is not None and isinstance(rows, Size) and rows.symbol else {}
    names = _names([name for name in graph.symbols if name not in likely], rows, steps)
    plan_graph = with_sizes(about.optimized(outputs), {**likely, **divided, **fixed})
    plan = planned(Simplify()(plan_graph) if likely or divided else plan_graph, target, "sequence", 1)
    in_c: dict[str, Dim] = {name: size(symbol) for name, symbol in names.items()}
    in_c |= {name: substitute(dim, in_c) for name, dim in likely.items()}
    fed = about.needed(outputs)
    types = about.input_types()
    results = {name: node.tensor for name, node in graph.outputs}
    symbols = iter(symbols_of_names([*names.values(), *fed, *outputs], _RESERVED)[len(names) :])
    entry = entry_of(plan, target, values, embedded)
    used = {*plan.parameters}
    exported = ExportedSequence(
        target=target,
        inputs=tuple(
            _port(name, next(symbols), types[name], in_c, source.source.lowered.defaults.get(name)) for name in fed
        ),
        outputs=tuple(_port(name, next(symbols), results[name], in_c) for name in outputs),
        parameters={name: values[name] for name in values if name in used},
        embedded=embedded,
        sizes=_arguments(names, rows, steps, batch),
        entry=entry,
        slots={name: names[name] for name in plan.sizes},
        arena_bytes=substitute(plan.arena_bytes, in_c),
        differences=_differences(about, outputs, divided, in_c),
        bounds=_bounds(graph, in_c),
    )
    return SequenceForm(exported, about, names, likely, divided)


def _equal_sizes(about: OptimizedGraph, outputs: tuple[str, ...]) -> tuple[Mapping[str, Dim], Mapping[str, Dim]]:
    """Return {size: formula that it must equal}, and {size T: n * (T // n), if it must be a multiple of n}.

    With these formulas, sizes that must be equal have one formula. Raise ``ShapeError`` if that is impossible.
    """
    equalities, likely = about.equalities(outputs)
    open_equalities = [item for item in equalities if not item.holds(likely)]
    divided = multiples(open_equalities, {})
    likely = {name: substitute(dim, divided) for name, dim in likely.items()}
    for item in open_equalities:
        if not item.holds({**likely, **divided}):
            raise ShapeError(
                f"{dim_text(item.have)} must be equal to {dim_text(item.want)} (declared at {item.where}), which an "
                "exported net can't check; give equal sizes one name, as in shape=('batch', 'steps', 3)",
                item.where,
            )
    return likely if equalities else {}, divided


def _names(open_sizes: list[str], rows: Dim | None, steps: Dim | None) -> dict[str, str]:
    """Return the C names of symbolic sizes: ``batch``, ``steps``, and others by their own names."""
    names: dict[str, str] = {}
    for dim, symbol in ((rows, BATCH), (steps, STEPS)):
        if isinstance(dim, Size) and dim.symbol is not None and dim.symbol in open_sizes:
            names.setdefault(dim.symbol, symbol)
    others = [name for name in open_sizes if name not in names]
    plain = [name.lower() if name.isupper() else name for name in others]
    symbols = symbols_of_names([BATCH, STEPS, *plain], ("net", "scratch", *_OTHER_WORDS))[2:]
    return names | dict(zip(others, symbols, strict=True))


def _arguments(
    names: Mapping[str, str], rows: Dim | None, steps: Dim | None, batch: int | None
) -> tuple[SizeArgument, ...]:
    known = batch if batch is not None else rows if isinstance(rows, int) else None
    first = SizeArgument(BATCH, known), SizeArgument(STEPS, steps if isinstance(steps, int) else None)
    others = [SizeArgument(symbol) for symbol in names.values() if symbol not in (BATCH, STEPS)]
    return (*first, *others)


def _port(name: str, symbol: str, kind: TensorType, in_c: Mapping[str, Dim], default: np.ndarray | None = None) -> Port:
    shape = tuple(substitute(dim, in_c) for dim in kind.shape)
    return Port(name, symbol, kind.dtype, shape, default if default is not None and default.shape == shape else None)


def _differences(
    about: OptimizedGraph, outputs: tuple[str, ...], divided: Mapping[str, Dim], in_c: Mapping[str, Dim]
) -> tuple[Dim, ...]:
    """Return the differences of sizes that could be negative in a call. ``divided`` sizes must be multiples."""
    needs = [item.low for item in about.preconditions(outputs) if item.kind == "size"]
    needs += [dim - size(name) for name, dim in divided.items()]
    differences = [substitute(need, in_c) for need in needs]
    return tuple(
        dict.fromkeys(dim for dim in differences if isinstance(dim, Size) and any(n < 0 for _, n in dim.terms))
    )


def _bounds(graph: Graph, in_c: Mapping[str, Dim]) -> Bounds:
    """Return the bounds on a call's sizes, by C names.

    If numbers of elements are proportional, only the bound of the largest is returned.
    """
    bounds = bounds_of(graph)

    def named(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
        return tuple(substitute(dim, in_c) for dim in dims)

    largest: dict[object, tuple[int, UpperBound]] = {}
    for bound in bounds.upper_bounds:
        total = product(dims := named(bound.dims))
        terms = total.terms if isinstance(total, Size) else (((), total),)
        single = len(terms) == 1
        key = (terms[0][0] if single else dims, bound.limit)
        factor = terms[0][1] if single else 0
        if key not in largest or factor > largest[key][0]:
            largest[key] = factor, replace(bound, dims=(total,) if single else dims)
    return Bounds(
        dims=(),
        upper_bounds=tuple(bound for _, bound in largest.values()),
        tables=tuple(replace(item, rows=named((item.rows,))[0], indices=named(item.indices)) for item in bounds.tables),
        choices=tuple(
            replace(item, entries=named(item.entries), results=named(item.results)) for item in bounds.choices
        ),
    )
