"""``tf.scatter_update``, ``tf.scatter_add`` and others: operations that change some rows of a variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.parameters import ParameterSpec
from ...declare.tensor import Tensor, as_tensor, constant
from ...ir.types import INTEGERS
from ...support.api_guard import api
from ...support.errors import DtypeError, ShapeError, shown
from .graph import present_session
from .operations import Operation
from .variable import ExtraVariable, Variable, specs_of

Change = Callable[[np.ndarray, Any, np.ndarray], None]
"""Function of (array, indices, updates) that changes the array in place."""


class Scatter(Operation):
    """Operation that changes the rows of a variable at ``indices``. A run returns the variable's new value."""

    def __init__(self, ref: Any, indices: Any, updates: Any, change: Change, name: str) -> None:
        if not isinstance(ref, Variable | ExtraVariable):
            raise DtypeError(f"tf.{name} needs a variable, not {shown(ref)}")
        self.ref, self.change = ref, change
        self.indices = as_tensor(indices) if isinstance(indices, Tensor) else constant(indices, "int32")
        self.updates = updates if isinstance(updates, Tensor) else constant(updates, ref.dtype)
        if self.indices.dtype not in INTEGERS or self.updates.dtype != ref.dtype:
            raise DtypeError(
                f"tf.{name} needs int indices and updates of dtype {ref.dtype}, not {self.indices!r} and "
                f"{self.updates!r}"
            )
        rest = tuple(ref.shape)[1:]
        if self.updates.rank and tuple(self.updates.type.shape)[self.indices.rank :] != rest:
            raise ShapeError(
                f"tf.{name} needs updates of shape indices.shape + {rest} for {ref!r}, not {self.updates!r}"
            )
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return [self.indices, self.updates]

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Run in a session, by default the entered session, and return the variable's new value."""
        return present_session(session).run(self, feed_dict)

    def writes(self) -> list[ParameterSpec]:
        return specs_of([self.ref])

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> np.ndarray:
        """Change the variable at the indices, and return its new value."""
        indices, updates = values
        array = np.array(session.value(self.ref))
        if indices.size and not 0 <= indices.min() <= indices.max() < len(array):
            raise IndexError(f"{self!r}: indices must be from 0 to {len(array) - 1}, not {indices.tolist()}")
        self.change(array, indices, updates)
        session.set_value(self.ref, array)
        after: np.ndarray = session.value(self.ref)
        return after


def _set(array: np.ndarray, indices: Any, updates: np.ndarray) -> None:
    array[indices] = updates


def _scatter(name: str, change: Change, what: str) -> Callable[..., Operation]:
    """Return ``tf.<name>``, which changes slices of a variable; ``what`` is the verb of its docstring."""

    def apply(ref: Any, indices: Any, updates: Any, use_locking: Any = None, name: str | None = None) -> Operation:
        return Scatter(ref, indices, updates, change, name or apply.__name__)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"Return an operation that {what} rows of a variable, and returns its new value."
    return api(apply)


scatter_update = _scatter("scatter_update", _set, "replaces")
scatter_add = _scatter("scatter_add", np.add.at, "adds to")
scatter_sub = _scatter("scatter_sub", np.subtract.at, "subtracts from")
scatter_mul = _scatter("scatter_mul", np.multiply.at, "multiplies")
scatter_div = _scatter("scatter_div", np.divide.at, "divides")
scatter_min = _scatter("scatter_min", np.minimum.at, "takes the minimum of updates and")
scatter_max = _scatter("scatter_max", np.maximum.at, "takes the maximum of updates and")
