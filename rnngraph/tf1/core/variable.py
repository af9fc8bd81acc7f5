"""Variables: Tensors with a value in each session; variables of optimizers; and the operations that set them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...declare.initializers import draw
from ...declare.parameters import ParameterSpec, parameter_node
from ...declare.tensor import Tensor, constant, declared
from ...support.arguments import array_of
from ...support.errors import DtypeError, ShapeError, shown
from .dtypes import DType
from .graph import Graph, get_default_graph, present_session
from .operations import Operation
from .shapes import TensorShape
from .tensors import DTYPES, TfTensor, operation_of


class Settable:
    """Base of all variables: reads of a variable, and operations that set it."""

    __slots__ = ()

    @property
    def dtype(self) -> DType:
        """Dtype, with TensorFlow's attributes such as ``as_numpy_dtype``."""
        raise NotImplementedError

    def eval(self, session: Any = None) -> Any:
        """Return the value in a session, by default the entered session."""
        return present_session(session).run(self)

    def load(self, value: Any, session: Any = None) -> None:
        """Set the variable's value in a session."""
        present_session(session).set_value(self, array_of(value, f"{self!r} can't be set", self.dtype))

    def assign(self, value: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True) -> Assign:
        """Return an operation that sets the variable."""
        return Assign(self, value, None, name or "Assign")

    def assign_add(
        self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True
    ) -> Assign:
        """Return an operation that adds to the variable."""
        return Assign(self, delta, np.add, name or "AssignAdd")

    def assign_sub(
        self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True
    ) -> Assign:
        """Return an operation that subtracts from the variable."""
        return Assign(self, delta, np.subtract, name or "AssignSub")

    @property
    def initializer(self) -> Initialize:
        """Operation that sets the variable to its initial value."""
        return Initialize([self], "init")

    def initialized_value(self) -> Any:
        """Return the variable itself: runs initialize the variables that an initial value depends on."""
        return self

    value = initialized_value

    def read_value(self) -> Any:
        """Return a read of the variable that runs after the operations of open ``tf.control_dependencies`` blocks."""
        graph = get_default_graph()
        return graph.following(self, [self]) if graph.collections["control_inputs"] else self

    @property
    def dtype_base(self) -> Any:
        """Dtype of the variable."""
        return self.dtype


class Variable(TfTensor, Settable):
    """``tf.Variable``: a parameter of its graph, under TensorFlow's name.

    Attributes:
        full: The name without ``:0``.
        initial: Tensor of the initial value; None if the parameter's initializer determines it.
    """

    __slots__ = ("_full", "_initial")

    eval = Settable.eval  # type: ignore[assignment]  # it takes no feeds in TensorFlow either
    _full: str
    _initial: Tensor | None

    @classmethod
    def of(cls, spec: ParameterSpec, name: str, initial: Tensor | None = None) -> Variable:
        """Return a variable for a parameter."""
        variable: Variable = cls.__new__(cls)
        Tensor.__init__(variable, parameter_node(spec, name))
        variable._full, variable._initial = name, initial
        return variable

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
        """Name of the variable as in TensorFlow, with ``:0``."""
        return f"{self._full}:0"

    def drawn(self, seed: int) -> np.ndarray:
        """Return an initial value from the parameter's initializer."""
        shape = tuple(int(str(dim)) for dim in self.type.shape)
        return draw(self.spec.initializer, shape, self.dtype, seed, self._full, self.spec.where)

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype}>"


class ExtraVariable(Settable):
    """Variable that Tensors cannot read, such as a slot of an optimizer. Sessions read, write and save its value.

    Attributes:
        read: Function that returns the value in the current session.
        write: Function that sets the value in the current session.
    """

    trainable, initial = False, None

    def __init__(
        self, full: str, start: np.ndarray, read: Callable[[], np.ndarray], write: Callable[[np.ndarray], None]
    ) -> None:
        self.full, self.start, self.read, self.write = full, start, read, write
        self.serial = next(declared)

    @property
    def name(self) -> str:
        """Name of the variable as in TensorFlow, with ``:0``."""
        return f"{self.full}:0"

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.start.shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def dtype(self) -> DType:
        return DTYPES[str(self.start.dtype)]

    @property
    def op(self) -> Any:
        """Operation of the variable, with its name."""
        return operation_of(self, "VariableV2", [])

    def drawn(self, seed: int) -> np.ndarray:
        """Return the initial value."""
        return self.start.copy()

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype}>"

    def _no_operand(self, *_: Any) -> Any:
        raise DtypeError(f"{self!r} belongs to an optimizer; fetch it, and compute in NumPy")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _no_operand


Graph.variable_of = Variable.of

# Operations -----------------------------------------------------------------------------------------


def specs_of(variables: Iterable[Any]) -> list[ParameterSpec]:
    """Return the parameters of the ``Variable``s among variables. ``ExtraVariable``s have none."""
    return [item.spec for item in variables if isinstance(item, Variable)]


class Initialize(Operation):
    """Operation that sets variables to their initial values. An initial value may read other variables."""

    def __init__(self, variables: Sequence[Any], name: str) -> None:
        self.variables = list(variables)
        super().__init__(name)

    def writes(self) -> list[ParameterSpec]:
        return specs_of(self.variables)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        session.initialize(self.variables)


class Assign(Operation):
    """Operation that sets a variable to ``change(present value, operand)``; to the operand if ``change`` is None."""

    def __init__(self, ref: Any, value: Any, change: Callable[[Any, Any], Any] | None, name: str) -> None:
        if not isinstance(ref, Variable | ExtraVariable):
            raise DtypeError(f"an assignment needs a variable, not {shown(ref)}")
        kind = ref.dtype
        self.ref, self.change = ref, change
        self.value = (
            value if isinstance(value, Tensor) else constant(array_of(value, f"{ref!r} can't be set", kind), kind)
        )
        shape = tuple(ref.shape)
        known = all(isinstance(size, int) for size in self.value.shape)
        if self.value.dtype != kind or (known and self.value.shape != shape):
            raise ShapeError(f"{ref!r} can't be set to {self.value!r}; give a value of the variable's dtype and shape")
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return [self.value]

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Run in a session, by default the entered session, and return the variable's new value."""
        return present_session(session).run(self, feed_dict)

    def writes(self) -> list[ParameterSpec]:
        return specs_of([self.ref])

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> np.ndarray:
        new = values[0] if self.change is None else self.change(session.value(self.ref), values[0])
        session.set_value(self.ref, np.asarray(new, self.ref.dtype))
        after: np.ndarray = session.value(self.ref)
        return after
