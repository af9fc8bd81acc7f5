"""Sources of a program's graphs: a live declaration, or a saved one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..declare.description import Described, described
from ..declare.nest import is_leaf, paths
from ..declare.parameters import ParameterSpec
from ..declare.taps import INFERENCE, TRAINING, taps_of
from ..declare.tensor import Tensor
from ..ir.axes.by_size import lengths_of
from ..ir.graph import Graph, Node, topological
from ..ir.types import FLOATS, NARROW, TensorType, dim_text
from ..passes.gradients.autodiff import PREFIX
from ..passes.lowering.lower import lower
from ..passes.lowering.lowered import FED, INNER, SEED_INPUTS, TAP, Lowered
from ..support.arguments import checked_name
from ..support.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    NameLookupError,
    ShapeError,
    StructureError,
    did_you_mean,
    shown,
)
from .class_names import Classes, class_names

TAPS_INFERENCE, TAPS_TRAINING, TAPS_MOVED = "taps_inference", "taps_training", "taps_moved"
TAPS = (TAPS_INFERENCE, TAPS_TRAINING, TAPS_MOVED)
"""Forms of a declaration with taps: for the inference graph, for the training graph, and with an input that is added to
each tap, so that the input's gradient is the tap's gradient."""


Shape = tuple[int | str | None, ...]


class GraphSource(Protocol):
    """Source of a program's declaration, lowered for each purpose.

    Attributes:
        structure: Nest of the outputs. The type of the leaves, one for each tensor, depends on the source.
        loss: The loss; None if the graphs have no output ``loss``.
        classes: Class names by output path.
        kept: Placeholders of states that streams carry, by the output that is their next value.
    """

    @property
    def structure(self) -> Any: ...

    @property
    def loss(self) -> Any: ...

    @property
    def kept(self) -> Mapping[str, str]: ...

    @property
    def classes(self) -> Classes: ...

    @property
    def lowered(self) -> Lowered: ...

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Return the declared shapes of placeholders, by name."""

    def stateful(self) -> Lowered:
        """Return the lowered outputs with states as inputs, for streams.

        If there are kept states and no recurrence over a symbolic length, the graph is one step, and only the kept
        states are states of the stream.
        """

    def with_states(self, states: str, beside: Sequence[tuple[str, Node]] = ()) -> Lowered:
        """Return the lowered outputs and loss with states as inputs, for truncated backpropagation through time.

        Args:
            states: Form of the states.
            beside: Further declared nodes that become outputs, by label.

        Raises:
            GraphError: A further node depends on something outside the program.
        """

    def tapped(self, form: str) -> Lowered | None:
        """Return the lowered declaration with taps as outputs, or as inputs for ``TAPS_MOVED``; None without taps.

        ``form`` is one of ``TAPS``. Taps of integers are never inputs.
        """

    def described(self) -> Described: ...


class DeclaredSource:
    """Declaration in this process, which is lowered separately for each graph."""

    def __init__(
        self,
        outputs: Any,
        loss: Tensor | None,
        known: Mapping[ParameterSpec, str],
        states: Mapping[str, Any] | None = None,
        classes: Any = None,
    ) -> None:
        """Lower a declaration.

        Args:
            outputs: A Tensor, or a dict of nests of Tensors.
            loss: The loss, or None.
            known: Names of parameters from an earlier compile.
            states: Placeholders or their names, by the output that is their next value.
            classes: Class names by output path.
        """
        self.structure = _structure(outputs, loss)
        self.loss = _scalar(loss)
        self._named = [(path, leaf.node) for path, leaf in paths(self.structure)]
        for path, node in self._named:
            if node.dtype in NARROW:
                at = f" {path}" if path else ""
                raise DtypeError(f"output{at} is {node.dtype}, which only stores numbers; widen it with rg.cast")
        outputs = [*self._named, *([("loss", self.loss.node)] if self.loss is not None else [])]
        self._all = _in_linear_space(outputs)
        self._named = self._all[: len(self._named)]
        self.lowered = lower(self._all, known)
        declared = {name: Tensor(node).shape for node, name in self.lowered.placeholders.items()}
        self.shapes = shapes_of(self.lowered.graph, declared)
        paths_of = [path for path, _ in self._named]
        self.classes = class_names(classes, {path: self.lowered.graph.output(path) for path in paths_of})
        self.kept = kept_states(states, self.structure, self.lowered)
        if self.kept:
            self.stateful()  # so that inconsistent states raise now, and not when a stream is made

    def stateful(self) -> Lowered:
        is_step = self.kept and not lengths_of(self.lowered.graph)
        states = INNER if is_step else FED
        return lower(self._named, self.lowered.slots, states, self.lowered.placeholders, kept=self.kept)

    def with_states(self, states: str, beside: Sequence[tuple[str, Node]] = ()) -> Lowered:
        lowered = lower([*self._all, *beside], self.lowered.slots, states, self.lowered.placeholders)
        known = self.lowered.placeholders
        unknown = [f"the placeholder {name}" for node, name in lowered.placeholders.items() if node not in known]
        unknown += [f"the parameter {name}" for slot, name in lowered.slots.items() if slot not in self.lowered.slots]
        if unknown:
            raise GraphError(
                f"a fetched Tensor reads {', '.join(unknown)}, which no output of the program reads; add that Tensor "
                "to the outputs of rg.compile"
            )
        return lowered

    def with_own_names(self) -> Lowered:
        """Lower the declaration with new parameter names, as if it shared no parameters with another program."""
        return lower(self._all, {})

    def tapped(self, form: str) -> Lowered | None:
        outputs = self._named if form == TAPS_INFERENCE else self._all
        kind = INFERENCE if form == TAPS_INFERENCE else TRAINING
        taps = taps_of([node for _, node in outputs], [node for _, node in self._all], kind)
        if form == TAPS_MOVED:
            taps = {node: name for node, name in taps.items() if node.dtype in FLOATS}
        if not taps:
            return None
        return lower(
            outputs, self.lowered.slots, INNER, self.lowered.placeholders, taps=taps, taps_are_inputs=form == TAPS_MOVED
        )

    def described(self) -> Described:
        return described(self._all, self.lowered.layers.settled, self.lowered.slots)


def _in_linear_space(outputs: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Return the outputs with scans of logarithms replaced by linear recurrences.

    Such a scan has the form exp(sum), and reads a driver's results.
    """
    nodes = topological(node for _, node in outputs)
    is_candidate = any(node.op == "exp" and node.operands[0].op == "add" for node in nodes)
    if not is_candidate or all(node.op != "driver" for node in nodes):
        return outputs
    from ..passes.lowering.log_scans import in_linear_space  # imported late, because few nets accumulate logarithms

    return in_linear_space(outputs)


def kept_states(states: Any, structure: Any, lowered: Lowered) -> dict[str, str]:
    """Return the names of state placeholders by the output that holds their next value; empty for None.

    At least one output must be left for results.
    """
    if states is None:
        return {}
    if not isinstance(states, Mapping):
        raise DtypeError(f'states= takes {{output: placeholder}}, such as {{"hn": "h"}}, not {shown(states)}')
    outputs = structure if isinstance(structure, dict) else {}
    names, placeholders = {*lowered.placeholders.values()}, dict[str, str]()
    for output, placeholder in states.items():
        if output not in outputs:
            hint = did_you_mean(output, outputs) or f"; there are {', '.join(outputs) or 'none with names'}"
            raise NameLookupError(f"states= names {shown(output)}, and no output has that name{hint}")
        if not is_leaf(outputs[output]):
            raise StructureError(f"states= names {output}, which is a nest; make each of its Tensors a separate output")
        name = lowered.placeholders.get(placeholder.node) if isinstance(placeholder, Tensor) else placeholder
        if not isinstance(name, str) or name not in names:
            hint = did_you_mean(name, names) or f"; there are {', '.join(sorted(names)) or 'none'}"
            raise NameLookupError(f"states= names {shown(placeholder)}, and no placeholder has that name{hint}")
        if name in placeholders.values():
            raise ArgumentError(
                f"states= gives {name} two next values; a placeholder has one, so leave one of them out"
            )
        placeholders[output] = name
    if placeholders and placeholders.keys() == outputs.keys():
        raise ArgumentError(
            "states= uses every output, so streams would return nothing; compile one of them under a second name, too"
        )
    return placeholders


def shapes_of(graph: Graph, declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the shapes of placeholders by name, without those of seeds.

    Args:
        graph: The graph.
        declared: Shapes that the script wrote, by name. A symbolic size is None where the script wrote None.
    """
    inputs = {str(node["label"]): node.tensor for node in graph.inputs if node.op == "input"}
    return {name: _shape(kind, declared.get(name)) for name, kind in sorted(inputs.items()) if name not in SEED_INPUTS}


def _shape(kind: TensorType, declared: Any) -> Shape:
    settled = [dim if isinstance(dim, int) else dim_text(dim) for dim in kind.shape]
    if not isinstance(declared, list | tuple) or len(declared) != len(settled):
        return tuple(settled)
    return tuple(
        None if entry is None and isinstance(dim, str) else dim for entry, dim in zip(declared, settled, strict=True)
    )


def _structure(outputs: Any, loss: Tensor | None) -> Any:
    if isinstance(outputs, Tensor):
        return outputs
    if not isinstance(outputs, Mapping) or not outputs:
        hint = (
            "; write net.program(), or rg.compile(net.outputs)"
            if callable(getattr(type(outputs), "program", None))
            else ""
        )
        kind = type(outputs).__name__
        raise StructureError(f'outputs must be a Tensor or a mapping such as {{"logits": logits}}, not {kind}{hint}')
    outputs = dict(outputs)
    for key in outputs:
        checked_name(key, "an output", any_text=True)
    for path, leaf in paths(outputs):
        if not isinstance(leaf, Tensor):
            raise DtypeError(f"output {path} must be a Tensor, not {shown(leaf)}")
    check_structure(outputs, loss is not None)
    return outputs


def check_structure(structure: Any, has_loss: bool) -> None:
    """Raise ``StructureError`` if paths of outputs are ambiguous or reserved. ``has_loss`` reserves ``loss``."""
    if is_leaf(structure):
        return
    paths_so_far: set[str] = set()
    for path, _ in paths(structure):
        if path in paths_so_far:
            raise StructureError(f'two outputs have the path "{path}"; rename one, without a "/" in its name')
        if path.startswith((PREFIX, TAP)):
            raise StructureError(f'an output can\'t have the path "{path}", which gradients or taps have; rename it')
        paths_so_far.add(path)
    if has_loss and "loss" in structure:
        raise StructureError('an output can\'t be named "loss" where a loss is given; rename it')


def _scalar(loss: Tensor | None) -> Tensor | None:
    if loss is not None and not isinstance(loss, Tensor):
        raise DtypeError(f"loss must be a Tensor, such as rg.mean_squared_error(y, output), not {shown(loss)}")
    if loss is not None and (loss.rank or loss.dtype not in ("float32", "float64")):
        raise ShapeError(f"loss must be a float scalar, not {shown(loss)}; reduce it with rg.reduce_mean")
    return loss
