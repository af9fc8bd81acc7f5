"""Variables: Tensors that have a value in each session, and what an optimizer keeps beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...declare.initializers import draw
from ...declare.parameters import ParameterSpec, parameter_node
from ...declare.tensor import Tensor, declared
from ...support.errors import DtypeError


class Variable(Tensor):
    """``tf.Variable``: a parameter of the graph in which it was declared, by TensorFlow's name.

    full: the name without ``:0``. initial: the Tensor whose value a session begins with; None where the parameter's
    initializer says it.
    """

    __slots__ = ("_full", "_initial")

    _full: str
    _initial: Tensor | None

    @classmethod
    def of(cls, spec: ParameterSpec, name: str, initial: Tensor | None = None) -> Variable:
        """The variable of a parameter."""
        made: Variable = cls.__new__(cls)
        Tensor.__init__(made, parameter_node(spec, name))
        made._full, made._initial = name, initial
        return made

    @property
    def full(self) -> str:
        return self._full

    @property
    def initial(self) -> Tensor | None:
        return self._initial

    @property
    def spec(self) -> ParameterSpec:
        spec: ParameterSpec = self.node["slot"]
        return spec

    @property
    def trainable(self) -> bool:
        return self.spec.trainable

    @property
    def serial(self) -> int:
        return self.spec.serial

    @property
    def name(self) -> str:
        """TensorFlow's name, with ``:0``."""
        return f"{self._full}:0"

    def drawn(self, seed: int) -> np.ndarray:
        """An initial value, as the parameter's initializer draws it."""
        shape = tuple(int(str(dim)) for dim in self.type.shape)
        return draw(self.spec.initializer, shape, self.dtype, seed, self._full, self.spec.where)

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype}>"


class ExtraVariable:
    """A variable that no graph computes with, such as a slot of an optimizer: it can be read, written, saved.

    read, write: its value, in the session whose turn it is.
    """

    trainable, initial = False, None

    def __init__(
        self, full: str, start: np.ndarray, read: Callable[[], np.ndarray], write: Callable[[np.ndarray], None]
    ) -> None:
        self.full, self.start, self.read, self.write = full, start, read, write
        self.serial = next(declared)

    @property
    def name(self) -> str:
        """TensorFlow's name, with ``:0``."""
        return f"{self.full}:0"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.start.shape

    @property
    def dtype(self) -> str:
        return str(self.start.dtype)

    def drawn(self, seed: int) -> np.ndarray:
        """The initial value."""
        return self.start.copy()

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype}>"

    def _no_operand(self, *_: Any) -> Any:
        raise DtypeError(f"{self!r} belongs to an optimizer; fetch it with session.run, and compute in NumPy")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _no_operand
