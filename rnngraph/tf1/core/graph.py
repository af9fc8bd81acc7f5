"""What a program has declared: owners of variables, names, collections; and which graph and session are current."""

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
from .errors import InvalidArgumentError
from .order import Order
from .rolling.cuts import Cut
from .rolling.rolled import Rolled

TRAINABLE_VARIABLES, GLOBAL_VARIABLES, LOCAL_VARIABLES = "trainable_variables", "variables", "local_variables"


class Holder:
    """A session, as a graph and its Tensors know it."""

    def leave(self) -> None:
        """Takes the values of the graph's variables with it."""

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Return what a run fetches, in the structure that the caller asked for."""
        raise NotImplementedError

    def value(self, variable: Any) -> np.ndarray:
        """The value of a variable."""
        raise NotImplementedError

    def set_value(self, variable: Any, array: np.ndarray) -> None:
        """Set a variable's value to a copy of ``array``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Derived:
    """What a placeholder is fed that stands for what is made of others. name: of what these are parts of."""

    name: str
    sources: Sequence[Node]
    function: Callable[[Sequence[Any]], Any]

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Its array. fed: what a run is fed, by declared node."""
        missing = [node for node in self.sources if node.op != "constant" and node not in fed]
        if missing:
            raise InvalidArgumentError(f"{self.name} is not fed", user_line())
        return self.function([node["value"] if node.op == "constant" else fed[node] for node in self.sources])


@dataclass(frozen=True)
class Count:
    """What a placeholder is fed whose size is a number that a run computes. node: the number."""

    node: Node

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """An array of so many entries."""
        known = fed[self.node] if self.node in fed else session.compute([self.node], fed, seed)[0]
        count = int(known)
        if count < 0:
            raise InvalidArgumentError(f"a size is {count}, which is below 0", self.node.where or user_line())
        return zeros((count,), "bool", "a size that a run computes")


@dataclass(frozen=True)
class Computed:
    """Value of a placeholder that is not fed: that of another node, which a run computes first."""

    node: Node

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return the array."""
        return session.compute([self.node], fed, seed)[0]


class Graph(Order):
    """``tf.Graph``: what was declared while it was current. It holds no values: sessions do.

    owners: Tensors of whose declarations variables are part. variables: by what they are parameters of; by_name: by
    full name; extra: those that are no parameters, such as an optimizer's. scopes: of layers and drivers, by full name,
    so that later ones can share their variables. opened: how often a variable scope was opened. cells: where the
    variables of each cell are that ran; steps: what parameters of the steps are made with that are being traced, the
    innermost last. copies: scopes of cells that stand at several places, and the first of these. told: of what was
    warned. derived: placeholders that are fed what is made of other feeds; counts: those of them whose sizes are
    numbers that runs compute, by these. apart: full names of variables in no global collection, such as local ones.
    unshared: full names of variables that ``tf.get_variable`` does not find, as ``tf.Variable`` made them; shared:
    those that it finds by the name that one of them has.
    penalised: variables of layers whose penalties were collected. moved: variables that operations change here, and a
    ``Trainer`` by itself, such as moving averages. named: Tensors and operations by name. holder: the session whose
    values the variables have now. placed: placeholders. labels, renamed: their names, and those that are not the first
    of theirs. after: operations that run before a Tensor. branch: of the function of ``tf.cond`` or ``tf.case`` that is
    declared. within: while a step of a loop is declared, what owns variables in it. draws: how many random Tensors
    there are.
    """

    variable_of: ClassVar[Callable[[ParameterSpec, str], Any]]
    """Makes the variable of a parameter. ``variable`` sets it, which stands above graphs."""

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
        self.apart: set[str] = set()
        self.unshared: set[str] = set()
        self.shared: dict[str, Any] = {}
        self.named: dict[str, Any] = {}
        self.variable_scope: Any = None
        self.name_scope = ""
        self.holder: Holder | None = None
        self.plans: dict[Any, Any] = {}
        self.told: set[str] = set()
        self.copies: dict[str, str] = {}
        self.labels: set[str] = {*RESERVED}
        self.placed: set[Node] = set()
        self.moved: set[ParameterSpec] = set()
        self.penalised: set[ParameterSpec] = set()
        self.renamed: list[Node] = []
        self._cuts: dict[frozenset[Node], Cut] = {}
        self._taken: Counter[str] = Counter()
        self._program: Program[Any] | None = None
        self._compiled = 0
        self._entered = 0  # owners whose variables are in by_name
        self.draws = 0

    def cut(self, places: Iterable[Node] = ()) -> Cut:
        """The graph's declarations with placeholders at ``places``, and with names of placeholders that differ."""
        wanted = dict.fromkeys((*places, *self.renamed))  # in order: names follow it, and by names code is found again
        key = frozenset(wanted)
        if key not in self._cuts:
            self._cuts[key] = Cut(wanted, self.moved)
        return self._cuts[key]

    # Declaring -----------------------------------------------------------------------------------

    def variable_read(self, node: Node) -> Any:
        """The variable that a Tensor is, or reads once operations have run."""
        read = node.operands[0] if node in self.after and node.op == "reshape" else node
        return self.variables.get(read["slot"]) if read.op == "parameter" and read.shape == node.shape else None

    def own(self, *tensors: Tensor) -> None:
        """Notes Tensors that were declared with variables of their own; in a step of a loop the loop has them."""
        for tensor in tensors:
            (self.owners if self.within is None or tensor.node.op == "parameter" else self.within).append(tensor)

    def place(self, tensor: Tensor, name: str | None) -> None:
        """Notes a placeholder. One whose label another has is renamed where both are compiled."""
        label = tensor.name
        self.placed.add(tensor.node)
        if name is not None and label in self.labels:
            self.renamed.append(tensor.node)
        self.labels.add(label)
        self.name(label if name is None else name, tensor)

    def unique(self, name: str) -> str:
        """A full name that nothing has: ``dense``, then ``dense_1``."""
        count, found = self._taken[name], name
        self._taken[name] += 1
        while count:
            found = f"{name}_{count}"
            if not self._taken[found]:
                self._taken[found] += 1
                break
            count += 1
        return found

    def name(self, name: str, what: Any) -> str:
        """Names something under the scope that is open; gives the full name."""
        full = self.unique(f"{self.name_scope}{name}")
        self.named[full] = what
        return full

    def program(self) -> Program[Any] | None:
        """All that owns variables, compiled together: names are settled, and others share its parameters. None where
        there is nothing that does.
        """
        if self._compiled != len(self.owners):  # names that were settled stay
            rolled = Rolled(self.cut(), [owner.node for owner in self.owners])
            outputs = {str(number): rolled.tensor(owner) for number, owner in enumerate(self.owners)}
            self._program = compile_beside(outputs, None, self._program, self.seed or 0)
            self._compiled = len(self.owners)
        return self._program

    # What programs ask ---------------------------------------------------------------------------

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Makes the graph the current one of this thread."""
        with entered(CURRENT.graphs, self):
            yield self

    def become(self, other: Graph) -> None:
        """Have all that another graph has, now and later: both are one."""
        self.__dict__ = other.__dict__

    @property
    def version(self) -> int:
        """Counts what owns variables."""
        return len(self.owners)

    def finalize(self) -> None:
        """Nothing more is to be declared, which is not checked."""

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """What was added to a collection, or its part whose names begin with ``scope``."""
        return collection(self, name, scope)

    def get_collection_ref(self, name: str) -> list[Any]:
        """The list of a collection itself."""
        return self.collections[str(name)]

    def add_to_collection(self, name: str, value: Any) -> None:
        """Adds to a collection."""
        self.collections[str(name)].append(value)

    @api
    def get_tensor_by_name(self, name: str) -> Tensor:
        """The Tensor of a name such as ``"logits:0"``."""
        found = self.find(name.partition(":")[0])
        if not isinstance(found, Tensor):
            raise NameLookupError(f"{name!r} is an operation; use graph.get_operation_by_name")
        return found

    @api
    def get_operation_by_name(self, name: str) -> Any:
        """The operation of a name, or that of the Tensor of that name."""
        found = self.find(name)
        return getattr(found, "op", found) if isinstance(found, Tensor) else found

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """What a name stands for; anything else as it is."""
        return self.find(obj.partition(":")[0]) if isinstance(obj, str) else obj

    def find(self, name: str) -> Any:
        """What has a name; variables too, which may have theirs from a scope."""
        if name in self.named:
            return self.named[name]
        self.name_new_variables()
        if name in self.by_name:
            return self.by_name[name]
        known = [*self.named, *self.by_name]
        there = did_you_mean(name, known) or f"; there are {', '.join(known[:20]) or 'none'}"
        raise NameLookupError(f"the graph has nothing named {shown(name)}{there}; give name= where it is declared")

    def name_new_variables(self) -> None:
        """Enters what cells and layers own; a variable of a program's own is entered when it is made."""
        if any(owner.node.op != "parameter" for owner in self.owners[self._entered :]):
            self.all_variables()

    def shared_variable(self, full: str) -> Any:
        """The variable that ``tf.get_variable`` finds by a full name; None where there is none."""
        if full in self.shared or full in self.unshared:
            return self.shared.get(full)
        return self.by_name.get(full)

    def all_variables(self) -> list[Any]:
        """Every variable, those of cells, layers and optimizers too, in the order of creation."""
        program, self._entered = self.program(), len(self.owners)
        found: list[Any] = []
        for name in program.parameters if program is not None else ():
            spec = program.parameters.slot(name)  # type: ignore[union-attr]
            if spec not in self.variables:
                self.variables[spec] = Graph.variable_of(spec, name)
            found.append(self.variables[spec])
            self.by_name[name] = self.variables[spec]
        return sorted([*found, *self.extra.values()], key=lambda item: item.serial)

    def global_variables(self) -> list[Any]:
        """Those that belong to the program itself, which are saved: all but local ones."""
        return [item for item in self.all_variables() if item.full not in self.apart]


def collection(graph: Graph, name: str, scope: str | None) -> list[Any]:
    """A collection; of variables those that have come to be until now."""
    key = str(name)
    if key in (GLOBAL_VARIABLES, TRAINABLE_VARIABLES):
        known = graph.global_variables() if key == GLOBAL_VARIABLES else graph.all_variables()
        items = [item for item in known if key == GLOBAL_VARIABLES or item.trainable]
        items += [item for item in graph.collections[key] if item not in items]
    else:
        items = list(graph.collections[key])
    return [item for item in items if not scope or str(getattr(item, "name", "")).startswith(scope)]


# What is current -------------------------------------------------------------------------------------


class Current(threading.local):
    """The graphs and sessions that a thread has entered; the first graph is its default."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = [Graph()]
        self.sessions: list[Any] = []


CURRENT = Current()
"""With the pool of threads, the counter of declarations and flags of the command line all state of the process."""


@contextmanager
def entered(stack: list[Any], item: Any) -> Iterator[None]:
    """``item`` on top of a stack, until the block ends."""
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
    """The graph in which this thread declares."""
    return CURRENT.graphs[-1]


def present_session(session: Any = None) -> Holder:
    """A session, or the one that is entered."""
    found = (CURRENT.sessions[-1] if CURRENT.sessions else None) if session is None else session
    if not isinstance(found, Holder):
        raise ArgumentError("no session is entered; write `with tf.Session():` around it, or give session=")
    return found


def graph_of(graph: Any) -> Graph:
    """A graph that is given, or the current one."""
    if graph is not None and not isinstance(graph, Graph):
        raise DtypeError(f"graph= is a tf.Graph, not {shown(graph)}")
    return get_default_graph() if graph is None else graph


@api
def reset_default_graph() -> None:
    """Declares into a new graph from here on."""
    if len(CURRENT.graphs) > 1:
        raise ArgumentError("tf.reset_default_graph() within `with graph.as_default():`; leave that block first")
    CURRENT.graphs[-1] = Graph()


@api
def set_random_seed(seed: int) -> None:
    """The seed of initial values, masks and random numbers of the current graph."""
    get_default_graph().seed = int(seed)


@api
def add_to_collection(name: str, value: Any) -> None:
    """Adds to a collection of the current graph."""
    get_default_graph().add_to_collection(name, value)


@api
def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """A collection of the current graph."""
    return collection(get_default_graph(), key, scope)


@api
def get_collection_ref(key: str) -> list[Any]:
    """The list of a collection of the current graph itself."""
    return get_default_graph().get_collection_ref(key)


class GraphKeys:
    """Names of collections."""

    @api
    def __init__(self) -> None:
        """Nothing to be had: the names are the class's own."""

    GLOBAL_VARIABLES, LOCAL_VARIABLES, TRAINABLE_VARIABLES = GLOBAL_VARIABLES, LOCAL_VARIABLES, TRAINABLE_VARIABLES
    VARIABLES, MODEL_VARIABLES = GLOBAL_VARIABLES, "model_variables"
    SUMMARIES, LOSSES, REGULARIZATION_LOSSES = "summaries", "losses", "regularization_losses"
    UPDATE_OPS, TRAIN_OP, INIT_OP, GLOBAL_STEP = "update_ops", "train_op", "init_op", "global_step"
    MOVING_AVERAGE_VARIABLES, METRIC_VARIABLES = "moving_average_variables", "metric_variables"
    WEIGHTS, BIASES, ACTIVATIONS = "weights", "biases", "activations"
    SAVERS, SAVEABLE_OBJECTS = "savers", "saveable_objects"
