"""Types of tensors, and unification of their sizes."""

from __future__ import annotations

import pytest

from rnngraph.ir import type_rules
from rnngraph.ir.interpreter import bind_sizes
from rnngraph.ir.sizes.polynomial import ceil_divide
from rnngraph.ir.types import TensorType, TupleType, size, unify_declared, unify_strict

B, T = size("B"), size("T")


def test_strict_and_declared_meetings() -> None:
    assert unify_strict(B, B) == B
    with pytest.raises(ValueError, match="size B does not match size T"):
        unify_strict(B, T)
    assert unify_declared(B, 3) == 3
    assert unify_declared(3, B) == 3
    assert unify_declared(B, T) == B
    with pytest.raises(ValueError, match="size 3 does not match size 4"):
        unify_declared(3, 4)


def test_sizes_of_arrays() -> None:
    kinds = [TensorType("float32", (B, T, 3)), TensorType("int64", (B,)), TensorType("float32", (T - 1,))]
    assert bind_sizes(list(zip(kinds, [(2, 5, 3), (2,), (4,)], strict=True))) == {"B": 2, "T": 5}
    for shapes in ([(2, 5, 3), (3,), (4,)], [(2, 5, 3), (2,), (5,)], [(2, 5, 4), (2,), (4,)]):
        with pytest.raises(ValueError, match="does not match"):
            bind_sizes(list(zip(kinds, shapes, strict=True)))
    with pytest.raises(ValueError, match=r"shape \(2, 5\) does not fit f32\[B,T,3\]"):
        bind_sizes([(kinds[0], (2, 5))])


# Types ----------------------------------------------------------------------------------------------


def test_types_as_text() -> None:
    kind = TensorType("float32", (B, T - 1, 3))
    assert str(kind) == "f32[B,T-1,3]"
    assert str(TensorType("bool", ())) == "bool[]"
    assert str(TupleType((kind, TensorType("int64", (B,))))) == "(f32[B,T-1,3], i64[B])"
    assert kind.symbols == {"B", "T"}
    assert kind.with_shape(()).rank == 0
    assert TensorType("bool", (B, ceil_divide(T, 2))).plain_symbols == {"B"}


def test_errors_name_the_operand() -> None:
    narrow = [TensorType("float32", (B, 3)), TensorType("int8", (3, 4)), TensorType("int32", (4,))]
    with pytest.raises(
        TypeError, match=r"the third operand of matmul.* must be float32, as float32 times int8 is; not int32"
    ):
        type_rules.matmul(narrow, {}, unify_strict)
    mask = [TensorType("float32", (B, 3)), TensorType("float32", ()), TensorType("int64", (T, B, 1))]
    with pytest.raises(ValueError, match=r"counters of a mask, shape \[T,B,1\], don't broadcast to f32\[B,3\]"):
        type_rules.dropout(mask, {}, unify_strict)
