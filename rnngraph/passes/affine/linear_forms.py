"""Linear forms: values of a step as sums of terms in a state.

A term is a product of factors, which do not depend on the state, and of one read, which is one of::

    STATE            the state before the step, entry by entry
    Probe(w, axes)   the sum over ``axes`` of ``w`` times the state: a readout
    None             1: the term does not depend on the state

Factors have one axis for each axis of the state, of size 1 where they do not vary. A value that has no linear form is
``Opaque``: it may be any function of readouts, or of the whole state.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Literal

import numpy as np

from ...declare.trace import driven
from ...ir.graph import Node, make
from ...ir.types import Shape
from ...support.records import dataclass
from .views import (
    UnknownAxisError,
    View,
    atoms_of,
    joined,
    matched,
    padded,
    reshaped,
    resolved,
    spans,
    spread,
    transposed,
)

MAX_TERMS = 64
"""Maximum terms of a value. With more, the recurrence would not be of low rank."""

STATE: Literal["state"] = "state"


@dataclass(frozen=True)
class Probe:
    """Readout: the sum over ``axes`` of the state times the product of ``weights``."""

    weights: tuple[Node, ...]
    axes: frozenset[int]


Read = Probe | Literal["state"] | None


@dataclass(frozen=True)
class Term:
    """Product of factors and at most one read of the state."""

    factors: tuple[Node, ...]
    read: Read = None


@dataclass(frozen=True)
class Linear:
    """Sum of terms. ``view`` maps the axes of the value to those of the state."""

    terms: tuple[Term, ...]
    view: View

    @property
    def is_whole(self) -> bool:
        """True if the value reads the state entry by entry."""
        return any(term.read == STATE for term in self.terms)


@dataclass(frozen=True)
class Opaque:
    """Value that is not linear in the state.

    Attributes:
        is_whole: True if the value may read every entry of the state; False if it only reads readouts.
        reason: What is not linear: the name of an op, or a description of another state.
    """

    is_whole: bool
    reason: str = ""


Form = Linear | Opaque

Products = tuple[tuple[Node, ...], ...]
"""Sum of products, as the factors of each product."""

Splitting = Generator[Any, Products, Products]
"""Search for the products of a value. It yields the searches for other values, and receives their products."""


def product_of(factors: Sequence[Node], dtype: str) -> Node:
    """Return the product of factors; 1 if there are none."""
    if not factors:
        return constant(1.0, dtype)
    result = factors[0]
    for factor in factors[1:]:
        result = make("mul", result, factor, where=factor.where)
    return result


def constant(value: float, dtype: str) -> Node:
    return make("constant", value=np.asarray(value, dtype))


class LinearForms:
    """Linear forms of the values of a loop body that depend on one of its carries.

    Attributes:
        carry: The state.
        axes: Axes of the state.
        view: View of the carry: for each of its axes, the axes of the state that it merges.
        forms: Form of each value that was added, and of the carry.
        dependent: Nodes that depend on the state of this step or, through other carries, on that of an earlier step.
    """

    def __init__(self, carry: Node, axes: Shape, dependent: set[Node], later: set[Node]) -> None:
        self.carry, self.axes, self.dependent = carry, axes, dependent
        self.view = matched(range(len(axes)), axes, carry.shape)
        self.forms: dict[Node, Form] = {carry: Linear((Term((), STATE),), self.view)}
        self.forms |= {node: Opaque(False, "a state that depends on it") for node in later}
        self._products: dict[tuple[Node, ...], Node] = {}
        # terms of values that do not depend on the state, by value and view
        self._outer: dict[tuple[Node, View], Products] = {}

    def add(self, node: Node) -> None:
        """Record a node as a sum of at most ``MAX_TERMS`` terms linear in the state, or as ``Opaque``."""
        forms = [self.forms[item] for item in node.operands if item in self.dependent]
        is_whole = any(form.is_whole for form in forms)
        opaque = next((form for form in forms if isinstance(form, Opaque)), None)
        if opaque is not None:
            self.forms[node] = Opaque(is_whole, opaque.reason)
            return
        try:
            form_of_node = self._form(node)
        except UnknownAxisError:
            form_of_node = None
        if form_of_node is None or len(form_of_node.terms) > MAX_TERMS:
            self.forms[node] = Opaque(is_whole, node.op)
        else:
            self.forms[node] = form_of_node

    # Rules by op ---------------------------------------------------------------------------------

    def _form(self, node: Node) -> Linear | None:
        """Return an op on linear operands as a sum of terms linear in the state; None if it is not linear."""
        if node.dtype != self.carry.dtype:
            return None
        match node.op:
            case "add" | "sub":
                return self._sum(node)
            case "neg":
                minus = constant(-1.0, node.dtype)
                return self._scaled(self._linear(node.operands[0]), (minus,))
            case "mul":
                return self._product(node, *node.operands)
            case "div":
                return self._quotient(node)
            case "select":
                return self._select(node)
            case "cast" | "ensure_shape":
                return self._linear(node.operands[0])
            case "reshape" | "transpose" | "broadcast":
                return self._moved(node)
            case "reduce_sum":
                return self._reduced(self._linear(node.operands[0]), node["axes"], node["keepdims"], node)
            case "matmul":
                return self._matmul(node)
        return None

    def _linear(self, node: Node) -> Linear:
        """Return the form of a value, which must be linear."""
        form = self.forms[node]
        assert isinstance(form, Linear)
        return form

    def _is_free(self, node: Node) -> bool:
        """True if a value does not depend on the state."""
        return node not in self.dependent

    def _scaled(self, form: Linear, factors: tuple[Node, ...], view: View | None = None) -> Linear:
        """Return a form with every term multiplied by ``factors``. ``view`` replaces its view; None keeps the view."""
        return Linear(tuple(Term(term.factors + factors, term.read) for term in form.terms), view or form.view)

    def _sum(self, node: Node) -> Linear:
        """Return an addition or a subtraction of values as a sum of terms that are linear in the state."""
        view: View = ()
        for item in node.operands:
            if not self._is_free(item):
                view = joined(view, self._linear(item).view, node.tensor.rank)
        view = resolved(padded(view, node.tensor.rank), node.shape, self.axes)
        terms: list[Term] = []
        for number, item in enumerate(node.operands):
            own = self._free_terms(item, view) if self._is_free(item) else self._linear(item).terms
            if number and node.op == "sub":
                minus = constant(-1.0, node.dtype)
                own = tuple(Term((*term.factors, minus), term.read) for term in own)
            terms += own
        return Linear(tuple(terms), view)

    def _product(self, node: Node, one: Node, other: Node) -> Linear | None:
        """Return the form of ``node``, a product of two values; None if both depend on the state."""
        if not (self._is_free(one) or self._is_free(other)):
            return None
        free, linear = (one, other) if self._is_free(one) else (other, one)
        return self._times(node, self._linear(linear), free)

    def _times(self, node: Node, form: Linear, free: Node) -> Linear | None:
        """Return the form of ``node``, a linear value times one without the state; None if it has none."""
        view = resolved(padded(form.view, node.tensor.rank), node.shape, self.axes)
        parts = self._free_terms(free, view)
        terms = [Term(term.factors + part.factors, term.read) for term in form.terms for part in parts]
        return Linear(tuple(terms), view)

    def _quotient(self, node: Node) -> Linear | None:
        """Return a quotient as a sum of terms linear in the state; None if the divisor depends on the state."""
        dividend, divisor = node.operands
        if not self._is_free(divisor):
            return None
        form = self._linear(dividend)
        view = resolved(padded(form.view, node.tensor.rank), node.shape, self.axes)
        factor = make("div", constant(1.0, node.dtype), divisor, where=node.where)
        return self._scaled(form, (spread(factor, view, self.axes),), view)

    def _select(self, node: Node) -> Linear | None:
        """Return a select as a sum of terms linear in the state; None if the condition depends on the state."""
        condition, *choices = node.operands
        if not self._is_free(condition):
            return None
        view: View = ()
        for item in choices:
            if not self._is_free(item):
                view = joined(view, self._linear(item).view, node.tensor.rank)
        view = resolved(padded(view, node.tensor.rank), node.shape, self.axes)
        mask = spread(condition, view, self.axes)
        terms: list[Term] = []
        for number, item in enumerate(choices):
            own = self._free_terms(item, view) if self._is_free(item) else self._linear(item).terms
            terms += [
                Term(
                    tuple(self.where(mask, factor, number) for factor in term.factors)
                    or (self.where(mask, constant(1.0, node.dtype), number),),
                    self._read_where(mask, term.read, number),
                )
                for term in own
            ]
        return Linear(tuple(terms), view)

    def where(self, condition: Node, value: Node, choice: int) -> Node:
        """Return ``value`` where a select takes its ``choice``, and 0 elsewhere.

        Args:
            choice: 0 for where the condition is True, 1 for where it is False.
        """
        zero = constant(0.0, value.dtype)
        choices = (zero, value) if choice else (value, zero)
        return make("select", condition, *choices, where=value.where)

    def _read_where(self, condition: Node, read: Read, choice: int) -> Read:
        """Return a readout whose weights are 0 where a select does not take ``choice``.

        There, the weights may be NaN, and 0 times NaN is NaN. Other reads are returned unchanged.
        """
        if not isinstance(read, Probe):
            return read
        return Probe(tuple(self.where(condition, weight, choice) for weight in read.weights), read.axes)

    def _moved(self, node: Node) -> Linear:
        """Return the linear form of a reshape, a transpose or a broadcast: the operand's terms with the axes moved."""
        form, shape = self._linear(node.operands[0]), node.operands[0].shape
        if node.op == "reshape":
            view = reshaped(form.view, shape, self.axes, node.shape)
        elif node.op == "transpose":
            view = tuple(form.view[axis] for axis in node["order"])
        else:
            view = resolved(padded(form.view, node.tensor.rank), node.shape, self.axes)
        return Linear(form.terms, view)

    def _reduced(self, form: Linear, reduced_axes: Sequence[int], keepdims: bool, node: Node) -> Linear | None:
        """Return ``node``, the sum of ``form`` over axes, as terms linear in the state; None if that is impossible."""
        shape = node.operands[0].shape
        axes = frozenset(axis for position in reduced_axes if shape[position] != 1 for axis in form.view[position])
        terms: list[Term] = []
        for term in form.terms:
            reduced = self._reduced_term(term, axes)
            if reduced is None:
                return None
            terms.append(reduced)
        view = [group for position, group in enumerate(form.view) if keepdims or position not in reduced_axes]
        return Linear(tuple(terms), tuple(view))

    def _reduced_term(self, term: Term, axes: frozenset[int]) -> Term | None:
        """Return one term of a linear form summed over axes of the state; None if the sum is not a single term."""
        if not axes:
            return term
        within = tuple(factor for factor in term.factors if spans(factor) & axes)
        outside = tuple(factor for factor in term.factors if not spans(factor) & axes)
        if term.read == STATE:
            return Term(outside, Probe(within, axes))
        if isinstance(term.read, Probe) and not axes <= term.read.axes:
            return None
        return Term((*outside, self._total(within, axes)), term.read)

    def _total(self, factors: tuple[Node, ...], axes: frozenset[int]) -> Node:
        """Return the product of ``factors``, none of which reads the state, summed over axes that remain with size 1.

        Raises:
            UnknownAxisError: No factor varies along an axis, and its size is symbolic.
        """
        product = self.product(factors)
        rank = len(self.axes)
        missing = [self.axes[axis] for axis in sorted(axes) if not product.tensor.rank or product.shape[axis] == 1]
        if any(not isinstance(size, int) for size in missing):
            raise UnknownAxisError
        repetitions = constant(float(np.prod([int(str(size)) for size in missing])), product.dtype)
        if product.tensor.rank == rank:
            summed = tuple(sorted(axis for axis in axes if product.shape[axis] != 1))
            product = make("reduce_sum", product, where=product.where, axes=summed, keepdims=True)
        return make("mul", product, repetitions) if missing else product

    def _matmul(self, node: Node) -> Linear | None:
        """Return a product with a vector, or an outer one, as terms linear in the state; None for other matmuls.

        A product with a vector is a readout. A column times a row is an outer product.
        """
        left, right = node.operands[:2]
        if len(node.operands) > 2 or left.tensor.rank != right.tensor.rank or node.tensor.rank < 2:
            return None
        if left.shape[-1] == 1:
            return self._product(node, left, right)
        if self._is_free(left) and left.shape[-2] == 1:
            order = (*range(left.tensor.rank - 2), left.tensor.rank - 1, left.tensor.rank - 2)
            return self._read(node, right, transposed(left, order), node.tensor.rank - 2)
        if self._is_free(right) and right.shape[-1] == 1:
            order = (*range(right.tensor.rank - 2), right.tensor.rank - 1, right.tensor.rank - 2)
            return self._read(node, left, transposed(right, order), node.tensor.rank - 1)
        return None

    def _read(self, node: Node, value: Node, weights: Node, summed_axis: int) -> Linear | None:
        """Return ``value * weights``, summed over an axis, as terms linear in the state; None if not linear."""
        scaled = make("mul", weights, value, where=node.where)
        form = self._times(scaled, self._linear(value), weights)
        if form is None:
            return None
        summed = make("reduce_sum", scaled, axes=(summed_axis,), keepdims=True)
        return self._reduced(form, (summed_axis,), True, summed)

    # Values that do not depend on the state ------------------------------------------------------

    def product(self, factors: tuple[Node, ...]) -> Node:
        """Return the product of factors as a node. Calls with equal factors return the same node."""
        if factors not in self._products:
            self._products[factors] = product_of(factors, self.carry.dtype)
        return self._products[factors]

    def _free_terms(self, node: Node, view: View) -> tuple[Term, ...]:
        """Express a value that does not depend on the state as terms. Outer products are split into factors."""
        rank = len(view)
        own = (*((1,) * (rank - node.tensor.rank)), *node.shape)
        groups = tuple(group if dim != 1 else () for group, dim in zip(view, own, strict=True))
        split = driven(self._split_outer(node, groups[rank - node.tensor.rank :], 0), lambda splitting: splitting)
        return tuple(map(Term, split))

    def _split_outer(self, node: Node, view: View, depth: int) -> Splitting:
        """Write a value as a sum of products whose factors vary along fewer axes; return the factors of each product.

        A value that cannot be written so is itself the only factor, as it is if the number of products or ``depth``
        exceeds ``MAX_TERMS``. ``depth`` is the number of splits that led to the value.

        Raises:
            UnknownAxisError: The value does not fit ``view``. The call raises it, not the generator.
        """
        return self._splitting(node, view, spread(node, view, self.axes), depth)

    def _splitting(self, node: Node, view: View, spread_node: Node, depth: int) -> Splitting:
        """Return the products of ``_split_outer``."""
        whole, own = ((spread_node,),), spans(spread_node)
        if depth > MAX_TERMS or len(own) < 2:
            return whole
        if (node, view) not in self._outer:
            try:
                split = (yield from self._split(node, view, depth + 1)) or whole
            except UnknownAxisError:
                split = whole
            is_split = all(spans(factor) != own for factors in split for factor in factors)
            self._outer[node, view] = split if is_split and len(split) <= MAX_TERMS else whole
        return self._outer[node, view]

    def _split(self, node: Node, view: View, depth: int) -> Generator[Splitting, Products, Products | None]:
        """Write an op's result as a sum of products of operands; return the factors of each, or None without a rule."""
        rank = node.tensor.rank

        def of(item: Node) -> Splitting:
            groups = view[rank - item.tensor.rank :]
            own = tuple(group if dim != 1 else () for group, dim in zip(groups, item.shape, strict=True))
            return self._split_outer(item, own, depth)

        match node.op:
            case "mul":
                left = yield of(node.operands[0])
                right = yield of(node.operands[1])
                return tuple((*a, *b) for a in left for b in right)
            case "add":
                left = yield of(node.operands[0])
                return (*left, *(yield of(node.operands[1])))
            case "sub":
                minus = constant(-1.0, node.dtype)
                left = yield of(node.operands[0])
                right = yield of(node.operands[1])
                return (*left, *((*factors, minus) for factors in right))
            case "neg":
                negated = yield of(node.operands[0])
                return tuple((*factors, constant(-1.0, node.dtype)) for factors in negated)
            case "matmul":
                column, row = node.operands[:2]
                if column.shape[-1] != 1 or column.tensor.rank != row.tensor.rank or len(node.operands) != 2:
                    return None
                columns = yield of(column)
                rows = yield of(row)
                return tuple((*a, *b) for a in columns for b in rows)
            case "reshape" | "transpose":
                item = node.operands[0]
                if node.op == "reshape":
                    inner = matched(atoms_of(view, node.shape), self.axes, item.shape)
                else:
                    inner = tuple(view[node["order"].index(axis)] for axis in range(rank))
                return (yield self._split_outer(item, inner, depth))
        return None
