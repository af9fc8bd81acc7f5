"""``tf.scan``, ``tf.map_fn``, ``tf.foldl`` and ``tf.foldr``: a function over the entries of a first axis."""

from __future__ import annotations

from typing import Any

from ...declare.functions import basic as functions
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...ir.types import Dim
from ...support.errors import ArgumentError, DtypeError, StructureError, shown
from ..core.operations import behind
from .loop import Function, Loop, as_value, called, first_axis


@behind
def scan(
    fn: Function, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, infer_shape: bool = True, reverse: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """All that ``fn`` made of what it had made before and of each entry, along a first axis.

    fn: of (what it gave before, entry), each in its nest. elems: a nest of Tensors [steps, …]. initializer: what is
    before the first entry; by default the first entry, which then is the first result.
    """
    fold = _Fold("tf.scan", fn, elems, initializer, reverse)
    fold.declare()
    found = [_with_first(first, rest, reverse) for first, rest in zip(fold.added, fold.every, strict=True)]
    return pack(fold.structure, found)


@behind
def foldl(
    fn: Function, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """What ``fn`` made of what it had made before and of the last entry; arguments as of ``tf.scan``."""
    return _Fold("tf.foldl", fn, elems, initializer, reverse=False).last()


@behind
def foldr(
    fn: Function, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """As ``tf.foldl``, from the last entry to the first."""
    return _Fold("tf.foldr", fn, elems, initializer, reverse=True).last()


@behind
def map_fn(
    fn: Function, elems: Any, dtype: Any = None, parallel_iterations: int | None = None, back_prop: bool = True,
    swap_memory: bool = False, infer_shape: bool = True, name: str | None = None,
) -> Any:  # fmt: skip
    """What ``fn`` makes of each entry, along a first axis.

    fn: of an entry, in the nest of elems. dtype: a nest of the dtypes of what it gives, where that is another nest.
    """
    what = "tf.map_fn"
    sequences = _elements(elems, what)
    length = first_axis(sequences, what)
    loop = Loop(what, "map")
    given = pack(elems, [loop.element(item) for item in sequences])
    with loop.step():
        result = called(fn, "fn", given)
        wanted = flatten(elems if dtype is None else dtype)
        leaves = flatten(result)
        if len(leaves) != len(wanted):
            raise StructureError(
                f"{what}: fn gives {len(leaves)} Tensors, and {len(wanted)} are wanted; give dtype= in the nest of "
                "what fn gives"
            )
        kinds = [None] * len(leaves) if dtype is None else wanted
        values = [as_value(leaf, kind, f"{what}: what fn gives") for leaf, kind in zip(leaves, kinds, strict=True)]
    if length == 0:
        raise ArgumentError(f"{what} runs over no entries, so that fn gives nothing")
    loop.emits = [value.node for value in values]
    return pack(result, loop.declared(length)[1])


class _Fold:
    """A function of what it gave before and of an entry.

    added: what stands before the results of steps, where the first entry is what the function begins with. every: the
    results of all steps. structure: the nest of what the function gives.
    """

    def __init__(self, what: str, fn: Any, elems: Any, initializer: Any, reverse: Any) -> None:
        self.what, self.fn, self.elems, self.reverse = what, fn, elems, bool(reverse)
        self.sequences = _elements(elems, what)
        self.length: Dim = first_axis(self.sequences, what)
        self.structure = elems if initializer is None else initializer
        if initializer is None:
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
        """Final values."""
        if isinstance(self.length, int) and self.length < 0:
            raise ArgumentError(f"{self.what} runs over no entries; give an initializer")
        loop = Loop(self.what, self.what.removeprefix("tf."))
        before = [loop.formal(f"before_{number}", item.type) for number, item in enumerate(self.initial)]
        given = pack(self.elems, [loop.element(item) for item in self.sequences])
        with loop.step():
            result = called(self.fn, "fn", pack(self.structure, before), given)
        leaves = flatten(result)
        if len(leaves) != len(before):
            raise StructureError(
                f"{self.what}: fn gives {len(leaves)} Tensors, and {len(before)} stand before the first entry; it "
                "gives what it takes first"
            )
        for place, (value, formal, first) in enumerate(zip(leaves, before, self.initial, strict=True)):
            following = loop.following(value, formal, place)
            loop.carry(formal, following, first)
            loop.emits.append(following.node)
        finals, self.every = loop.declared(self.length, self.reverse)
        return finals

    def last(self) -> Any:
        """What the function gave last, in its nest."""
        return pack(self.structure, self.declare())


def _elements(elems: Any, what: str) -> list[Tensor]:
    found = [as_value(leaf, None, f"{what}: elems") for leaf in flatten(elems)]
    if not found:
        raise DtypeError(f"{what} runs over the entries of Tensors, not of {shown(elems)}")
    return found


def _with_first(first: Tensor | None, rest: Tensor, reverse: bool) -> Tensor:
    if first is None:
        return rest
    one = functions.expand_dims(first, 0)
    return functions.concat([rest, one] if reverse else [one, rest], 0)
