"""Variables as programs make, find, change and list them."""

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
from .graph import GraphKeys, get_default_graph
from .names import dtype_name, initializer_from
from .operations import Group, Operation
from .scopes import AUTO_REUSE, present_scope
from .sizes import sizes_in
from .tensors import as_tensorflow
from .variable import Assign, ExtraVariable, Initialize
from .variable import Variable as GraphVariable


class _AnyVariable(type):
    """Whatever is a variable is an instance of ``tf.Variable``."""

    def __instancecheck__(cls, item: Any) -> bool:
        return isinstance(item, GraphVariable | ExtraVariable)


class Variable(metaclass=_AnyVariable):
    """``tf.Variable(initial_value)``: a variable under the name scope that is open."""

    @api
    def __new__(  # type: ignore[misc]
        cls, initial_value: Any = None, trainable: bool | None = None, collections: Any = None,
        validate_shape: bool = True, caching_device: Any = None, name: str | None = None, variable_def: Any = None,
        dtype: Any = None, expected_shape: Any = None, import_scope: Any = None, constraint: Any = None,
        use_resource: Any = None, synchronization: Any = None, aggregation: Any = None, shape: Any = None,
    ) -> GraphVariable:  # fmt: skip
        if initial_value is None:
            raise ArgumentError("tf.Variable needs an initial_value")
        graph = get_default_graph()
        full = graph.unique(f"{graph.name_scope}{checked_name(name or 'Variable', 'a variable')}")
        value = initial_value
        if callable(initial_value):
            value = taking(initial_value, "the initial_value of tf.Variable")()
        graph.unshared.add(full)
        return _made(full, *_initial(value, dtype), trainable is not False, collections)


@api
def get_variable(
    name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
    trainable: bool | None = None, collections: Any = None, caching_device: Any = None, partitioner: Any = None,
    validate_shape: bool = True, use_resource: Any = None, custom_getter: Any = None, constraint: Any = None,
    synchronization: Any = None, aggregation: Any = None,
) -> GraphVariable:  # fmt: skip
    """The variable of a name under the variable scope that is open: made, or found where the scope reuses."""
    graph, scope = get_default_graph(), present_scope()
    full = scope.under(checked_name(name, "a variable"))
    if scope.reuse or scope.name in graph.scopes:  # a layer's, whose variables a name may be one of
        graph.name_new_variables()
    found = graph.shared_variable(full)
    if found is not None:
        return _reused(found, full, scope.reuse, shape, dtype)
    if scope.reuse and scope.reuse != AUTO_REUSE:
        raise ArgumentError(
            f"the variable {full} is to be reused, and does not exist, or was not created with tf.get_variable(); did "
            "you mean reuse=tf.AUTO_REUSE?"
        )
    kind = dtype_name(scope.dtype if dtype is None else dtype)
    start = scope.initializer if initializer is None else initializer
    start = ("glorot_uniform" if kind in FLOATS else "zeros") if start is None else start
    own = graph.unique(full)
    if shape is None:
        if start is None or isinstance(start, str) or callable(start):
            raise ShapeError(f"tf.get_variable({name!r}) needs a shape")
        settled = _initial(start, dtype)
    elif isinstance(start, Tensor):
        settled = _initial(start, kind)
    else:
        settled = _by_initializer(start, check_shape(name, sizes_in(shape)), kind)
    is_taken = full in graph.by_name  # by a tf.Variable, which only its own name knows
    made = _made(own if is_taken else full, *settled, trainable is not False, collections)
    if is_taken:
        graph.shared[full] = made
    penalize(made, scope.regularizer if regularizer is None else regularizer)
    return made


def _reused(found: GraphVariable, full: str, reuse: Any, shape: Any, dtype: Any) -> GraphVariable:
    """The variable that there is. Raises ``ArgumentError`` where the scope does not reuse, or the kinds differ."""
    if not reuse:
        raise ArgumentError(
            f"the variable {full} already exists, made at {found.spec.where}, and its scope does not reuse it; did you "
            "mean to set reuse=True or reuse=tf.AUTO_REUSE in tf.variable_scope, or another name?"
        )
    if shape is not None and tuple(found.shape) != check_shape(full, sizes_in(shape)):
        raise ShapeError(f"{full} has the shape {found.shape}, and {shown(shape)} is asked for")
    if dtype is not None and dtype_name(dtype) != str(found.dtype):
        raise ArgumentError(f"{full} is {found.dtype}, and {dtype_name(dtype)} is asked for; give dtype={found.dtype}")
    return found


@api
def get_local_variable(name: str, shape: Any = None, *arguments: Any, **options: Any) -> GraphVariable:
    """``get_variable`` of a variable that is local: it is not trained, and not saved."""
    options |= {"trainable": False, "collections": [GraphKeys.LOCAL_VARIABLES]}
    made: GraphVariable = get_variable(name, shape, *arguments, **options)
    return made


def cell_variable(
    full: str, kind: TensorType, initializer: Any, trainable: bool, reuse: Any, where: Where | None
) -> ParameterSpec:
    """The parameter of a cell by its full name: made, or found where the scope of the cell reuses."""
    graph = get_default_graph()
    if reuse:
        graph.name_new_variables()
    known = graph.by_name.get(full)
    if known is not None and not reuse:
        raise ArgumentError(
            f"the variable {full} is there already; call one cell object again and again, open the scope with "
            "reuse=tf.AUTO_REUSE, or give this cell a scope of its own",
            where,
        )
    if known is not None:
        found: ParameterSpec = known.spec
        return found
    if reuse and reuse != AUTO_REUSE:
        raise ArgumentError(
            f"the variable {full} is to be reused, and does not exist; did you mean reuse=tf.AUTO_REUSE, or "
            "rg.shared(cell) for one set of variables?",
            where,
        )
    graph.unique(full)
    made = _made(full, kind, initializer_of(initializer), None, trainable, None)
    penalize(made, present_scope().regularizer)
    return made.spec


def penalize(made: Tensor, penalty: Any, where: Where | None = None) -> None:
    """Collects the penalty of a variable. penalty: a function of it, or None. where: of an error."""
    if penalty is None:
        return
    if not callable(penalty):
        raise DtypeError(f"a regularizer is a function of a variable, not {shown(penalty)}", where)
    loss = taking(penalty, "a regularizer", "variable", where=where)(as_tensorflow(made))
    if loss is not None:
        get_default_graph().collections[GraphKeys.REGULARIZATION_LOSSES].append(loss)


Settled = tuple[TensorType, Initializer, Tensor | None]


def _initial(value: Any, dtype: Any) -> Settled:
    """The type of a variable, its initializer, and the Tensor that gives its value where that takes a run."""
    if isinstance(value, Tensor):
        shape = tuple(value.shape)
        if not all(isinstance(size, int) for size in shape):
            raise ShapeError(f"a variable can't begin as {value!r}, whose sizes are open")
        kind = TensorType(value.dtype, value.type.shape)
        drawn = value.node.get("drawn")
        if drawn is not None:
            return kind, drawn.initializer, None
        if value.node.op == "constant":
            return kind, Constant(value.node["value"]), None
        return kind, zeros, value
    array = array_of(value, "a variable begins as an array or a Tensor of fixed sizes")
    if dtype is None and not isinstance(value, np.ndarray | np.generic):
        dtype = {"f": "float32", "i": "int32", "b": "bool"}.get(array.dtype.kind)
    found = dtype_name(str(array.dtype) if dtype is None else dtype)
    return TensorType(found, array.shape), Constant(array), None


def _by_initializer(start: Any, shape: tuple[int, ...], kind: str) -> Settled:
    start = initializer_from(start)
    if callable(start) and (given := _tensorflow_arguments(start, kind)) is not None:
        settled = _initial(start(shape, **given), kind)
        if settled[0].shape != shape:
            raise ShapeError(f"the initializer gives {settled[0]} for a variable of shape {shape}")
        return settled
    return TensorType(kind, shape), initializer_of(start), None


def array_initializer(given: Any) -> Initializer:
    """An initializer of a program's as layers and cells take it: of (shape, generator)."""
    start = initializer_from(given)
    if not callable(start) or (arguments := _tensorflow_arguments(start, "float32")) is None:
        return initializer_of(start)

    def draw(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        _, initializer, computed = _initial(start(shape, **arguments), None)
        if computed is not None:
            raise ArgumentError(f"an initializer gives {computed!r}, which takes a run; give numbers, made with NumPy")
        return initializer(shape, generator)

    return draw


def _tensorflow_arguments(function: Callable[..., Any], kind: str) -> dict[str, Any] | None:
    """What TensorFlow gives an initializer of a program's own beside the shape; None for one of ours."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    given = {"dtype": kind, "partition_info": None}
    taken = {name: value for name, value in given.items() if name in names}
    return taken or None


def added_variable(name: str, kind: TensorType, start: Initializer, initial: Tensor | None) -> GraphVariable:
    """A variable that is not trained, of a free name. initial: the Tensor whose value it begins with, if any."""
    graph = get_default_graph()
    full = graph.unique(name)
    graph.unshared.add(full)
    return _made(full, kind, start, initial, False, None)


def _made(
    full: str, kind: TensorType, start: Initializer, initial: Tensor | None, trainable: bool, collections: Any
) -> GraphVariable:
    graph = get_default_graph()
    spec = ParameterSpec(kind, start, trainable and kind.dtype in FLOATS, user_line(), full)
    made = GraphVariable.of(spec, full, initial)
    graph.variables[spec] = graph.by_name[full] = made
    graph.own(made)
    names = [collections] if isinstance(collections, str) else [str(name) for name in collections or ()]
    if collections is not None and GraphKeys.GLOBAL_VARIABLES not in names:
        graph.apart.add(full)
    for name in names:
        if name not in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.TRAINABLE_VARIABLES):
            graph.collections[name].append(made)
    return made


def _variables(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list | tuple) or not all(isinstance(item, Variable) for item in found):
        raise DtypeError(f"{what} takes a list of variables, not {shown(found)}")
    return list(found)


# Assignments -----------------------------------------------------------------------------------------


@api
def assign(
    ref: Any, value: Any, validate_shape: Any = None, use_locking: Any = None, name: str | None = None
) -> Operation:
    """An operation that sets a variable, and gives its new value."""
    return Assign(ref, value, None, name or "Assign")


@api
def assign_add(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Operation:
    """An operation that adds to a variable, and gives its new value."""
    return Assign(ref, value, np.add, name or "AssignAdd")


@api
def assign_sub(ref: Any, value: Any, use_locking: Any = None, name: str | None = None) -> Operation:
    """An operation that subtracts from a variable, and gives its new value."""
    return Assign(ref, value, np.subtract, name or "AssignSub")


# Initial values, and lists ---------------------------------------------------------------------------


@api
def global_variables_initializer() -> Operation:
    """An operation that gives all variables that there are by now their initial values."""
    return Initialize(get_default_graph().global_variables(), "init")


@api
def variables_initializer(var_list: Sequence[Any], name: str = "init") -> Operation:
    """An operation that gives these variables their initial values."""
    return Initialize(_variables(var_list, "tf.variables_initializer"), name)


@api
def local_variables_initializer() -> Operation:
    """An operation that gives all local variables that there are by now their initial values."""
    return Initialize(local_variables(), "init_local")


@api
def tables_initializer(name: str = "init_all_tables") -> Operation:
    """Does nothing: there are no lookup tables."""
    return Group([], name)


@api
def global_variables(scope: str | None = None) -> list[Any]:
    """All variables, in the order of creation."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


@api
def trainable_variables(scope: str | None = None) -> list[Any]:
    """The variables that are trained, in the order of creation."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


@api
def local_variables(scope: str | None = None) -> list[Any]:
    """The variables of the collection of local ones, which are not saved, such as those of ``tf.metrics``."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


@api
def is_variable_initialized(variable: Any) -> Operation:
    """An operation whose run says whether a variable has a value."""
    return _HasValue(_variables([variable], "tf.is_variable_initialized"), "IsVariableInitialized")


@api
def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Operation:
    """An operation whose run gives the names of variables without a value."""
    found = get_default_graph().all_variables() if var_list is None else var_list
    return _Missing(_variables(found, "tf.report_uninitialized_variables"), name)


class _HasValue(Operation):
    def __init__(self, variables: Sequence[Any], name: str) -> None:
        self.variables = list(variables)
        super().__init__(name)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return not self.missing(session)

    def missing(self, session: Any) -> list[bytes]:
        """Names of those without a value."""
        return [item.full.encode() for item in self.variables if item.full not in session.initialized]


class _Missing(_HasValue):
    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return np.array(self.missing(session), dtype=object)


@api
def analyze_vars(variables: Sequence[Any], print_info: bool = False) -> tuple[int, int]:
    """Return (number of elements of variables, their bytes). print_info: print a line for each, too."""
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
