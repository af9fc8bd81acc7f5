"""``tf.while_loop`` as a driver: a node that repeats a step.

The condition determines the number of steps, or an upper bound. With a bound, steps are skipped once the condition is
False.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

from ...declare.functions import basic as functions
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor, build, constant
from ...ir.graph import Node, topological
from ...ir.types import Dim, TensorType
from ...support.errors import DtypeError, NotOfferedError, ShapeError, StructureError
from ..core.operations import runs_after_dependencies
from ..core.sizes import anchored, known_size, sizes_in
from ..table.missing import GUIDE
from .counting import Counts, entries_of_steps, is_counter
from .loop import Function, Loop, as_value, call_function, in_order_of, nodes_of_step, substitute
from .tensor_array import TensorArray, with_written

_WHAT = "tf.while_loop"


@runs_after_dependencies
def while_loop(
    cond: Function,
    body: Function,
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
    maximum_iterations: Any = None,
    return_same_structure: bool = False,
) -> Any:
    """Run ``body`` while ``cond`` holds, and return the final variables.

    The number of steps must follow from ``cond``, for example because it compares a counter with an int or a size.
    Otherwise the loop needs an upper bound. It is ``maximum_iterations``, or such a comparison within
    ``tf.logical_and``, or the size of an array of which each step reads or writes the next entry.

    Args:
        cond: Function of the variables that returns a scalar bool.
        body: Function of the variables that returns their next values, with unchanged dtypes and shapes.
        loop_vars: Nest of Tensors, numbers and ``tf.TensorArray``.
        maximum_iterations: Maximum number of steps: an int or a size. None: no maximum.
        return_same_structure: True to return a list of one variable as a list. By default, it is returned as the
            variable.

    ``shape_invariants``, ``parallel_iterations``, ``back_prop`` and ``swap_memory`` have no effect.
    """
    several = isinstance(loop_vars, list | tuple) and not hasattr(loop_vars, "_fields")
    nest = list(loop_vars) if several else [loop_vars]
    if not nest:
        raise DtypeError(f"{_WHAT} needs at least one loop variable; pass Tensors as loop_vars")
    results = _While(nest, maximum_iterations).run(cond, body)
    if len(nest) == 1 and not (return_same_structure and several):
        return results[0]
    return type(loop_vars)(results) if several else results


class _While:
    """Builder of one loop.

    Attributes:
        nest: Initial values of the variables, each of which may be a nest.
        leaves: Initial values of the variables' leaves.
        params: Parameter of the step for each leaf.
        max_steps: ``maximum_iterations`` as a list of at most one size.
        sources: Arguments of the program from which a run may compute the number of steps.
        counts: Counters among the variables.
        writes_of: (index, value) pairs that a step writes, by the index of the array's leaf.
        replaced: {counter, or look-up at a counter: parameter of the step with its value}.
    """

    def __init__(self, nest: list[Any], maximum: Any) -> None:
        self.loop = Loop(_WHAT, "while")
        self.nest, self.leaves = nest, [_leaf(leaf) for leaf in flatten(nest)]
        self.params = [self._param(leaf, number) for number, leaf in enumerate(self.leaves)]
        self.max_steps: list[Dim] = [] if maximum is None else [_bound(maximum)]
        self.sources: list[Any] = [
            maximum,
            *(leaf.size_argument for leaf in self.leaves if isinstance(leaf, TensorArray)),
        ]

    def _param(self, leaf: Tensor | TensorArray, number: int) -> Tensor | TensorArray:
        """Return the parameter of the step for a variable's leaf."""
        if isinstance(leaf, TensorArray):
            return leaf.within_step()
        return self.loop.param(f"variable_{number}", leaf.type)

    def run(self, cond: Function, body: Function) -> list[Any]:
        """Declare the loop, and return the final values of the variables."""
        with self.loop.step():
            arguments = pack(self.nest, self.params)
            condition = _condition(call_function(cond, "cond", *arguments))
            results = call_function(body, "body", *arguments)
        after = self._next_values(results)
        tensors = [place for place, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor)]
        nodes = [self._node(place) for place in tensors]
        is_unchanged = [after[place].node is node for place, node in zip(tensors, nodes, strict=True)]
        unchanged = {self._node(place): self._initial(place) for place in compress(tensors, is_unchanged)}
        following, condition = self._substitute_unchanged(after, tensors, condition, unchanged)
        counters = {
            self._node(place): first
            for place in tensors
            if is_counter(self._node(place), following[place])
            and (first := known_size(self._initial(place))) is not None
        }
        self.counts = Counts(counters)
        carried = [place for place in tensors if self._node(place) not in {**unchanged, **counters}]
        writes = {
            place: self._write(place, array) for place, array in enumerate(after) if isinstance(array, TensorArray)
        }
        return self._build(condition, following, carried, {place: item for place, item in writes.items() if item})

    def _pair(self, place: int) -> tuple[Tensor, Tensor]:
        """Return (parameter, initial value) of the leaf at an index, which is a Tensor."""
        param, initial = self.params[place], self.leaves[place]
        assert isinstance(param, Tensor), "the variable is not a TensorArray"
        assert isinstance(initial, Tensor), "the variable is not a TensorArray"
        return param, initial

    def _array(self, place: int) -> TensorArray:
        """Return the initial value of the leaf at an index, which is a TensorArray."""
        array = self.leaves[place]
        assert isinstance(array, TensorArray), "the variable is not a Tensor"
        return array

    def _node(self, place: int) -> Node:
        """Return the node of a leaf's parameter."""
        return self._pair(place)[0].node

    def _initial(self, place: int) -> Node:
        """Return the node of a leaf's initial value."""
        return self._pair(place)[1].node

    def _next_values(self, results: Any) -> list[Any]:
        """Return the next value of each leaf, from the results of ``body``."""
        if len(self.nest) == 1 and not (isinstance(results, list | tuple) and len(results) == 1):
            results = [results]
        nest = in_order_of(self.nest, list(results)) if isinstance(results, list | tuple) else results
        after = flatten(nest)
        if not isinstance(nest, list) or len(nest) != len(self.nest) or len(after) != len(self.leaves):
            raise StructureError(
                f"{_WHAT}: body must return {len(self.leaves)} next values in the structure of loop_vars, "
                f"not {'nothing' if results is None else len(after)}"
            )
        leaves: list[Any] = []
        for place, (param, value) in enumerate(zip(self.params, after, strict=True)):
            if isinstance(param, TensorArray) != isinstance(value, TensorArray):
                raise StructureError(f"{_WHAT}: variable {place} must be a tf.TensorArray before and after a step")
            leaves.append(self.loop.following(value, param, place) if isinstance(param, Tensor) else value)
        return leaves

    def _substitute_unchanged(
        self, after: Sequence[Any], tensors: Sequence[int], condition: Node, unchanged: dict[Node, Node]
    ) -> tuple[dict[int, Node], Node]:
        """Replace variables that steps leave unchanged by their initial values, also in ``writes_of``, which is set.

        Args:
            after: Next values of all leaves.
            tensors: Indices of the leaves that are Tensors.
            condition: Condition of the loop.
            unchanged: {parameter of a variable that steps leave unchanged: its initial value}.

        Returns:
            (next values by index of the leaf, condition).
        """
        self.writes_of = {
            place: item.entries.changed for place, item in enumerate(after) if isinstance(item, TensorArray)
        }
        numbers = [number.node for changed in self.writes_of.values() for number, _ in changed]
        values = [value.node for changed in self.writes_of.values() for _, value in changed]
        roots = substitute([*(after[place].node for place in tensors), *numbers, *values, condition], unchanged)
        new = iter(roots)
        following = {place: next(new) for place in tensors}
        numbers, values = [next(new) for _ in numbers], [next(new) for _ in values]
        pairs = iter([*zip(numbers, values, strict=True)])
        self.writes_of = {
            place: tuple((Tensor(number), Tensor(value)) for number, value in (next(pairs) for _ in changed))
            for place, changed in self.writes_of.items()
        }
        return following, next(new)

    def _write(self, place: int, array: TensorArray) -> tuple[Dim, Node] | None:
        """Return (index at the first step, value) of a step's write to an array; None if the step writes nothing."""
        param, before = self.params[place], self._array(place)
        assert isinstance(param, TensorArray), "arrays stay arrays"
        changed = self.writes_of[place]
        if array.origin is not param or (not changed and array.entries.array is not before.entries.array):
            raise StructureError(
                f"{_WHAT}: body must return, as variable {place}, the array that its last write to this variable "
                "returned, or the variable itself"
            )
        if not changed:
            return None
        number = self.counts.number(changed[0][0].node)
        if len(changed) > 1 or number is None:
            raise NotOfferedError(
                f"{_WHAT}: a step writes several entries of an array, or at an index that is not a counter; write one "
                f"entry per step, at an index that increases by 1 ({GUIDE})"
            )
        if param.was_read:
            raise NotOfferedError(
                f"{_WHAT}: steps read an array that they write; use a loop variable for values that later steps "
                f"read ({GUIDE})"
            )
        return number, changed[0][1].node

    # The driver ------------------------------------------------------------------------------------

    def _build(
        self, condition: Node, following: dict[int, Node], carried: Sequence[int], writes: dict[int, tuple[Dim, Node]]
    ) -> list[Any]:
        """Build the driver, and return the final values of the variables.

        Args:
            condition: Condition of a step.
            following: Next values, by index of the leaf.
            carried: Indices of the leaves that are carried from step to step.
            writes: {index of an array's leaf: (index of the entry at the first step, value)}.
        """
        loop, counts = self.loop, self.counts
        sources, bounds = [*self.sources, *counts.limits(condition)], [*counts.bounds(condition)]
        known = [*self.max_steps, *(bound for bound in bounds if bound is not None)]
        roots = [*(following[place] for place in carried), *(value for _, value in writes.values()), condition]
        entries = None if known else self._bound_by_arrays(roots, writes)
        if not known and entries is None:
            sources, bounds = [*sources, *counts.limits(condition, True)], [*counts.bounds(condition, True)]
            known = [bound for bound in bounds if bound is not None]
        fixed = [bound for bound in known if isinstance(bound, int)]
        known = [
            *([min(fixed)] if fixed else []),
            *dict.fromkeys(bound for bound in known if not isinstance(bound, int)),
        ]
        stops = None in bounds or len(known) > 1
        length = known[0] if known else entries
        if length is None:
            raise NotOfferedError(
                f"{_WHAT}: its number of steps depends on the data; set maximum_iterations to an upper bound, "
                f"or compare a counter with a number that is known before the loop ({GUIDE})"
            )
        if isinstance(length, int) and length <= 0:
            return pack(self.nest, self.leaves)
        roots = self._replace_counters(roots, length)
        for place in carried:
            param, initial = self._pair(place)
            loop.carry(param, Tensor(roots.pop(0)), initial)
        loop.emits = [roots.pop(0) for _ in writes]
        when = self._carry_condition(condition, following) if stops else None
        finals, emitted = loop.declared(length, when=when)
        steps = finals[-1] if stops and counts.first else None
        results: list[Any] = list(self.leaves)
        for place, value in zip(carried, finals, strict=False):
            results[place] = value
        for node, begins in counts.first.items():
            place = [leaf.node if isinstance(leaf, Tensor) else None for leaf in self.params].index(node)
            results[place] = self._last(begins, length, steps, node.dtype)
        for (place, (begins, _)), values in zip(writes.items(), emitted, strict=True):
            before = self._array(place)
            if stops and before.grows:
                raise NotOfferedError(
                    f"{_WHAT}: the size of a growing array depends on the data; set size= to an upper bound, "
                    f"without dynamic_size ({GUIDE})"
                )
            results[place] = with_written(before, begins, anchored(values, sources))
        return pack(self.nest, [anchored(item, sources) if isinstance(item, Tensor) else item for item in results])

    def _carry_condition(self, condition: Node, following: dict[int, Node]) -> Node:
        """Carry the condition as a loop variable, and return its parameter. A step is skipped if it is False.

        If there are counters, also carry the number of steps that ran, as the last variable.
        """
        loop, counts = self.loop, self.counts
        steps_run = loop.param("taken", TensorType("int64", ()))
        after = {self._node(place): node for place, node in following.items()}
        for node in counts.first:
            after[node] = (Tensor(node) + 1).node
        before = {self._node(place): self._initial(place) for place in following}
        runs = loop.param("runs", TensorType("bool", ()))
        (at_first,), (next_condition,) = substitute([condition], before), substitute([condition], after)
        (next_condition,) = substitute([next_condition], self.replaced)
        loop.carry(runs, Tensor(next_condition), Tensor(at_first))
        if counts.first:
            loop.carry(steps_run, steps_run + 1, constant(0))
        return runs.node

    def _last(self, begins: Dim, length: Dim, steps: Tensor | None, dtype: str) -> Tensor:
        """Return a counter's value after the last step.

        Args:
            begins: Value at the first step.
            length: Number of steps.
            steps: Number of steps that were not skipped; None if no step is skipped.
            dtype: Dtype of the counter.
        """
        if steps is not None:
            return functions.cast(steps + functions.dimension(begins, "int64"), dtype)
        return functions.dimension(begins + length, dtype)

    def _replace_counters(self, roots: list[Node], length: Dim) -> list[Node]:
        """Return ``roots`` in which entries of the driver's sequences replace counters, and look-ups at counters."""
        loop, counts = self.loop, self.counts
        params = [param.node for param in self.params if isinstance(param, Tensor)]
        inside = nodes_of_step(roots, params)
        self.replaced: dict[Node, Node] = {}
        for node in topological(roots):
            first = counts.first_look_up(node)
            if first is None or node.operands[0] in inside:
                continue
            entries = entries_of_steps(Tensor(node.operands[0]), first, length)
            if entries is not None:
                self.replaced[node] = loop.element(entries).node
        for node, begins in counts.first.items():
            self.replaced[node] = loop.element(_numbers(begins, length, node.dtype)).node
        return substitute(roots, self.replaced)

    def _bound_by_arrays(self, roots: Sequence[Node], writes: dict[int, tuple[Dim, Node]]) -> Dim | None:
        """Return an upper bound on the number of steps: the entries of an array that steps read or write in order.

        None if there is no such array.
        """
        for place, (begins, _) in writes.items():
            array = self.leaves[place]
            if isinstance(array, TensorArray) and not array.grows:
                return array.count - begins
        for node in topological(roots):
            first = self.counts.first_look_up(node)
            if first is not None:
                return node.operands[0].shape[0] - first
        return None


def _numbers(first: Dim, length: Dim, dtype: str) -> Tensor:
    """Return the integers from ``first`` to ``first + length - 1``."""
    line = build("iota", size=length)
    return functions.cast(line + functions.dimension(first, "int64") if first != 0 else line, dtype)


def _leaf(leaf: Any) -> Tensor | TensorArray:
    """Return the initial value of a variable's leaf as a Tensor, or as a TensorArray that steps can read."""
    return leaf.before_loop() if isinstance(leaf, TensorArray) else as_value(leaf, None, f"{_WHAT}: a variable")


def _condition(value: Any) -> Node:
    """Return the result of ``cond`` as the node of a bool scalar. Raise ``DtypeError`` for anything else."""
    condition = as_value(value, None, f"{_WHAT}: the result of cond")
    if condition.dtype != "bool" or any(size != 1 for size in condition.shape):
        raise DtypeError(f"{_WHAT}: cond must return a single bool, not {condition!r}")
    return condition.node if not condition.rank else functions.reshape(condition, ()).node


def _bound(maximum: Any) -> Dim:
    """Return ``maximum_iterations`` as an int or a symbolic size."""
    bounds = sizes_in(maximum)
    if len(bounds) != 1 or bounds[0] is None:
        raise ShapeError(f"{_WHAT}: maximum_iterations must be an int or a size, not {maximum!r}")
    size: Dim = bounds[0]
    return size
