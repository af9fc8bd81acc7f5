"""``tf.scan``, ``tf.map_fn``, ``tf.foldl`` and ``tf.foldr``: functions over the entries of a first axis.

The arguments ``parallel_iterations``, ``back_prop``, ``swap_memory`` and ``infer_shape`` have no effect.
"""

from __future__ import annotations

from typing import Any

from ...declare.functions import basic as functions
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...ir.types import Dim
from ...support.errors import ArgumentError, DtypeError, StructureError, shown
from ..core.operations import runs_after_dependencies
from .loop import Function, Loop, as_value, call_function, first_axis, in_order_of


@runs_after_dependencies
def scan(
    fn: Function,
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """Return the results [steps, …] of ``fn``, each computed from the previous result and the next entry of ``elems``.

    Args:
        fn: Function of (previous result, entry of ``elems``) that returns the next result.
        elems: Nest of Tensors [steps, …].
        initializer: Previous result at the first step. By default, the first entry is itself the first result.
        reverse: True to begin with the last entry. Results keep the order of the entries.
    """
    fold = _Fold("tf.scan", fn, elems, initializer, reverse)
    fold.declare()
    results = [_with_first(first, rest, reverse) for first, rest in zip(fold.added, fold.every, strict=True)]
    return pack(fold.structure, results)


@runs_after_dependencies
def foldl(
    fn: Function,
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """Return the last result of ``tf.scan`` with the same arguments."""
    return _Fold("tf.foldl", fn, elems, initializer, reverse=False).last()


@runs_after_dependencies
def foldr(
    fn: Function,
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """Return the result of ``tf.foldl`` over the entries in reverse order."""
    return _Fold("tf.foldr", fn, elems, initializer, reverse=True).last()


@runs_after_dependencies
def map_fn(
    fn: Function,
    elems: Any,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
) -> Any:
    """Return the results [steps, …] of ``fn`` for each entry of ``elems``.

    Args:
        fn: Function of an entry, which has the structure of ``elems``.
        elems: Nest of Tensors [steps, …].
        dtype: Nest of the dtypes of the results. It is needed unless ``fn`` returns as many Tensors as ``elems`` has.
    """
    what = "tf.map_fn"
    sequences = _elements(elems, what)
    length = first_axis(sequences, what)
    loop = Loop(what, "map")
    entries = pack(elems, [loop.element(item) for item in sequences])
    with loop.step():
        result = call_function(fn, "fn", entries)
        dtypes = flatten(elems if dtype is None else in_order_of(result, dtype))
        leaves = flatten(result)
        if len(leaves) != len(dtypes):
            raise StructureError(
                f"{what}: fn returns {len(leaves)} Tensors, not {len(dtypes)}; pass dtype= in the structure of fn's "
                "results"
            )
        kinds = [None] * len(leaves) if dtype is None else dtypes
        values = [as_value(leaf, kind, f"{what}: the result of fn") for leaf, kind in zip(leaves, kinds, strict=True)]
    if length == 0:
        raise ArgumentError(f"{what}: elems has no entries; pass Tensors with at least one entry")
    loop.emits = [value.node for value in values]
    return pack(result, loop.declared(length)[1])


class _Fold:
    """Loop over a function of (previous result, entry) that returns the next result.

    Attributes:
        initial: Leaves of the initial result.
        added: ``initial`` if it is an entry of ``elems``, and so the first of all results. Nones if the program passed
            an initializer.
        every: Results of all steps.
        structure: Nest whose structure results have: ``initializer`` or ``elems``.
    """

    def __init__(self, what: str, fn: Any, elems: Any, initializer: Any, reverse: Any) -> None:
        self.what, self.fn, self.elems, self.reverse = what, fn, elems, bool(reverse)
        self.sequences = _elements(elems, what)
        self.length: Dim = first_axis(self.sequences, what)
        self.structure = elems if initializer is None else initializer
        if initializer is None:
            if self.length == 0:
                raise ArgumentError(f"{what}: elems has no entries; give an initializer")
            self.added: list[Tensor | None] = [item[-1] if self.reverse else item[0] for item in self.sequences]
            part = slice(None, -1) if self.reverse else slice(1, None)
            self.sequences = [item[part] for item in self.sequences]
            self.initial = [item for item in self.added if item is not None]
            self.length = self.length - 1
        else:
            self.initial = [as_value(leaf, None, f"{what}: initializer") for leaf in flatten(initializer)]
            self.added = [None] * len(self.initial)
        self.every: list[Tensor] = []

    def declare(self) -> list[Tensor]:
        """Declare the loop, and return the final values."""
        loop = Loop(self.what, self.what.removeprefix("tf."))
        before = [loop.param(f"before_{number}", item.type) for number, item in enumerate(self.initial)]
        entry = pack(self.elems, [loop.element(item) for item in self.sequences])
        with loop.step():
            result = in_order_of(self.structure, call_function(self.fn, "fn", pack(self.structure, before), entry))
        leaves = flatten(result)
        if len(leaves) != len(before):
            raise StructureError(
                f"{self.what}: fn returns {len(leaves)} Tensors, but the initial result has {len(before)}; return "
                "a nest of that structure"
            )
        for place, (value, param, first) in enumerate(zip(leaves, before, self.initial, strict=True)):
            following = loop.following(value, param, place)
            loop.carry(param, following, first)
            loop.emits.append(following.node)
        finals, self.every = loop.declared(self.length, self.reverse)
        return finals

    def last(self) -> Any:
        """Declare the loop, and return the nest of the function's last result."""
        return pack(self.structure, self.declare())


def _elements(elems: Any, what: str) -> list[Tensor]:
    """Return the leaves of ``elems`` as Tensors, at least one."""
    tensors = [as_value(leaf, None, f"{what}: elems") for leaf in flatten(elems)]
    if not tensors:
        raise DtypeError(f"{what} needs Tensors with a first axis, not {shown(elems)}")
    return tensors


def _with_first(first: Tensor | None, rest: Tensor, reverse: bool) -> Tensor:
    """Return ``rest`` with ``first`` as an additional entry: the last one if ``reverse``, else the first one.

    If ``first`` is None, return ``rest``.
    """
    if first is None:
        return rest
    one = functions.expand_dims(first, 0)
    return functions.concat([rest, one] if reverse else [one, rest], 0)
