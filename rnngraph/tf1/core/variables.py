"""Variables: creation, look-up, assignment and lists."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ...declare.initializers import Constant, Initializer, initializer_of, zeros
from ...declare.parameters import ParameterSpec, check_shape
from ...declare.tensor import Tensor
from ...ir.types import FLOATS, TensorType
from ...support.api_guard import api, taking
from ...support.arguments import array_of, checked_name
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, shown, user_line
from .dtypes import CONSTRAINED, dtype_name, initializer_from, refuse
from .graph import GraphKeys, get_default_graph
from .operations import Group, Operation
from .scopes import AUTO_REUSE, present_scope
from .sizes import sizes_in
from .tensors import as_tensorflow
from .variable import Assign, ExtraVariable, Initialize
from .variable import Variable as GraphVariable


class _AnyVariable(type):
    """Metaclass by which every variable is an instance of ``tf.Variable``."""

    def __instancecheck__(cls, item: Any) -> bool:
        return isinstance(item, GraphVariable | ExtraVariable)


class Variable(metaclass=_AnyVariable):
    """``tf.Variable(initial_value)``: a variable under the open name scope.

    Its shape is that of the initial value. Of the other arguments, ``trainable``, ``collections``, ``name`` and
    ``dtype`` have an effect; ``constraint`` and ``variable_def`` are not offered.
    """

    @api
    def __new__(  # type: ignore[misc]  # it returns a variable of another class
        cls,
        initial_value: Any = None,
        trainable: bool | None = None,
        collections: Any = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        use_resource: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
    ) -> GraphVariable:
        if initial_value is None:
            raise ArgumentError("tf.Variable needs an initial_value")
        graph = get_default_graph()
        full = graph.unique(f"{graph.name_scope}{checked_name(name or 'Variable', 'a variable')}")
        value = initial_value
        if callable(initial_value):
            value = taking(initial_value, "the initial_value of tf.Variable")()
        refuse("tf.Variable", CONSTRAINED, constraint=constraint)
        refuse("tf.Variable", "give initial_value", variable_def=variable_def)
        if isinstance(value, Tensor) and dtype is not None and dtype_name(dtype) != value.type.dtype:
            raise DtypeError(f"tf.Variable: {value!r} is not {dtype_name(dtype)}; convert it with tf.cast")
        graph.unshared.add(full)
        return _new_variable(full, *_start_from_value(value, dtype), trainable is not False, collections)


@api
def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    collections: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: Any = None,
    custom_getter: Any = None,
    constraint: Any = None,
    synchronization: Any = None,
    aggregation: Any = None,
) -> GraphVariable:
    """Return a variable under the open variable scope: a new variable, or an existing one if the scope reuses.

    Initializer, regularizer and dtype default to those of the scope. Without an initializer, floats start
    Glorot-uniform and other variables with 0.

    ``custom_getter`` and ``constraint`` are not offered. ``caching_device``, ``partitioner``, ``validate_shape``,
    ``use_resource``, ``synchronization`` and ``aggregation`` have no effect.
    """
    refuse("tf.get_variable", CONSTRAINED, constraint=constraint)
    refuse("tf.get_variable", "call the getter itself", custom_getter=custom_getter)
    graph, scope = get_default_graph(), present_scope()
    full = scope.under(checked_name(name, "a variable"))
    if scope.reuse or scope.name in graph.scopes:  # a layer's variable may have this name
        graph.name_new_variables()
    existing = graph.shared_variable(full)
    if existing is not None:
        return _reused(existing, full, scope.reuse, shape, dtype)
    if scope.reuse and scope.reuse != AUTO_REUSE:
        raise ArgumentError(
            f"the variable {full} does not exist, or was not created with tf.get_variable(); did "
            "you mean reuse=tf.AUTO_REUSE?"
        )
    kind = dtype_name(scope.dtype if dtype is None else dtype)
    start = scope.initializer if initializer is None else initializer
    start = ("glorot_uniform" if kind in FLOATS else "zeros") if start is None else start
    own = graph.unique(full)
    if shape is None:
        if start is None or isinstance(start, str) or callable(start):
            raise ShapeError(f"tf.get_variable({name!r}) needs a shape; pass shape=, or an array as initializer=")
        start_of_variable = _start_from_value(start, dtype)
    elif isinstance(start, Tensor):
        start_of_variable = _start_from_value(start, kind)
        if start_of_variable[0].shape != check_shape(name, sizes_in(shape)):
            raise ShapeError(f"tf.get_variable({name!r}): the initializer {start!r} does not have shape {shown(shape)}")
    else:
        start_of_variable = _start_from_initializer(start, check_shape(name, sizes_in(shape)), kind)
    is_taken = full in graph.by_name  # by a tf.Variable, which get_variable does not share
    variable = _new_variable(own if is_taken else full, *start_of_variable, trainable is not False, collections)
    if is_taken:
        graph.shared[full] = variable
    penalize(variable, scope.regularizer if regularizer is None else regularizer)
    return variable


def _reused(existing: GraphVariable, full: str, reuse: Any, shape: Any, dtype: Any) -> GraphVariable:
    """Return ``existing`` for reuse. Raise an error if the scope forbids reuse, or shape or dtype differ."""
    if not reuse:
        raise ArgumentError(
            f"the variable {full} already exists, created at {existing.spec.where}, and its scope does not reuse it; "
            "did you mean to set reuse=True or reuse=tf.AUTO_REUSE in tf.variable_scope, or another name?"
        )
    if shape is not None and tuple(existing.shape) != check_shape(full, sizes_in(shape)):
        raise ShapeError(f"{full} has shape {existing.shape}, not {shown(shape)}; pass shape={existing.shape}")
    if dtype is not None and dtype_name(dtype) != str(existing.dtype):
        raise ArgumentError(f"{full} has dtype {existing.dtype}, not {dtype_name(dtype)}; pass dtype={existing.dtype}")
    return existing


@api
def get_local_variable(name: str, shape: Any = None, *arguments: Any, **options: Any) -> GraphVariable:
    """Return a variable as ``get_variable`` does, but a local one, which is neither trained nor saved.

    The variable is added to ``collections``, if any, and to the local variables.
    """
    own = options.get("collections") or ()
    own = [own] if isinstance(own, str) else list(own)
    options |= {"trainable": False, "collections": [*own, GraphKeys.LOCAL_VARIABLES]}
    variable: GraphVariable = get_variable(name, shape, *arguments, **options)
    return variable


def cell_variable(
    full: str, kind: TensorType, initializer: Any, trainable: bool, reuse: Any, where: Where | None
) -> ParameterSpec:
    """Return the parameter of a cell with the name ``full``: a new one, or an existing one if the scope reuses."""
    graph = get_default_graph()
    if reuse:
        graph.name_new_variables()
    known = graph.by_name.get(full)
    if known is not None and not reuse:
        raise ArgumentError(
            f"the variable {full} already exists; call the same cell object again, open the scope with "
            "reuse=tf.AUTO_REUSE, or set scope= of this cell",
            where,
        )
    if known is not None:
        existing: ParameterSpec = known.spec
        return existing
    if reuse and reuse != AUTO_REUSE:
        raise ArgumentError(
            f"the variable {full} does not exist, but its scope has reuse=True; did you mean reuse=tf.AUTO_REUSE, or "
            "rg.shared(cell) for one set of variables?",
            where,
        )
    graph.unique(full)
    variable = _new_variable(full, kind, initializer_of(initializer), None, trainable, None)
    penalize(variable, present_scope().regularizer)
    return variable.spec


def penalize(variable: Tensor, penalty: Any, where: Where | None = None) -> None:
    """Add the result of a regularizer, ``penalty``, on a variable to the collection of regularization losses.

    Args:
        variable: The variable.
        penalty: Function of the variable, or None.
        where: Line for errors.
    """
    if penalty is None:
        return
    if not callable(penalty):
        raise DtypeError(f"a regularizer must be a function of a variable, not {shown(penalty)}", where)
    loss = taking(penalty, "a regularizer", "variable", where=where)(as_tensorflow(variable))
    if loss is not None:
        get_default_graph().collections[GraphKeys.REGULARIZATION_LOSSES].append(loss)


Start = tuple[TensorType, Initializer, Tensor | None]
"""(type, initializer, Tensor of the initial value or None) of a new variable."""


def _start_from_value(value: Any, dtype: Any) -> Start:
    """Return (type, initializer, initial Tensor or None) of a variable with the initial value ``value``."""
    if isinstance(value, Tensor):
        shape = tuple(value.shape)
        if not all(isinstance(size, int) for size in shape):
            raise ShapeError(
                f"a variable's initial value can't be {value!r}, which has symbolic sizes; use sizes that are ints"
            )
        kind = TensorType(value.dtype, value.type.shape)
        drawn = value.node.get("drawn")
        if drawn is not None:
            return kind, drawn.initializer, None
        if value.node.op == "constant":
            return kind, Constant(value.node["value"]), None
        return kind, zeros, value
    array = array_of(value, "a variable's initial value must be an array, or a Tensor of fixed sizes")
    if dtype is None and not isinstance(value, np.ndarray | np.generic):
        dtype = {"f": "float32", "i": "int32", "b": "bool"}.get(array.dtype.kind)
    dtype_of_value = dtype_name(str(array.dtype) if dtype is None else dtype)
    return TensorType(dtype_of_value, array.shape), Constant(array), None


def _start_from_initializer(start: Any, shape: tuple[int, ...], kind: str) -> Start:
    """Return (type, initializer, initial Tensor or None) of a variable with the initializer ``start``.

    A function with TensorFlow's arguments, such as ``dtype``, is called now, and its result is the initial value.
    """
    start = initializer_from(start)
    if callable(start) and (options := _tensorflow_arguments(start, kind)) is not None:
        start_of_variable = _start_from_value(start(shape, **options), kind)
        if start_of_variable[0].shape != shape:
            raise ShapeError(
                f"the initializer returns {start_of_variable[0]} for a variable of shape {shape}; return that shape"
            )
        return start_of_variable
    return TensorType(kind, shape), initializer_of(start), None


def array_initializer(value: Any) -> Initializer:
    """Return a user's initializer as a function of (shape, generator) that returns an array."""
    start = initializer_from(value)
    if not callable(start) or (arguments := _tensorflow_arguments(start, "float32")) is None:
        return initializer_of(start)

    def draw(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        _, initializer, computed = _start_from_value(start(shape, **arguments), None)
        if computed is not None:
            raise ArgumentError(f"an initializer returns {computed!r}, which needs a run; return a NumPy array")
        return initializer(shape, generator)

    return draw


def _tensorflow_arguments(function: Callable[..., Any], kind: str) -> dict[str, Any] | None:
    """Return the keyword arguments that TensorFlow passes to an initializer function; None if it accepts none."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    options = {"dtype": kind, "partition_info": None}
    accepted = {name: value for name, value in options.items() if name in names}
    return accepted or None


def added_variable(name: str, kind: TensorType, start: Initializer, initial: Tensor | None) -> GraphVariable:
    """Return a new untrained variable with a unique name.

    Args:
        name: Full name, to which a number is appended if it is taken.
        kind: Dtype and shape.
        start: Initializer.
        initial: Tensor of the initial value, if any.
    """
    graph = get_default_graph()
    full = graph.unique(name)
    graph.unshared.add(full)
    return _new_variable(full, kind, start, initial, False, None)


def _new_variable(
    full: str, kind: TensorType, start: Initializer, initial: Tensor | None, trainable: bool, collections: Any
) -> GraphVariable:
    """Create a variable with the name ``full``, and record it in the graph and in collections.

    A variable whose ``collections`` lack ``GLOBAL_VARIABLES`` is not global. None: it is global.
    """
    graph = get_default_graph()
    spec = ParameterSpec(kind, start, trainable and kind.dtype in FLOATS, user_line(), full)
    variable = GraphVariable.of(spec, full, initial)
    graph.variables[spec] = graph.by_name[full] = variable
    graph.own(variable)
    names = [collections] if isinstance(collections, str) else [str(name) for name in collections or ()]
    if collections is not None and GraphKeys.GLOBAL_VARIABLES not in names:
        graph.non_global.add(full)
    for name in names:
        if name not in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.TRAINABLE_VARIABLES):
            graph.collections[name].append(variable)
    return variable


def _variables(value: Any, what: str) -> list[Any]:
    """Return a list of variables. Raise ``DtypeError`` if ``value``, the argument of ``what``, is anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, Variable) for item in value):
        raise DtypeError(f"{what} needs a list of variables, not {shown(value)}")
    return list(value)


# Assignments -----------------------------------------------------------------------------------------


@api
def assign(
    ref: Any, value: Any, validate_shape: Any = None, use_locking: Any = None, name: str | None = None
) -> Operation:
    """Return an operation that sets a variable, and returns its new value."""
    return Assign(ref, value, None, name or "Assign")


@api
def assign_add(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Operation:
    """Return an operation that adds to a variable, and returns its new value."""
    return Assign(ref, value, np.add, name or "AssignAdd")


@api
def assign_sub(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Operation:
    """Return an operation that subtracts from a variable, and returns its new value."""
    return Assign(ref, value, np.subtract, name or "AssignSub")


# Initial values, and lists ---------------------------------------------------------------------------


@api
def global_variables_initializer() -> Operation:
    """Return an operation that sets all global variables that exist now to their initial values."""
    return Initialize(get_default_graph().global_variables(), "init")


@api
def variables_initializer(var_list: Sequence[Any], name: str = "init") -> Operation:
    """Return an operation that sets variables to their initial values."""
    return Initialize(_variables(var_list, "tf.variables_initializer"), name)


@api
def local_variables_initializer() -> Operation:
    """Return an operation that sets all local variables that exist now to their initial values."""
    return Initialize(local_variables(), "init_local")


@api
def tables_initializer(name: str = "init_all_tables") -> Operation:
    """Return an operation that does nothing: there are no lookup tables."""
    return Group([], name)


@api
def global_variables(scope: str | None = None) -> list[Any]:
    """Return the global variables whose names begin with ``scope``, in the order of creation."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


@api
def trainable_variables(scope: str | None = None) -> list[Any]:
    """Return the trainable variables whose names begin with ``scope``, in the order of creation."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


@api
def local_variables(scope: str | None = None) -> list[Any]:
    """Return the local variables whose names begin with ``scope``. They are not saved; ``tf.metrics`` creates some."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


@api
def is_variable_initialized(variable: Any) -> Operation:
    """Return an operation whose run returns True if a variable has a value."""
    return _HasValue(_variables([variable], "tf.is_variable_initialized"), "IsVariableInitialized")


@api
def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Operation:
    """Return an operation whose run returns the names of variables without a value, by default among all variables."""
    variables = get_default_graph().all_variables() if var_list is None else var_list
    return _Missing(_variables(variables, "tf.report_uninitialized_variables"), name)


class _HasValue(Operation):
    """Operation that returns True if all variables have values."""

    def __init__(self, variables: Sequence[Any], name: str) -> None:
        self.variables = list(variables)
        super().__init__(name)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return not self.missing(session)

    def missing(self, session: Any) -> list[bytes]:
        """Return the names of variables without a value."""
        return [item.full.encode() for item in self.variables if item.full not in session.initialized]


class _Missing(_HasValue):
    """Operation that returns the names of variables without values."""

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return np.array(self.missing(session), dtype=object)


@api
def analyze_vars(variables: Sequence[Any], print_info: bool = False) -> tuple[int, int]:
    """Return (number of elements, bytes) of variables. With ``print_info``, also print a line for each variable."""
    total = size = 0
    for variable in variables:
        shape = variable.get_shape().as_list()
        elements, width = prod(shape), variable.dtype.size
        total, size = total + elements, size + elements * width
        if print_info:
            print(f"{variable.name}: {shape}, {elements} elements, {elements * width} bytes")
    if print_info:
        print(f"{total} elements, {size} bytes")
    return total, size
