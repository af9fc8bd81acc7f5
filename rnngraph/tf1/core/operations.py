"""Operations, which are side effects of a run; and decorators of the functions of ``tf``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast

import numpy as np

from ...declare.nest import flatten
from ...declare.parameters import ParameterSpec
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...support.api_guard import api
from ...support.errors import DtypeError, shown, user_line
from .graph import get_default_graph, present_session
from .sizes import known_ints
from .tensors import OPERANDS, as_tensorflow, convert_double_arrays, convert_python_ints

Target = TypeVar("Target", bound=Callable[..., Any])


class Operation:
    """``tf.Operation``. ``execute`` runs it and returns its result.

    Attributes:
        before: Operations that run first.
        branch: Branch of ``tf.cond`` or ``tf.case`` whose function created it; None outside of branches.
        where: The user's line.
    """

    @api
    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise DtypeError(f"an operation's name must be a str, not {shown(name)}")
        graph = get_default_graph()
        self.where = user_line()
        self.graph = graph
        self.branch = graph.branch
        self.before: list[Any] = list(graph.collections["control_inputs"])
        self.full = graph.name(name, self)

    @property
    def name(self) -> str:
        """Full name."""
        return self.full

    outputs: Sequence[Any] = ()
    inputs: Sequence[Any] = ()
    device = ""

    @property
    def type(self) -> str:
        """Type of the operation."""
        return type(self).__name__

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run in a session, by default the entered session."""
        present_session(session).run(self, feed_dict)

    def needs(self) -> list[Tensor]:
        """Return the Tensors whose values ``execute`` receives."""
        return []

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        """Run in a session, with the values of the Tensors that ``needs`` lists."""

    def reads(self) -> list[Node]:
        """Return the nodes on whose values the operation depends."""
        return [tensor.node for tensor in self.needs()]

    def forces(self) -> list[Node]:
        """Return the nodes that a run of the operation computes. Control dependencies of the nodes run earlier."""
        return self.reads()

    def writes(self) -> list[ParameterSpec]:
        """Return the variables that the operation changes."""
        return []

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.full}' type={self.type}>"

    def _no_operand(self, *_: Any) -> Any:
        raise DtypeError(f"{self!r} is an operation, not a Tensor; run it, and compute with Tensors or variables")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _no_operand
    __neg__ = __pow__ = __getitem__ = __matmul__ = __lt__ = __gt__ = _no_operand


class Step(Operation):
    """Operation whose native call also computes fetched Tensors, such as a training step.

    The Tensors have their values from before the change that the operation makes.
    """

    @property
    def is_whole(self) -> bool:
        """True if one native call can compute all that the training operation reads, and update the variables."""
        return True

    def step(self, session: Any, fetches: Any, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Run the training operation, and return the values that ``fetches`` had before its update."""
        raise NotImplementedError

    def separated(self) -> Any:
        """Return an operation with the same effect whose gradients other native calls compute."""
        raise NotImplementedError


class Group(Operation):
    """Operation that runs several others in order."""

    def __init__(self, members: Sequence[Any], name: str) -> None:
        self.members = list(members)
        super().__init__(name)
        self.before += self.members


@api
def group(*inputs: Any, name: str | None = None) -> Operation:
    """Return an operation that runs all ``inputs``: operations, and those on which Tensors depend."""
    members = [item for item in flatten(list(inputs)) if item is not None]
    for item in members:
        if not isinstance(item, Operation | Tensor):
            raise DtypeError(f"tf.group needs operations and Tensors, not {shown(item)}")
    operations = [item for item in members if isinstance(item, Operation)]
    operations += get_default_graph().required_by([item.node for item in members if isinstance(item, Tensor)])
    return Group(operations, name or "group_deps")


@api
def tuple_of(tensors: Any, name: str | None = None, control_inputs: Any = None) -> list[Any]:
    """Return the Tensors themselves. ``control_inputs`` has no effect."""
    if not isinstance(tensors, list | tuple):
        raise DtypeError(f"tf.tuple needs a list of Tensors, not {shown(tensors)}")
    return list(tensors)


@api
def no_op(name: str | None = None) -> Operation:
    """Return an operation that does nothing."""
    return Group([], name or "NoOp")


# Names of results -----------------------------------------------------------------------------------------


def runs_after_dependencies(target: Target) -> Target:
    """Decorate a function that runs a cell over time: control dependencies run once, before the first step.

    Results of the function become ``TfTensor``s.
    """

    @wraps(target)
    def call(*arguments: Any, **keywords: Any) -> Any:
        result = as_tensorflow(target(*arguments, **keywords))
        graph = get_default_graph()
        if not graph.collections["control_inputs"] or graph.steps:
            return result
        return graph.following(result, (*arguments, *keywords.values()), inner=False)

    return cast("Target", api(call))


FIXED = frozenset(
    {
        "axes",
        "axis",
        "concat_dim",
        "depth",
        "dim",
        "k",
        "num",
        "num_columns",
        "num_or_size_splits",
        "num_rows",
        "paddings",
        "perm",
        "reduction_indices",
        "split_dim",
        "squeeze_dims",
    }
)
"""Arguments of TensorFlow's functions that must be known at declaration. Constant Tensors of ints are accepted."""


def operation(target: Target) -> Target:
    """Decorate a function of ``tf`` so that it names its result and converts arguments as TensorFlow does.

    Arrays of float64 are converted to the dtype of a floating-point Tensor among the arguments. If no operand is a
    Tensor or array, Python's ints become int32.
    """
    default = f"{target.__name__}"
    names = tuple(signature(target).parameters)
    places = {place: name for place, name in enumerate(names) if name in OPERANDS}
    fixed = {place for place, name in enumerate(names) if name in FIXED}

    @wraps(target)
    def call(*arguments: Any, **keywords: Any) -> Any:
        arguments = tuple(known_ints(item) if place in fixed else item for place, item in enumerate(arguments))
        keywords = {name: known_ints(item) if name in FIXED else item for name, item in keywords.items()}
        operands = {names[place]: arguments[place] for place in places if place < len(arguments)}
        operands |= {name: value for name, value in keywords.items() if name in OPERANDS}
        if converted := convert_python_ints(operands):
            arguments = tuple(converted.pop(name, item) for name, item in zip(names, arguments, strict=False))
            keywords |= converted
        values = convert_double_arrays((*arguments, *keywords.values()))
        graph = get_default_graph()
        branch = graph.branch_read()
        read = values if branch is None else branch.reads(values)
        result = target(*read[: len(arguments)], **dict(zip(keywords, read[len(arguments) :], strict=True)))
        if branch is not None:
            branch.owns(result)
        if graph.collections["control_inputs"]:
            result = graph.following(result, values)
        result = as_tensorflow(result)
        if not isinstance(result, Tensor):
            return result
        name = keywords.get("name")
        if isinstance(name, str) and name:
            graph.name(name, result)
        return result

    call.__name__ = default
    return cast("Target", api(call))
