"""``Exported``: runs a program of ``torch.export`` as a module, in which each node is a call of a torch function."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, InputSpec, OutputKind
from torch.utils import _pytree as pytree

from ...ir.types import Dim, size
from ...support.errors import ArgumentError, NotReadableError, Where, user_line, warn
from ..expressions import input_name
from ..reading import not_readable
from .aten import CHECKS, function_of
from .aten_layers import first_weight, layers_of, run_layer
from .tracing.calls import TORCH, Arguments, Keywords, PlacedModule
from .tracing.registry import UnreadableError

WHAT = "the exported program"
_FILE_LINE = re.compile(r'File "([^"]+)", line (\d+)')
_WITH_GRAPHS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
"""Operators that run a subgraph without gradients, or under autocast. The reader ignores both modes."""


class Exported(PlacedModule):
    """Module that runs the graph of an exported program. ``forward`` has one keyword argument for each input."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program = program
        self.node: torch.fx.Node | None = None
        """Node that is being evaluated, for errors."""
        self._graph = program.graph_module
        self._parameters_by_path = dict(program.named_parameters())
        self._buffers_by_path = dict(program.named_buffers())
        self.eval()
        self._layers = layers_of(self._graph.graph.nodes, self._weights())
        """Modules of recurrent layers, by the name of the node that calls the layer."""
        problems = [*self._problems()]
        if problems:
            raise not_readable(WHAT, problems)

    def _problems(self) -> Iterator[str]:
        """Yield a message for each input and output of the program that is not supported."""
        for item in self.program.graph_signature.input_specs:
            if item.kind in (InputKind.CUSTOM_OBJ, InputKind.TOKEN):
                yield f"its input {item.arg.name} is not a tensor; export the module with tensors as inputs"
        for item in self.program.graph_signature.output_specs:
            if item.kind == OutputKind.USER_INPUT_MUTATION:
                yield f"it changes its input {item.target} in place; compute a new tensor in the module"

    # Inputs ---------------------------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Inputs by name, as tensors without values. Dynamic sizes are symbolic."""
        nodes = {node.name: node for node in self._graph.graph.nodes if node.op == "placeholder"}
        specs = self.program.graph_signature.input_specs
        return {
            item.arg.name: nodes[item.arg.name].meta["val"]
            for item in specs
            if item.kind == InputKind.USER_INPUT and not isinstance(item.arg, ConstantArgument)
        }

    def example(self, arguments: Arguments, keywords: Mapping[str, Any]) -> Keywords:
        """Return the example's tensors by input name.

        Raises:
            ArgumentError: The number of entries, or a size that ``torch.export`` fixed, differs from the program's.
        """
        flat = pytree.tree_flatten((arguments, dict(keywords)))[0]
        specs = [item for item in self.program.graph_signature.input_specs if item.kind == InputKind.USER_INPUT]
        if len(flat) != len(specs):
            raise ArgumentError(
                f"the example has {len(flat)} entries, but the exported program has {len(specs)} inputs; give one for "
                "each input"
            )
        inputs = self.inputs
        tensors = {item.arg.name: tensor for item, tensor in zip(specs, flat, strict=True) if item.arg.name in inputs}
        for name, tensor in tensors.items():
            for axis, (want, have) in enumerate(zip(inputs[name].shape, tensor.shape, strict=False)):
                if isinstance(want, int) and want != have:
                    raise ArgumentError(
                        f"{name} of the example has size {have} along axis {axis}, which torch.export fixed at {want};"
                        " give an example of that size, or export with dynamic_shapes"
                    )
        return tensors

    def sizes(self) -> dict[str, Dim]:
        """Return {``INPUT_AXIS``: number or other size that it equals} for the sizes that ``torch.export`` fixed."""
        known: dict[str, Dim] = {}
        first: dict[str, str] = {}
        for name, tensor in self.inputs.items():
            for axis, dim in enumerate(tensor.shape):
                own = f"{input_name(name)}_{axis}"
                if isinstance(dim, int):
                    known[own] = dim
                elif str(dim) in first:
                    known[own] = size(first[str(dim)])
                elif str(dim).isidentifier():
                    first[str(dim)] = own
        return known

    def warn_of_fixed_sizes(self) -> None:
        """Warn about inputs of rank 2 or more without a dynamic size."""
        fixed = {name: [*item.shape] for name, item in self.inputs.items() if item.dim() > 1}
        closed = {name: shape for name, shape in fixed.items() if all(isinstance(dim, int) for dim in shape)}
        if closed:
            listed = ", ".join(f"{name} {shape}" for name, shape in closed.items())
            first = next(iter(closed))
            warn(
                f"torch.export fixed all sizes of {listed}; to leave axis 0 of {first} open, export with "
                f"dynamic_shapes={{{first!r}: {{0: torch.export.Dim.DYNAMIC}}}}",
                user_line(),
            )

    # Modules --------------------------------------------------------------------------------------

    def named_parameters(self, *_: object, **__: object) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield parameters by their paths in the module."""
        yield from self._parameters_by_path.items()

    def named_buffers(self, *_: object, **__: object) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield buffers and constants by their paths in the module."""
        yield from self._buffers_by_path.items()
        yield from ((name, item) for name, item in self.program.constants.items() if isinstance(item, torch.Tensor))

    def named_modules(self, *_: object, **__: object) -> Iterator[tuple[str, torch.nn.Module]]:
        """Yield the program, and its recurrent layers by the paths of their weights."""
        yield "", self
        paths = {id(item): path for path, item in self._parameters_by_path.items()}
        for layer in dict.fromkeys(self._layers.values()):
            yield paths[id(first_weight(layer))].rpartition(".")[0], layer

    def _weights(self) -> dict[str, torch.nn.Parameter]:
        """Return the program's parameters, by the name of their placeholder in the graph."""
        specs = self.program.graph_signature.input_specs
        return {
            item.arg.name: self._parameters_by_path[item.target] for item in specs if item.kind == InputKind.PARAMETER
        }

    def place(self) -> tuple[Where | None, str]:
        """Return the source line of the current node in the module's code, and the path of the node's module."""
        if self.node is None:
            return None, ""
        lines = _FILE_LINE.findall(self.node.meta.get("stack_trace") or "")
        own = [(file, int(line)) for file, line in lines if not file.startswith(TORCH)]
        stack = self.node.meta.get("nn_module_stack") or {}
        path = [*stack.values()][-1][0] if stack else ""
        return (Where(*own[-1]) if own else None), re.sub(r"^L\['self'\]\.?", "", str(path))

    # Running --------------------------------------------------------------------------------------

    def forward(self, **inputs: Any) -> Any:
        """Run the graph. Return the outputs in the nested structure of the original module's result."""
        signature = self.program.graph_signature
        values = [self._input_value(item, inputs) for item in signature.input_specs]
        try:
            results = self._run(self._graph, values)
        finally:
            self.node = None
        own = [
            result
            for item, result in zip(signature.output_specs, results, strict=True)
            if item.kind == OutputKind.USER_OUTPUT
        ]
        spec = self.program.call_spec.out_spec
        return pytree.tree_unflatten(own, spec) if spec is not None else tuple(own)

    def _input_value(self, item: InputSpec, inputs: Mapping[str, Any]) -> Any:
        """Return the value of a placeholder: a parameter, a buffer, a constant or an input of the program."""
        match item.kind:
            case InputKind.USER_INPUT:
                return item.arg.value if isinstance(item.arg, ConstantArgument) else inputs[item.arg.name]
            case InputKind.PARAMETER:
                return self._parameters_by_path[item.target]
            case InputKind.BUFFER if item.target in self._buffers_by_path:
                return self._buffers_by_path[item.target]
        return self.program.constants[item.target]

    def _run(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        """Run a graph, and return its results.

        Args:
            inputs: Values of the placeholders, in order.
        """
        values: dict[torch.fx.Node, Any] = {}
        rest = iter(inputs)
        for node in graph.graph.nodes:
            self.node = node if graph is self._graph else self.node
            if node.op == "placeholder":
                values[node] = next(rest)
                continue
            if node.op == "get_attr":
                values[node] = _attribute(graph, node.target)
                continue
            arguments = _plain(torch.fx.node.map_arg(node.args, values.__getitem__))
            keywords = _plain(torch.fx.node.map_arg(node.kwargs, values.__getitem__))
            if node.op == "output":
                return arguments[0]
            values[node] = self._run_call(node, arguments, keywords)
        raise AssertionError("a graph of torch.export has no output node; this is a bug of rnngraph")

    def _run_call(self, node: torch.fx.Node, arguments: Arguments, keywords: Keywords) -> Any:
        """Return the result of a node that calls an operator or Python function; None for an operator in ``CHECKS``."""
        target = node.target
        if isinstance(target, torch._ops.HigherOrderOperator):
            if target.__name__ not in _WITH_GRAPHS:
                raise self._error(
                    f"{target.__name__}: control flow of an exported graph is not supported; give the module itself"
                )
            start = next(place for place, item in enumerate(arguments) if isinstance(item, torch.nn.Module))
            return self._run(arguments[start], [*arguments[start + 1 :]])
        if not isinstance(target, torch._ops.OpOverload):
            return target(*arguments, **keywords)  # such as ``operator.getitem``, or a Python function of sizes
        name = target._opname
        if name in CHECKS:
            return None
        if node.name in self._layers:
            return run_layer(self._layers[node.name], name, arguments)
        function = function_of(name) if target.namespace == "aten" else None
        try:
            return (function or target)(*arguments, **keywords)
        except UnreadableError as error:
            raise self._error(f"{name}: {error}") from None

    def _error(self, what: str) -> NotReadableError:
        """Return the error ``what`` for the current node, with its source line and the path of its module."""
        where, inside = self.place()
        text = f"{what} ({inside})" if inside else what
        return not_readable(WHAT, [f"{where}: {text}" if where else text], where)


def _plain(item: Any) -> Any:
    """Convert torch's immutable lists and dicts in nested arguments to plain ones."""
    if isinstance(item, list):
        return [*map(_plain, item)]
    if isinstance(item, tuple) and not hasattr(item, "_fields"):
        return tuple(map(_plain, item))
    return {key: _plain(part) for key, part in item.items()} if isinstance(item, dict) else item


def _attribute(graph: torch.fx.GraphModule, path: str) -> Any:
    """Return the object at a dotted path in a graph module."""
    item: Any = graph
    for name in path.split("."):
        item = getattr(item, name)
    return item
