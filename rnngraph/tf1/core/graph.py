"""Graphs, which record a program's declarations, names and collections; and each thread's current graph and session."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...declare.parameters import ParameterSpec, ScopeName
from ...declare.placeholders import RESERVED
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...program.program import Program, compile_beside
from ...support.allocation import zeros
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, NameLookupError, did_you_mean, shown, user_line
from .control_dependencies import ControlDependencies
from .errors import InvalidArgumentError
from .rolling.cuts import Cut
from .rolling.rolled import Rolled

TRAINABLE_VARIABLES, GLOBAL_VARIABLES, LOCAL_VARIABLES = "trainable_variables", "variables", "local_variables"


class SessionInterface:
    """Base of sessions: the methods that graphs and Tensors call."""

    def leave(self) -> None:
        """Save the values of the graph's variables, before another session replaces them."""

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Return the fetched values of a run, in the nested structure of the argument ``fetches``."""
        raise NotImplementedError

    def value(self, variable: Any) -> np.ndarray:
        """Return the value of a variable."""
        raise NotImplementedError

    def set_value(self, variable: Any, array: np.ndarray) -> None:
        """Set a variable's value to a copy of ``array``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Derived:
    """Value of a placeholder that a run computes from the feeds of other placeholders.

    Attributes:
        name: Name of the sparse placeholder whose parts are the sources, for errors.
        sources: The other placeholders, and constants.
        function: Function from the list of the sources' arrays to the value.
    """

    name: str
    sources: Sequence[Node]
    function: Callable[[Sequence[Any]], Any]

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return a placeholder's value in a run, computed by a function of fed values.

        Args:
            session: Session of the run.
            fed: Feeds by declared node.
            seed: Seed of the run.
        """
        missing = [node for node in self.sources if node.op != "constant" and node not in fed]
        if missing:
            raise InvalidArgumentError(f"placeholder {self.name} is not fed; add it to feed_dict=", user_line())
        return self.function([node["value"] if node.op == "constant" else fed[node] for node in self.sources])


@dataclass(frozen=True)
class Count:
    """Value of a placeholder that exists only for its length, which is a symbolic size.

    The length is the value of the scalar ``node``, which a run computes beforehand.
    """

    node: Node

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return an array with as many entries as the scalar ``node`` says, to feed a size that a run computes."""
        known = fed[self.node] if self.node in fed else session.compute([self.node], fed, seed)[0]
        count = int(known)
        if count < 0:
            raise InvalidArgumentError(
                f"a computed size is {count}; sizes must not be negative", self.node.where or user_line()
            )
        return zeros((count,), "bool", "a size that a run computes")


@dataclass(frozen=True)
class Computed:
    """Default value of a placeholder: the value of ``node``, which a run computes beforehand."""

    node: Node

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return the value of ``node`` in a run, for a placeholder that is not fed."""
        return session.compute([self.node], fed, seed)[0]


class Graph(ControlDependencies):
    """``tf.Graph``: everything that was declared while it was current. Sessions hold the values.

    Attributes:
        owners: Tensors whose declarations create variables: variables, and results of layers and cells.
        variables: Variables by their parameters.
        by_name: Variables by full name.
        extra: Variables that are not parameters, such as those of an optimizer.
        scopes: Scopes of layers and drivers by full name, so that later ones can share their variables.
        opened: How often each variable scope was opened.
        cells: ``CellVariables`` by cell, for each cell that ran.
        steps: Scopes of the steps that are being traced, the innermost last.
        copies: For cell objects at several positions in a net: {scope of a further position: scope of the first one}.
        warned: Names of the warnings that were already given.
        derived: For placeholders whose value a run can compute: the object that computes it, by placeholder.
        counts: Placeholders whose length a run computes, by the node of the length.
        non_global: Full names of variables in no global collection, such as local ones.
        unshared: Full names of variables of ``tf.Variable``, which ``tf.get_variable`` does not find.
        shared: Variables of ``tf.get_variable`` by the requested name, if an unshared variable already had that name.
        penalised: Variables of layers whose penalties were collected.
        moved: Moving averages of batch normalization. The program runs their updates, so training steps must not.
        named: Tensors and operations by name.
        holder: Session whose values are loaded into the variables.
        placed: Placeholders.
        labels: Labels of placeholders.
        renamed: Placeholders whose label an earlier placeholder has.
        after: Operations that must run before a node is computed, by node.
        branch: Branch of ``tf.cond`` or ``tf.case`` whose function is declaring Tensors; None outside of branches.
        within: List that records owners of variables, in place of ``owners``, while a step of a loop is declared.
        draws: Number of random Tensors, queues and datasets that were declared, which tells their seeds apart.
    """

    variable_of: ClassVar[Callable[[ParameterSpec, str], Any]]
    """Function of (parameter, full name) that creates a variable. The module ``variable`` sets it at import."""

    @api
    def __init__(self) -> None:
        super().__init__()
        self.seed: int | None = None
        self.owners: list[Tensor] = []
        self.variables: dict[ParameterSpec, Any] = {}
        self.by_name: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.scopes: dict[str, ScopeName] = {}
        self.opened: Counter[str] = Counter()
        self.cells: dict[Any, Any] = {}
        self.derived: dict[Node, Derived | Count | Computed] = {}
        self.counts: dict[Node, Tensor] = {}
        self.non_global: set[str] = set()
        self.unshared: set[str] = set()
        self.shared: dict[str, Any] = {}
        self.named: dict[str, Any] = {}
        self.variable_scope: Any = None
        self.name_scope = ""
        self.holder: SessionInterface | None = None
        self.plans: dict[Any, Any] = {}
        self.warned: set[str] = set()
        self.copies: dict[str, str] = {}
        self.labels: set[str] = {*RESERVED}
        self.placed: set[Node] = set()
        self.moved: set[ParameterSpec] = set()
        self.penalised: set[ParameterSpec] = set()
        self.renamed: list[Node] = []
        self._cuts: dict[frozenset[Node], Cut] = {}
        self._used_names: Counter[str] = Counter()
        self._program: Program[Any] | None = None
        self._compiled = 0
        self._entered = 0  # number of owners whose variables are in by_name
        self.draws = 0

    def cut(self, places: Iterable[Node] = ()) -> Cut:
        """Return a function from a declared node to a copy that reads placeholders in place of ``places``.

        The function also replaces each placeholder that has the label of an earlier one.
        """
        # Ordered, because labels depend on the order, and cached code is looked up by labels.
        all_places = dict.fromkeys((*places, *self.renamed))
        key = frozenset(all_places)
        if key not in self._cuts:
            self._cuts[key] = Cut(all_places, self.moved)
        return self._cuts[key]

    # Declaring -----------------------------------------------------------------------------------

    def variable_read(self, node: Node) -> Any:
        """Return the variable that a node is a plain read of; None for a node that computes something."""
        read = node.operands[0] if node in self.after and node.op == "reshape" else node
        return self.variables.get(read["slot"]) if read.op == "parameter" and read.shape == node.shape else None

    def own(self, *tensors: Tensor) -> None:
        """Record Tensors, such as calls of cells, whose declarations create variables.

        In a step of a loop, those that are no variables themselves are recorded in ``within``.
        """
        for tensor in tensors:
            (self.owners if self.within is None or tensor.node.op == "parameter" else self.within).append(tensor)

    def place(self, tensor: Tensor, name: str | None) -> None:
        """Record a placeholder under its name. Runs feed it under another label if an earlier one has its label."""
        label = tensor.name
        self.placed.add(tensor.node)
        if name is not None and label in self.labels:
            self.renamed.append(tensor.node)
        self.labels.add(label)
        self.name(label if name is None else name, tensor)

    def unique(self, name: str) -> str:
        """Return an unused full name: ``dense``, then ``dense_1``."""
        count, unique_name = self._used_names[name], name
        self._used_names[name] += 1
        while count:
            unique_name = f"{name}_{count}"
            if not self._used_names[unique_name]:
                self._used_names[unique_name] += 1
                break
            count += 1
        return unique_name

    def name(self, name: str, what: Any) -> str:
        """Name an object under the open name scope, and return the full name."""
        full = self.unique(f"{self.name_scope}{name}")
        self.named[full] = what
        return full

    def name_of(self, node: Node) -> str | None:
        """Return the full name that a program gave to the Tensor of a node; None if it gave none."""
        named = (name for name, item in self.named.items() if isinstance(item, Tensor) and item.node is node)
        return next(named, None)

    def program(self) -> Program[Any] | None:
        """Return a program of all Tensors that create variables, compiled if there are new ones; None without any.

        Returns:
            Program whose parameters all other programs of the graph share; None if the graph has no owners.
        """
        if self._compiled != len(self.owners):  # names that an earlier program determined do not change
            rolled = Rolled(self.cut(), [owner.node for owner in self.owners])
            outputs = {str(number): rolled.tensor(owner) for number, owner in enumerate(self.owners)}
            self._program = compile_beside(outputs, None, self._program, self.seed or 0)
            self._compiled = len(self.owners)
        return self._program

    # Methods that programs call ----------------------------------------------------------------------

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Make the graph the current one of this thread."""
        with entered(CURRENT.graphs, self):
            yield self

    def become(self, other: Graph) -> None:
        """Share all state with another graph from now on."""
        self.__dict__ = other.__dict__

    @property
    def version(self) -> int:
        """Number of Tensors that create variables. Sessions discard code that was compiled for an earlier number."""
        return len(self.owners)

    def finalize(self) -> None:
        """Do nothing. Unlike in TensorFlow, later declarations are allowed."""

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """Return the items of a collection; with ``scope``, only items whose names begin with this text."""
        return collection(self, name, scope)

    def get_collection_ref(self, name: str) -> list[Any]:
        """Return the list that stores a collection."""
        return self.collections[str(name)]

    def add_to_collection(self, name: str, value: Any) -> None:
        """Add an item to a collection."""
        self.collections[str(name)].append(value)

    @api
    def get_tensor_by_name(self, name: str) -> Tensor:
        """Return the Tensor with a name such as ``"logits:0"``."""
        item = self.find(name.partition(":")[0])
        if not isinstance(item, Tensor):
            raise NameLookupError(f"{name!r} is an operation; use graph.get_operation_by_name")
        return item

    @api
    def get_operation_by_name(self, name: str) -> Any:
        """Return the operation with a name, or the operation of the Tensor with that name."""
        item = self.find(name)
        return getattr(item, "op", item) if isinstance(item, Tensor) else item

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """Return the object that a name stands for; return anything else unchanged."""
        return self.find(obj.partition(":")[0]) if isinstance(obj, str) else obj

    def find(self, name: str) -> Any:
        """Return the Tensor, operation or variable with a name. Raise ``NameLookupError`` if there is none."""
        if name in self.named:
            return self.named[name]
        self.name_new_variables()
        if name in self.by_name:
            return self.by_name[name]
        known = [*self.named, *self.by_name]
        there = did_you_mean(name, known) or f"; there are {', '.join(known[:20]) or 'none'}"
        raise NameLookupError(f"the graph has no object named {shown(name)}{there}; pass name= at its declaration")

    def name_new_variables(self) -> None:
        """Put the variables of new cells and layers into ``by_name``."""
        if any(owner.node.op != "parameter" for owner in self.owners[self._entered :]):
            self.all_variables()

    def shared_variable(self, full: str) -> Any:
        """Return the variable that ``tf.get_variable`` finds by a full name; None if it finds none."""
        if full in self.shared or full in self.unshared:
            return self.shared.get(full)
        return self.by_name.get(full)

    def all_variables(self) -> list[Any]:
        """Return every variable, including those of cells, layers and optimizers, in the order of creation."""
        program, self._entered = self.program(), len(self.owners)
        specs = {} if program is None else {name: program.parameters.slot(name) for name in program.parameters}
        for name, spec in specs.items():
            if spec not in self.variables:
                self.variables[spec] = Graph.variable_of(spec, name)
            self.by_name[name] = self.variables[spec]
        own = [self.variables[spec] for spec in specs.values()]
        return sorted([*own, *self.extra.values()], key=lambda item: item.serial)

    def global_variables(self) -> list[Any]:
        """Return all variables except local ones. Checkpoints save the global variables."""
        return [item for item in self.all_variables() if item.full not in self.non_global]


def collection(graph: Graph, name: str, scope: str | None) -> list[Any]:
    """Return the items of a collection; with ``scope``, those whose names begin with it.

    Collections of global and trainable variables are computed from the variables that exist now.
    """
    key = str(name)
    if key in (GLOBAL_VARIABLES, TRAINABLE_VARIABLES):
        known = graph.global_variables() if key == GLOBAL_VARIABLES else graph.all_variables()
        items = [item for item in known if key == GLOBAL_VARIABLES or item.trainable]
        items += [item for item in graph.collections[key] if item not in items]
    else:
        items = list(graph.collections[key])
    return [item for item in items if not scope or str(getattr(item, "name", "")).startswith(scope)]


# Current graph and session -----------------------------------------------------------------------------


class Current(threading.local):
    """Graphs and sessions that a thread has entered. The first graph is the thread's default graph."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = [Graph()]
        self.sessions: list[Any] = []


CURRENT = Current()
"""Current graphs and sessions of each thread."""


@contextmanager
def entered(stack: list[Any], item: Any) -> Iterator[None]:
    """Push ``item`` on a stack until the block ends."""
    stack.append(item)
    try:
        yield
    finally:
        for place in reversed(range(len(stack))):
            if stack[place] is item:
                del stack[place]
                break


@api
def get_default_graph() -> Graph:
    """Return the graph in which this thread declares."""
    return CURRENT.graphs[-1]


def present_session(session: Any = None) -> SessionInterface:
    """Return ``session``, or the session that was entered last. Raises ``ArgumentError`` if there is none."""
    current = (CURRENT.sessions[-1] if CURRENT.sessions else None) if session is None else session
    if not isinstance(current, SessionInterface):
        raise ArgumentError("there is no default session; enter `with tf.Session():`, or pass session=")
    return current


def graph_of(graph: Any) -> Graph:
    """Return ``graph``, or the current graph."""
    if graph is not None and not isinstance(graph, Graph):
        raise DtypeError(f"graph= must be a tf.Graph, not {shown(graph)}")
    return get_default_graph() if graph is None else graph


@api
def reset_default_graph() -> None:
    """Make a new graph current. Raises ``ArgumentError`` in a block ``with graph.as_default():``."""
    if len(CURRENT.graphs) > 1:
        raise ArgumentError(
            "tf.reset_default_graph() can't replace the graph of `with graph.as_default():`; leave that block first"
        )
    CURRENT.graphs[-1] = Graph()


@api
def set_random_seed(seed: int) -> None:
    """Set the seed of initial values, masks and random numbers of the current graph."""
    get_default_graph().seed = int(seed)


@api
def add_to_collection(name: str, value: Any) -> None:
    """Add an item to a collection of the current graph."""
    get_default_graph().add_to_collection(name, value)


@api
def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """Return the items of a collection of the current graph; with ``scope``, those whose names begin with it."""
    return collection(get_default_graph(), key, scope)


@api
def get_collection_ref(key: str) -> list[Any]:
    """Return the list that stores a collection of the current graph."""
    return get_default_graph().get_collection_ref(key)


class GraphKeys:
    """Names of collections."""

    @api
    def __init__(self) -> None:
        """Do nothing: the names are attributes of the class."""

    GLOBAL_VARIABLES, LOCAL_VARIABLES, TRAINABLE_VARIABLES = GLOBAL_VARIABLES, LOCAL_VARIABLES, TRAINABLE_VARIABLES
    VARIABLES, MODEL_VARIABLES = GLOBAL_VARIABLES, "model_variables"
    SUMMARIES, LOSSES, REGULARIZATION_LOSSES = "summaries", "losses", "regularization_losses"
    UPDATE_OPS, TRAIN_OP, INIT_OP, GLOBAL_STEP = "update_ops", "train_op", "init_op", "global_step"
    MOVING_AVERAGE_VARIABLES, METRIC_VARIABLES = "moving_average_variables", "metric_variables"
    WEIGHTS, BIASES, ACTIVATIONS = "weights", "biases", "activations"
    SAVERS, SAVEABLE_OBJECTS = "savers", "saveable_objects"
