"""Wrappers around cells, and stacks of cells, written with the same API as users' own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from ...ir.types import FLOATS
from ...support.arguments import flag, number
from ...support.errors import DtypeError, ShapeError, StructureError
from ..carried import unrounded
from ..cell import Cell, NestedInitialState, NestedStep, Scope, Wrapper, check_cell
from ..functions.basic import concat, sigmoid, split
from ..functions.randomness import KeepProb, check_keep_prob, drop, is_certain, keep_tensor, salt_of
from ..nest import flatten, is_leaf, map_leaves, matched, pack, paths
from ..state import joined, named, public, resolve, specification_of, stated
from ..tensor import Tensor
from ..trace import of_inner_cells

Sites = dict[str, Iterator[str]]
"""Unused names of random draws, by "input", "state" or "output"."""


class DropoutWrapper(Wrapper):
    """Wrapper that applies dropout to a cell's input, output and new state, in the training graph only.

    Kept units are divided by the keep probability, so that the inference graph needs no scaling. A new mask is drawn
    for each step, row and unit. Dropout never applies to memory, such as an LSTM's c. If the cell has several inputs or
    outputs, each float Tensor has a separate mask.

    Args:
        cell: Cell to wrap.
        input_keep_prob: Probability of keeping a unit of the input: a float in (0, 1], or a scalar float placeholder.
        output_keep_prob: Probability of keeping a unit of the output.
        state_keep_prob: Probability of keeping a unit of the new state.
        variational_recurrent: Draw one mask for each row and unit, and use it at all steps (Gal & Ghahramani 2016).
        seed: Int that changes the masks of this wrapper. Wrappers have independent masks in any case.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        input_keep_prob: KeepProb = 1.0,
        output_keep_prob: KeepProb = 1.0,
        state_keep_prob: KeepProb = 1.0,
        variational_recurrent: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(cell)
        self.keep = {"input": input_keep_prob, "state": state_keep_prob, "output": output_keep_prob}
        for kind, value in self.keep.items():
            check_keep_prob(value, f"{kind}_keep_prob")
        self.variational_recurrent = flag(variational_recurrent, "variational_recurrent")
        self.seed = salt_of(seed)

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        columns = flatten(resolve(stated(self.cell)))
        dropped = sum(not is_memory for leaf in columns for _, is_memory in leaf.parts)
        sites = {  # names of random draws; those of this wrapper come before those of the inner cell
            kind: iter([p.site(kind) for _ in range(count)])
            for kind, count in (("input", _count_floats(x)), ("state", dropped), ("output", 1))
            if not is_certain(self.keep[kind])
        }
        x = self._drop_each(sites, "input", x)
        output, new = yield p.cell(None, self.cell), x, state
        leaves = [self._drop_state(sites, leaf, kind.parts) for leaf, kind in zip(flatten(new), columns, strict=True)]
        if "output" in sites:  # only now is the number of outputs known
            sites["output"] = chain(sites["output"], iter([p.site("output") for _ in range(1, _count_floats(output))]))
        return self._drop_each(sites, "output", output), pack(new, leaves)

    def _drop_each(self, sites: Sites, kind: str, nest: Any) -> Any:
        return map_leaves(lambda leaf: self._drop(sites, kind, leaf) if leaf.dtype in FLOATS else leaf, nest)

    def _drop(self, sites: Sites, kind: str, x: Tensor) -> Tensor:
        if is_certain(self.keep[kind]):
            return x
        options = {"site": next(sites[kind]), "variational": self.variational_recurrent}
        return drop(x, self.keep[kind], self.seed, self.where, **options)

    def _drop_state(self, sites: Sites, leaf: Tensor, parts: tuple[tuple[int, bool], ...]) -> Tensor:
        """Apply dropout to the parts of a state that are not memory. ``parts`` has (width, is memory) of each part."""
        if all(is_memory for _, is_memory in parts):
            return leaf
        if len(parts) == 1:
            return self._drop(sites, "state", leaf)
        pieces = split(leaf, [width for width, _ in parts])
        return concat(
            [
                piece if is_memory else self._drop(sites, "state", piece)
                for piece, (_, is_memory) in zip(pieces, parts, strict=True)
            ]
        )


def _count_floats(nest: Any) -> int:
    return sum(leaf.dtype in FLOATS for leaf in flatten(nest))


def _pairs(wrapper: Wrapper, x: Any, output: Any, verb: str) -> list[tuple[str, Tensor, Tensor]]:
    """Return (path, input, output) of each input of a wrapper that combines every input with its output.

    Raise an error unless ``output`` has the structure and the widths of ``x``. ``verb`` describes the combination in
    errors: "adds" or "mixes".
    """
    places = [path for path, _ in paths(x)]
    what = f"{type(wrapper).__name__} needs outputs in the structure of the inputs; the output of {wrapper.cell!r}"
    outputs = matched(x, output, what, wrapper.where)
    pairs = [*zip(places, flatten(x), outputs, strict=True)]
    for _, before, after in pairs:
        _check_width(
            wrapper, before, after, f"{verb} an input {{}} {'to' if verb == 'adds' else 'with'} an output {{}}"
        )
    return pairs


def _check_width(wrapper: Wrapper, x: Tensor, output: Tensor, combination: str) -> None:
    """Raise ``ShapeError`` unless a cell's output has the rank and the width of its input.

    ``combination`` is the start of the message, with ``{}`` for the input and for the output.
    """
    if x.rank != output.rank:
        raise ShapeError(
            f"{type(wrapper).__name__} around {wrapper.cell!r} {combination.format(x.type, output.type)}; "
            "give the cell an output of the input's shape",
            wrapper.where,
        )
    if x.width != output.width:
        raise ShapeError(
            f"{type(wrapper).__name__} around {wrapper.cell!r} "
            f"{combination.format(f'of width {x.width}', f'of width {output.width}')}; give the cell {x.width} units "
            "or project the input first",
            wrapper.where,
        )


class ResidualWrapper(Wrapper):
    """Residual connection: output = x + cell(x) (Wu et al. 2016). The state is the cell's.

    If the cell has several inputs, its outputs must have the same structure. Each input is added to its counterpart.
    """

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        output, state = yield p.cell(None, self.cell), x, state
        return pack(x, [before + after for _, before, after in _pairs(self, x, output, "adds")]), state


class HighwayWrapper(Wrapper):
    """Highway connection: output = carry * x + transform * cell(x) (Srivastava et al. 2015). The state is the cell's.

    carry = sigmoid(x @ ``carry_w`` + ``carry_b``), and transform = 1 - carry. Kernels are [width, width]. With several
    inputs and outputs of one structure, each pair has gates of its own, whose names begin with the path of the input.

    Args:
        cell: Cell to wrap.
        couple_carry_transform_gates: False: transform = sigmoid(x @ ``transform_w`` + ``transform_b``).
        carry_bias_init: Initial value of ``carry_b``. ``transform_b`` starts as its negative. A positive value passes
            the input through at first.
    """

    def __init__(self, cell: Cell, couple_carry_transform_gates: bool = True, carry_bias_init: float = 1.0) -> None:
        super().__init__(cell)
        self.couple_carry_transform_gates = flag(couple_carry_transform_gates, "couple_carry_transform_gates")
        self.carry_bias_init = number(carry_bias_init, "carry_bias_init")

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        output, state = yield p.cell(None, self.cell), x, state
        pairs = _pairs(self, x, output, "mixes")
        return pack(x, [self._blend(p, *item) for item in pairs]), state

    def _blend(self, p: Scope, place: str, x: Tensor, output: Tensor) -> Tensor:
        """Return carry * x + transform * output. ``place`` is the path of x in the input, for the gates' names."""
        below = f"{place}/" if place else ""
        carry = self._gate(p, x, f"{below}carry", self.carry_bias_init)
        if self.couple_carry_transform_gates:
            return x * carry + output * (1 - carry)
        return x * carry + output * self._gate(p, x, f"{below}transform", -self.carry_bias_init)

    def _gate(self, p: Scope, x: Tensor, name: str, bias: float) -> Tensor:
        kernel = p.kernel(f"{name}_w", (x.width, x.width))
        return sigmoid(x @ kernel + p.bias(f"{name}_b", (x.width,), bias))


class ZoneoutWrapper(Wrapper):
    """Zoneout: in training, random units of the state keep their old value (Krueger et al. 2017).

    In the training graph, a unit takes its new value with probability ``state_keep_prob``, drawn for each step, row and
    unit. Memory, such as an LSTM's c, is included. The inference graph computes the expected value, old +
    state_keep_prob * (new - old). States that are not floats take their new value. As in the paper, the output is the
    mixed state if the cell's output is one of its new states, such as an LSTM's h. All other outputs are unchanged.

    Args:
        cell: Cell to wrap.
        state_keep_prob: A float in (0, 1], a scalar float placeholder for both graphs, or a nest of them like the
            cell's ``state_size``, such as ``rg.LSTMStateTuple(c=0.5, h=0.95)``.
        seed: Int that changes the masks of this wrapper.
    """

    def __init__(self, cell: Cell, *, state_keep_prob: Any, seed: int | None = None) -> None:
        super().__init__(cell)
        carried = named(cell)
        if is_leaf(state_keep_prob):  # one number for all states
            self.keep = [state_keep_prob] * len(flatten(carried))
        else:
            self.keep = matched(carried, state_keep_prob, f"{cell!r}: state_keep_prob")
        for value in self.keep:
            check_keep_prob(value, "state_keep_prob")
        self.seed = salt_of(seed)

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        floats = [leaf.type(1, p.dtype).dtype in FLOATS for leaf in flatten(resolve(stated(self.cell)))]
        mixed = [is_float and not is_certain(keep) for is_float, keep in zip(floats, self.keep, strict=True)]
        sites = [p.site("zoneout") if is_mixed else None for is_mixed in mixed]
        output, new = yield p.cell(None, self.cell), x, state
        before, after = flatten(state), flatten(new)
        leaves = [
            later if site is None else self._blend(earlier, later, keep, site)
            for earlier, later, keep, site in zip(before, after, self.keep, sites, strict=True)
        ]
        return map_leaves(lambda leaf: _part_of(leaf, after, leaves), output), pack(new, leaves)

    def _blend(self, before: Tensor, after: Tensor, keep: KeepProb, site: str) -> Tensor:
        """Return ``before`` with random units replaced by those of ``after``; their expected value at inference.

        Multiplying by ``keep`` undoes dropout's scaling of the change, and gives the expected value without dropout.
        """
        change = drop(after - before, keep, self.seed, self.where, site=site, variational=False)
        return before + change * keep_tensor(keep, change.dtype)


def _part_of(output: Tensor, states: Sequence[Tensor], changed: Sequence[Tensor]) -> Tensor:
    """Return ``output`` as it is after zoneout, if it is one of the new states or a part of one; else unchanged.

    Args:
        output: Output of the wrapped cell.
        states: New states of the wrapped cell.
        changed: The states after zoneout, in the order of ``states``.
    """
    for state, now in reversed(list(zip(states, changed, strict=True))):
        node = unrounded(state.node)
        if node is output.node:
            return now
        parts = node.operands if node.op == "concat" else ()
        if output.node in parts:
            axis = node["axis"]
            sizes = [part.tensor.shape[axis] for part in parts]
            return split(now, sizes, axis)[parts.index(output.node)]
    return output


class MultiRNNCell(Cell):
    """Stack of cells: each cell's output is the input of the next.

    Each position has its own parameters, even if one cell object occurs at several positions (``[cell] * 3``).
    ``rg.shared(cell)`` shares parameters.

    Args:
        cells: Cells, one for each layer.
        state_is_tuple: True: the state is a tuple with one entry for each layer. False: it is one Tensor [batch, sum of
            widths], and LSTM cells in the stack need ``state_is_tuple=False``, too.
    """

    def __init__(self, cells: Sequence[Cell], state_is_tuple: bool = True) -> None:
        if isinstance(cells, Cell):
            raise DtypeError(f"MultiRNNCell needs a list of cells, not one cell; write MultiRNNCell([{cells!r}])")
        self.cells = [check_cell(cell, "MultiRNNCell") for cell in cells]
        if not self.cells:
            raise StructureError("MultiRNNCell needs at least one cell; got an empty list")
        self.state_is_tuple = flag(state_is_tuple, "state_is_tuple")
        if not self.state_is_tuple:
            for cell in self.cells:
                if len(flatten(resolve(specification_of(cell)))) != 1:
                    raise StructureError(
                        f"MultiRNNCell(state_is_tuple=False) needs cells with one state, and {cell!r} has several; "
                        "build it with state_is_tuple=False too"
                    )

    def state(self) -> Any:
        if self.state_is_tuple:
            return tuple(self.cells)
        return {"state": joined(*(public(cell) for cell in self.cells))}

    def _output(self) -> int | Cell:
        return self.cells[-1]

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        if self.state_is_tuple:
            states = list(state)
        else:
            states = split(state["state"], [public(cell).width for cell in self.cells])
        new = []
        for position, (cell, before) in enumerate(zip(self.cells, states, strict=True)):
            x, after = yield p.cell(f"cell_{position}", cell), x, before
            new.append(after)
        return x, tuple(new) if self.state_is_tuple else {"state": concat(new)}

    @of_inner_cells
    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        leaves = []
        for position, cell in enumerate(self.cells):
            leaves.append((yield p.cell(f"cell_{position}", cell)))
        if all(leaf is None for layer in leaves for leaf in layer):
            return None
        if not self.state_is_tuple:
            raise StructureError("a learned initial state needs MultiRNNCell(state_is_tuple=True)")
        return tuple(leaves)
