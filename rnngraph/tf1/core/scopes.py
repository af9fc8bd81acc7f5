"""Scopes: sharing of variables, and the names of declarations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...declare.parameters import ScopeName
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown, user_line
from .dtypes import CONSTRAINED, initializer_from, refuse
from .graph import Graph, get_default_graph

AUTO_REUSE = "auto_reuse"


class VariableScope:
    """``tf.VariableScope``: a prefix of variables' names, with defaults for new variables.

    Attributes:
        reuse: False creates variables, True looks up existing ones, and ``AUTO_REUSE`` does either.
    """

    @api
    def __init__(
        self, name: str, reuse: Any = False, initializer: Any = None, regularizer: Any = None, dtype: str = "float32"
    ) -> None:
        self.name, self.reuse, self.initializer, self.regularizer, self.dtype = (
            name,
            reuse,
            initializer_from(initializer),
            regularizer,
            dtype,
        )

    @property
    def original_name_scope(self) -> str:
        """Full name of the scope and a slash; empty for the root scope."""
        return f"{self.name}/" if self.name else ""

    def reuse_variables(self) -> None:
        """Make ``get_variable`` return existing variables from here on."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """Set the default initializer of variables."""
        self.initializer = initializer_from(initializer)

    def set_regularizer(self, regularizer: Any) -> None:
        """Set the default regularizer of variables."""
        self.regularizer = regularizer

    def global_variables(self) -> list[Any]:
        """Return the variables under the scope."""
        return get_default_graph().get_collection("variables", self.original_name_scope)

    def trainable_variables(self) -> list[Any]:
        """Return the trainable variables under the scope."""
        return get_default_graph().get_collection("trainable_variables", self.original_name_scope)

    def set_partitioner(self, partitioner: Any) -> None:
        """Raise ``ArgumentError`` unless the argument is None, because variables are not partitioned."""
        if partitioner is not None:
            raise ArgumentError("partitioned variables are not supported; leave out the partitioner")

    def set_caching_device(self, caching_device: Any) -> None:
        """Ignore the device: there is one."""

    partitioner = caching_device = None

    def set_dtype(self, dtype: Any) -> None:
        """Set the default dtype of variables."""
        self.dtype = dtype

    def free(self, name: str) -> str:
        """Return a name that no inner scope has yet: ``dense``, or ``dense_1`` if ``dense`` was opened."""
        opened = get_default_graph().opened
        count, free = 0, name
        while opened[self.under(free)]:
            count += 1
            free = f"{name}_{count}"
        return free

    def enter(self, name: str) -> str:
        """Return the full name of a scope under this one, and record the name as used."""
        full = self.under(name)
        with opened_scope(full):
            return full

    def under(self, name: str) -> str:
        """Return the full name of ``name`` under the scope, such as ``decoder/dense``."""
        return f"{self.original_name_scope}{name}"


def present_scope(graph: Graph | None = None) -> VariableScope:
    """Return the open variable scope."""
    graph = get_default_graph() if graph is None else graph
    if graph.variable_scope is None:
        graph.variable_scope = VariableScope("")
    scope: VariableScope = graph.variable_scope
    return scope


@contextmanager
def opened_scope(full: str, is_reopened: bool = False) -> Iterator[None]:
    """Record that a scope is opened. After the block, the names of its inner scopes are free again.

    Args:
        full: Full name of the scope.
        is_reopened: True if the program opens a scope object again. Names that were used before the block then remain
            in use.
    """
    opened = get_default_graph().opened
    opened[full] += 1
    before = dict(opened)
    try:
        yield
    finally:
        for name in opened:
            if is_reopened:
                opened[name] = before.get(name, 0)
            elif name.startswith(f"{full}/"):
                opened[name] = 0


@api
def get_variable_scope() -> VariableScope:
    """Return the open variable scope."""
    return present_scope()


@api
@contextmanager
def variable_scope(
    name_or_scope: Any = None,
    default_name: str | None = None,
    values: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    custom_getter: Any = None,
    reuse: Any = None,
    dtype: Any = None,
    use_resource: Any = None,
    constraint: Any = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Open a variable scope: names of variables within begin with its name.

    The scope inherits from the outer scope, or from ``name_or_scope`` if that is a scope.

    Args:
        name_or_scope: Name, or a scope to open again.
        default_name: Name if ``name_or_scope`` is None; a number is appended if the name was used.
        values: No effect.
        initializer: Default initializer of variables. None: inherited.
        regularizer: Default regularizer of variables. None: inherited.
        caching_device: No effect.
        partitioner: No effect.
        custom_getter: Not offered.
        reuse: True, or ``tf.AUTO_REUSE``, to reuse variables. None and False: inherited.
        dtype: Default dtype of variables. None: inherited.
        use_resource: No effect.
        constraint: Not offered.
        auxiliary_name_scope: Also open a name scope.
    """
    graph, outer, outer_names = get_default_graph(), present_scope(), get_default_graph().name_scope
    if not (reuse is None or isinstance(reuse, bool) or (isinstance(reuse, str) and reuse == AUTO_REUSE)):
        raise DtypeError(f"reuse must be True, False or tf.AUTO_REUSE, not {shown(reuse)}")
    if isinstance(name_or_scope, VariableScope):
        base, name = name_or_scope, name_or_scope.name
    elif name_or_scope is not None:
        text = _scope_text(name_or_scope)
        base, name = outer, outer.under(text) if text else outer.name
    elif default_name is not None:
        base, name = outer, outer.under(outer.free(_scope_text(default_name)))
    else:
        raise ArgumentError("tf.variable_scope needs a name, a scope or default_name")
    refuse("tf.variable_scope", "create variables with tf.get_variable", custom_getter=custom_getter)
    refuse("tf.variable_scope", CONSTRAINED, constraint=constraint)
    inner = VariableScope(
        name,
        reuse or base.reuse,
        initializer or base.initializer,
        regularizer or base.regularizer,
        base.dtype if dtype is None else dtype,
    )
    graph.variable_scope = inner
    last = name.rpartition("/")[2]
    if auxiliary_name_scope and last:
        graph.name_scope = f"{graph.unique(outer_names + last)}/"
    try:
        with opened_scope(name, isinstance(name_or_scope, VariableScope)):
            yield inner
    finally:
        graph.variable_scope, graph.name_scope = outer, outer_names


@api
@contextmanager
def name_scope(name: Any, default_name: Any = None, values: Any = None) -> Iterator[str]:
    """Open a name scope: a prefix of the names of operations and ``tf.Variable``s, not of ``tf.get_variable``.

    A name that ends with a slash replaces the whole prefix. An empty name or None opens the root scope.
    """
    graph, outer = get_default_graph(), get_default_graph().name_scope
    text = default_name if name is None else name
    if text is not None and not isinstance(text, str):
        raise DtypeError(f"a name scope must be a string, not {shown(text)}")
    if not text:
        graph.name_scope = ""
    elif text.endswith("/"):
        graph.name_scope = text
    else:
        graph.name_scope = f"{graph.unique(outer + text)}/"
    try:
        yield graph.name_scope
    finally:
        graph.name_scope = outer


@api
@contextmanager
def op_scope(values: Any, name: Any, default_name: Any = None) -> Iterator[str]:
    """Open a ``name_scope``, with the values as first argument, as in TensorFlow 0.x."""
    with name_scope(name, default_name) as scope:
        yield scope


@contextmanager
def _no_op_scope(what: Any = None, /, *more: Any, **options: Any) -> Iterator[Any]:
    """Do nothing in the block: there are no devices and no containers."""
    yield what


device = container = colocate_with = _no_op_scope


@api
@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[Any]:
    """Make Tensors and operations that are declared within the block depend on ``control_inputs``.

    If a Tensor of ``control_inputs`` has control dependencies, these operations also run first. Reads of variables in
    the block return the values from after all of these operations. None clears the dependencies of outer blocks.
    """
    if control_inputs is not None and not isinstance(control_inputs, list | tuple):
        raise DtypeError(f"tf.control_dependencies needs a list of operations, not {shown(control_inputs)}")
    graph = get_default_graph()
    outer = graph.collections["control_inputs"]
    first = [*outer, *(item for item in control_inputs or () if hasattr(item, "execute"))]
    first += graph.required_by([item.node for item in control_inputs or () if isinstance(item, Tensor)])
    graph.collections["control_inputs"] = [] if control_inputs is None else [*dict.fromkeys(first)]
    try:
        yield control_inputs
    finally:
        graph.collections["control_inputs"] = outer


def layer_scope(base: str, name: Any, reuse: Any = None) -> ScopeName:
    """Return the scope for a layer's variables under the open variable scope: a new one, or one to reuse.

    Args:
        base: Default name of the layer; the second layer without a name is ``base_1``.
        name: Name of the layer, a ``VariableScope``, or None.
        reuse: The layer's own ``reuse``. None and False: that of the variable scope.
    """
    where, present, graph = user_line(), present_scope(), get_default_graph()
    if isinstance(name, VariableScope):
        present, full = VariableScope("", name.reuse), name.name
    elif isinstance(name, str) and name:
        full = present.enter(name)
    elif name is None:
        full = present.enter(present.free(base))
    else:
        raise DtypeError(f'a scope must be a string such as "decoder", not {shown(name)}', where)
    how, known = reuse if reuse else present.reuse, graph.scopes.get(full)
    if how and known is not None:
        return ScopeName(full, False, where, known.specs)
    if how is True:
        raise ArgumentError(
            f"the scope {full} does not exist, but has reuse=True; leave out reuse=True, or use "
            "rg.shared(cell) for one set of parameters",
            where,
        )
    scope = ScopeName(full, name is not None, where)
    graph.scopes.setdefault(full, scope)
    return scope


def _scope_text(name: Any) -> str:
    """Return a scope's name without slashes at its end. Raise ``DtypeError`` if it is not a string."""
    if not isinstance(name, str):
        raise DtypeError(f"the name of a variable scope must be a string, not {shown(name)}")
    return name.rstrip("/")
