"""Declares networks: layers in call order, ``TimeDistributed`` layers, and stacks of recurrent layers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from ...declare.functions.basic import reshape
from ...declare.functions.statistics import reduce_any
from ...ir.types import Dim
from ..operators.backend import ScriptBackend
from ..steps import Value
from .core.configuration import Call, Layer, Network, Reference, mapped, references
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .recurrent import is_stack


@dataclass(frozen=True)
class _Missing:
    """Stand-in for the outputs of a layer that could not be declared.

    Attributes:
        problem: The reason; ``""`` if ``Networks.problems`` contains it already.
    """

    problem: str = ""


Outputs = list[Signal] | _Missing
"""Outputs of a call, or the reason why there are none."""


class Networks:
    """Declaration of networks, which lists the layers that are not supported.

    Args:
        known: Unsupported layers whose problems the caller lists.
        keeps_shape: Classes whose output has the shape of their input.

    Attributes:
        problems: Texts about further unsupported layers.
    """

    def __init__(self, known: Container[Layer], keeps_shape: Container[str]) -> None:
        self.problems: list[str] = []
        self._known, self._keeps_shape = known, keeps_shape

    def run(self, b: Declaration, network: Network, inputs: list[Signal]) -> list[Signal] | None:
        """Declare a network on its inputs. Return the outputs in Keras' order; None if they cannot be declared."""
        if network.is_sequential:
            return self._sequence(b, network, inputs)
        return _Run(self, b, network, inputs).outputs()

    def layer(self, b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
        """Declare a call of a nested network, and return its outputs."""
        assert layer.network is not None
        outputs = self.run(b, layer.network, inputs.several)
        if outputs is None:
            raise Unreadable("")
        return outputs

    def called(self, b: Declaration, layer: Layer, inputs: Inputs) -> Outputs:
        """Declare a call of a layer. Return its outputs, or ``_Missing`` if they cannot be declared.

        The problem of a layer is listed at once. The problem of an operation stays in ``_Missing``, and is listed only
        if an output of the net needs the operation. For a class in ``keeps_shape``, the input replaces missing outputs.
        """
        problem = ""
        if layer not in self._known:
            try:
                return b.call(layer, inputs)
            except Unreadable as reason:
                is_wrapper = layer.network is not None or layer.kind == "TimeDistributed"  # its inner layer is listed
                problem = f"{layer}: {reason}" if str(reason) else "" if is_wrapper else str(layer)
        if layer.is_operation:
            return _Missing(problem)
        missing, several = self.listed(_Missing(problem)), inputs.several
        return several if layer.kind in self._keeps_shape and len(several) == 1 else missing

    def listed(self, missing: _Missing) -> _Missing:
        """Add the problem of missing outputs to ``problems``. Return the missing outputs without their problem."""
        if missing.problem:
            self.problems.append(missing.problem)
        return _Missing()

    def _sequence(self, b: Declaration, network: Network, inputs: list[Signal]) -> list[Signal] | None:
        """Return the outputs of a Sequential, whose layers are called in order; None if one is not supported."""
        for layer in network.layers:
            if layer.kind == "InputLayer" or b.waits(layer):
                continue
            result = self.called(b, layer, Inputs((inputs[0] if len(inputs) == 1 else inputs,)))
            if isinstance(result, _Missing):
                return None
            inputs = result
        return inputs

    def time_distributed(self, b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
        """Declare ``TimeDistributed``, which applies its inner layer to each step.

        A layer that computes along the last axis only is called on the whole sequence. Another layer is called on
        [batch * time, ...].
        """
        x, inner = inputs.one, layer.inner.get("layer", [])
        if len(inner) != 1:
            raise layer.config.error(f"{layer} must contain exactly one layer")
        mask = x.mask
        if mask is not None and mask.tensor.rank > 2:
            after = tuple(range(2, mask.tensor.rank))
            mask = b.script.call(reduce_any, mask, axis=after) if b.version < 3 else None
        if is_by_step(inner[0]):
            outputs = self._nested_outputs(b, inner[0], Signal(x.value))
        elif inner[0].kind == "Flatten":
            outputs = [Signal(b.script.call(reshape, x.value, (None, None, -1)))]
        else:
            mask_of_rows = None if x.mask is None else self._merged_mask(b, x.mask, inner[0])
            rows = Signal(_merge_batch_time(b, x.value), mask_of_rows)
            outputs = [
                Signal(_split_batch_time(b, one.value, x.shape)) for one in self._nested_outputs(b, inner[0], rows)
            ]
        return [Signal(one.value, mask) for one in outputs]

    def _nested_outputs(self, b: Declaration, inner: Layer, x: Signal) -> list[Signal]:
        """Declare a call of the layer in a wrapper, and return its outputs. Raises ``Unreadable`` if unsupported."""
        outputs = self.called(b, inner, Inputs((x,)))
        if isinstance(outputs, _Missing):
            raise Unreadable("")
        return outputs

    def _merged_mask(self, b: Declaration, mask: Value, inner: Layer) -> Value | None:
        """Reshape the mask of ``TimeDistributed`` for an inner layer that reads [batch * time, ...].

        Return None if the inner layer ignores masks. Raises ``Unreadable`` if it needs a mask of its own
        steps, which the wrapper's mask [batch, time] is not.
        """
        if mask.tensor.rank > 2 or inner.network is not None:  # The layers of a network check masks themselves.
            return _merge_batch_time(b, mask)
        if inner.kind in _READS_MASKS:
            raise Unreadable(
                "its inner layer reads masks, but the wrapper's mask [batch, time] masks whole steps of the wrapper; "
                "remove the mask before the wrapper"
            )
        return None


_BY_STEP = (
    "Dense",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Dropout",
    "Rescaling",
    "Identity",
    "GaussianNoise",
    "Embedding",
)
"""Layers that compute each entry, or each vector along the last axis, on its own."""
_LAST_AXIS = ("LayerNormalization", "BatchNormalization", "UnitNormalization", "Softmax")
"""Layers that do so if their option ``axis`` is the last axis."""
_READS_MASKS = (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "RNN",
    "Bidirectional",
    "GlobalAveragePooling1D",
    "Softmax",
    "TimeDistributed",
)


def is_by_step(layer: Layer) -> bool:
    """True if one call of a layer on a whole sequence has the same results as a call for each step."""
    return layer.kind in _BY_STEP or (layer.kind in _LAST_AXIS and layer.config.get("axis", -1) in (-1, [-1]))


def _merge_batch_time(b: Declaration, x: Value) -> Value:
    """Declare the reshape of [batch, time, …] to [batch * time, …]."""
    batch, time, *rest = x.tensor.type.shape
    return ScriptBackend(b.script).reshape(x, (batch * time, *rest))


def _split_batch_time(b: Declaration, x: Value, shape: tuple[Dim, ...]) -> Value:
    """Declare the reshape of [batch * time, …] to [batch, time, …], with the first two sizes of ``shape``."""
    return ScriptBackend(b.script).reshape(x, (*shape[:2], *x.tensor.type.shape[1:]))


class _Run:
    """Declaration of a functional network, call by call."""

    def __init__(self, networks: Networks, b: Declaration, network: Network, inputs: list[Signal]) -> None:
        self._networks, self._b, self._network = networks, b, network
        self._by_name = {layer.name: layer for layer in network.layers}
        self._outputs: dict[tuple[str, int], Outputs] = {}
        wanted = list(references(network.inputs))
        if len(wanted) != len(inputs):
            raise self._error(f"a network is called on {len(inputs)} tensors, but has {len(wanted)} inputs")
        for reference, signal in zip(wanted, inputs, strict=True):
            self._outputs[reference.layer, reference.call] = [signal]

    def outputs(self) -> list[Signal] | None:
        """Call all layers, and return the network's outputs; None if one of them could not be declared."""
        for layer, number in self._in_execution_order([*self._order()]):
            self._outputs[layer.name, number] = self._call(layer, layer.calls[number])
        tensors = [self._tensor(reference) for reference in references(self._network.outputs)]
        for one in tensors:
            if isinstance(one, _Missing):
                self._networks.listed(one)
        known = [one for one in tensors if isinstance(one, Signal)]
        return known if len(known) == len(tensors) else None

    def _error(self, what: str) -> Exception:
        return self._network.layers[0].config.error(what) if self._network.layers else Unreadable(what)

    def _order(self) -> Iterator[tuple[Layer, int]]:
        """Yield (layer, index of its call) in topological order. Raises ``FileError`` for a cycle."""
        calls = [
            (layer, number)
            for layer in self._network.layers
            for number in range(len(layer.calls))
            if (layer.name, number) not in self._outputs
        ]
        waits = Counter[tuple[Layer, int]]()
        readers: dict[tuple[str, int], list[tuple[Layer, int]]] = {}
        for layer, number in calls:
            for place in {(one.layer, one.call) for one in _read(layer.calls[number])} - self._outputs.keys():
                waits[layer, number] += 1
                readers.setdefault(place, []).append((layer, number))
        ready, done = deque(call for call in calls if not waits[call]), 0
        while ready:
            layer, number = ready.popleft()
            done += 1
            yield layer, number
            for reader in readers.get((layer.name, number), ()):
                waits[reader] -= 1
                if not waits[reader]:
                    ready.append(reader)
        if done < len(calls):
            raise self._error("calls of layers depend on one another in a cycle, or on missing calls")

    def _in_execution_order(self, calls: list[tuple[Layer, int]]) -> list[tuple[Layer, int]]:
        """Sort calls into Keras' execution order, which matters because some layers remove masks of tensors.

        Calls with the largest distance from an output come first. Calls are visited backward from the last output; a
        call's distance is at least that of the same layer's calls visited before. Ties keep the order in which calls
        are reached. Calls that no output needs come last.
        """
        far: dict[tuple[str, int], int] = {}
        farthest = Counter[str]()
        known = {(layer.name, number): layer for layer, number in calls}
        for place in reversed(self._from_outputs(known)):
            name, number = place
            far[place] = farthest[name] = max(far.get(place, 0), farthest[name])
            for one in _read(known[place].calls[number]):
                before = one.layer, one.call
                far[before] = max(far.get(before, 0), far[place] + 1)
        ordered = sorted((place for place in far if place in known), key=lambda place: -far[place])
        ordered += [place for place in known if place not in far]
        return [(known[place], place[1]) for place in ordered]

    def _from_outputs(self, known: Mapping[tuple[str, int], Layer]) -> list[tuple[str, int]]:
        """Return the calls that outputs need in topological order, by a depth-first search from each output."""
        order: dict[tuple[str, int], None] = {}
        for output in references(self._network.outputs):
            pending = [(output.layer, output.call)]
            while pending:
                place = pending[-1]
                before = [] if place in order or place not in known else [*_read(known[place].calls[place[1]])]
                missing = [(one.layer, one.call) for one in before if (one.layer, one.call) not in order]
                missing = [one for one in missing if one in known]
                pending += reversed(missing)
                if not missing:
                    pending.pop()
                    if place in known:
                        order.setdefault(place)
        return [*order]

    def _call(self, layer: Layer, call: Call) -> Outputs:
        """Declare a call. Return its outputs, its inputs in place of some that are not declared, or ``_Missing``."""
        read = [self._tensor(reference) for reference in _read(call)]
        for one in read:
            if isinstance(one, _Missing):
                return one if layer.is_operation else self._networks.listed(one)
        inputs = Inputs(
            tuple(mapped(item, self._tensor) for item in call.arguments),
            {key: mapped(item, self._tensor) for key, item in call.keywords.items()},
        )
        if self._b.waits(layer):
            return inputs.several
        return self._networks.called(self._b, layer, inputs)

    def _tensor(self, reference: Reference) -> Signal | _Missing:
        """Return the tensor to which a reference leads, with its current mask; ``_Missing`` if it was not declared."""
        outputs = self._outputs.get((reference.layer, reference.call))
        if outputs is None:
            raise self._error(f"a call reads call {reference.call} of layer {reference.layer!r}, which does not exist")
        if isinstance(outputs, _Missing):
            return outputs
        if reference.tensor >= len(outputs):
            raise self._error(
                f"a call reads output {reference.tensor} of layer {reference.layer!r}, which has {len(outputs)} outputs"
            )
        return self._b.with_current_mask(outputs[reference.tensor])


def _read(call: Call) -> Iterator[Reference]:
    yield from references(list(call.arguments))
    yield from references(dict(call.keywords))


# Stacks ---------------------------------------------------------------------------------------------


def groups_of(network: Network, uses: Mapping[Layer, int]) -> dict[Layer, list[Layer]]:
    """Return {top layer: layers of its stack, bottom first} for recurrent layers that one driver can run.

    Stacks in nested networks are included. Layers that are not in a stack have no entry.
    """
    groups: dict[Layer, list[Layer]] = {}
    below_of = {above: below for below, above in _stackable_pairs(network) if uses[below] == uses[above] == 1}
    for layer in network.layers:
        if layer.network is not None:
            groups |= groups_of(layer.network, uses)
    for above in set(below_of) - set(below_of.values()):
        group = [above]
        while group[-1] in below_of and len(group) <= len(network.layers):
            group.append(below_of[group[-1]])
        groups[above] = group[::-1]
    return groups


def _stackable_pairs(network: Network) -> Iterator[tuple[Layer, Layer]]:
    """Yield (layer, the only layer that reads it) for recurrent layers that can be adjacent in one stack."""
    if network.is_sequential:
        for below, above in zip(network.layers, network.layers[1:], strict=False):
            if is_stack(below, above):
                yield below, above
        return
    readers = Counter(one.layer for layer in network.layers for call in layer.calls for one in _read(call))
    readers.update(one.layer for one in references(network.outputs))
    by_name = {layer.name: layer for layer in network.layers}
    for above in network.layers:
        if len(above.calls) != 1 or len(above.calls[0].arguments) != 1:
            continue
        sources = list(references(above.calls[0].arguments[0]))
        source = by_name.get(sources[0].layer) if len(sources) == 1 else None
        if source is None or len(source.calls) != 1 or readers[source.name] != 1:
            continue
        keywords, keywords_above = (one.calls[0].keywords for one in (source, above))
        if keywords == keywords_above and not keywords.keys() - {"mask", "training"} and is_stack(source, above):
            yield source, above


def uses_of(net: Layer) -> Counter[Layer]:
    """Return the number of calls of each layer. Layers of a nested network are called with each call of the network."""
    counts = Counter[Layer]()

    def count(layer: Layer, times: int) -> None:
        counts[layer] += times
        if layer.network is not None:
            for inner in layer.network.layers:
                count(inner, times if layer.network.is_sequential else times * len(inner.calls))
        for inner_layers in layer.inner.values():
            for inner in inner_layers:
                count(inner, times)

    count(net, 1)
    return counts


def handlers_of(networks: Networks) -> dict[str, Handler]:
    """Return {class: function that declares it} for nested networks and ``TimeDistributed``."""
    handlers: dict[str, Handler] = dict.fromkeys(("Sequential", "Functional", "Model"), networks.layer)
    return handlers | {"TimeDistributed": networks.time_distributed}
