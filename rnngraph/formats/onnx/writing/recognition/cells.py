"""Matches a scan's step against LSTM, GRU and plain RNN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .....ir.graph import Node
from .....ir.scan import Carry, ScanParts
from .....ir.types import product
from .activations import unwrapped
from .constants import Constants
from .layer import Activation, Initial, RecurrentLayer
from .patterns import Op, Pattern, Variable, add, is_filled, matches, mul, one_less
from .terms import NoSumError, Step, Sum

Gate = tuple[Activation, Sum]

_C, _H = Variable("c"), Variable("h")
_F, _I, _J, _O, _A, _U, _N = (Variable(name) for name in "fijoaun")

NEXT_C = add(mul(_F, _C), mul(_I, _J))
NEXT_H = mul(_O, _A)
KEPT: tuple[Pattern, ...] = (  # u h + (1 - u) n: the gate u keeps h
    add(mul(_U, _H), mul(one_less(_U), _N)),
    add(_N, mul(_U, Op("sub", (_H, _N)))),
)
REPLACED: tuple[Pattern, ...] = (  # (1 - u) h + u n: the gate u replaces h
    add(mul(one_less(_U), _H), mul(_U, _N)),
    add(_H, mul(_U, Op("sub", (_N, _H)))),
)


@dataclass(frozen=True)
class NextStates:
    """Next states of a scan, without the selections that keep the states of ended rows.

    Attributes:
        following: Next states, in the order of the scan's carries.
        lengths: Lengths of the rows; None if no row ends early.
        running: Mask of running rows, over all steps.
    """

    following: Sequence[Node]
    lengths: Node | None = None
    running: Node | None = None


def layer_of(scan: Node, constants: Constants, quiet: Node | None) -> RecurrentLayer | None:
    """Return the recurrent layer that a scan computes; None if it computes no layer of ONNX.

    Args:
        scan: The scan.
        constants: Constants of the graph.
        quiet: Lengths of the rows, if all readers of the scan's outputs ignore the steps after a row's end; else None.
    """
    parts = ScanParts.of(scan)
    if parts.when is not None or not 1 <= len(parts.carries) <= 2 or not all(map(_is_state, parts.carries)):
        return None
    unheld = without_holding(parts)
    if unheld is None or (parts.emits and unheld.lengths is not None and unheld.lengths is not quiet):
        return None
    cell = _LSTM(parts, unheld, constants) if len(parts.carries) == 2 else _OneState(parts, unheld, constants)
    return cell.layer()


def _is_state(carry: Carry) -> bool:
    """True if a carried value can be a state of an ONNX layer: float32 [batch, units] with fixed units."""
    kind = carry.inside.tensor
    return kind.dtype == "float32" and kind.rank == 2 and isinstance(kind.shape[1], int) and kind.shape[1] > 0


# Lengths ---------------------------------------------------------------------------------------------


def without_holding(parts: ScanParts) -> NextStates | None:
    """Return a scan's next states, without the selections that keep the states of ended rows.

    Other next states are returned as they are. None if one condition keeps all states, but compares no lengths.
    """
    following = [carry.next for carry in parts.carries]
    if not all(item.op == "select" for item in following):
        return NextStates(following)
    conditions = {item.operands[0] for item in following}
    holds = all(item.operands[2] is carry.inside for item, carry in zip(following, parts.carries, strict=True))
    if len(conditions) > 1 or not holds:
        return NextStates(following)
    (condition,) = conditions
    lengths = lengths_of(condition, parts)
    running = dict(parts.sequences).get(condition)
    return None if lengths is None else NextStates([item.operands[1] for item in following], lengths, running)


def lengths_of(condition: Node, parts: ScanParts) -> Node | None:
    """Return the lengths that a condition compares with the step number; None for other conditions."""
    outside = dict((*parts.sequences, *parts.invariants))
    less = _source(condition, outside)
    if less.op != "less":
        return None
    step, lengths = (_source(item, outside) for item in less.operands)
    if step.op != "iota" or step["size"] != parts.length:
        return None
    batch = parts.carries[0].inside.shape[0]
    return lengths if product(lengths.shape) == batch and lengths.op != "constant" else None


def _source(node: Node, outside: dict[Node, Node]) -> Node:
    """Return the source of a value, traced back through reshapes and casts, and out of the loop."""
    while node in outside or node.op in ("reshape", "broadcast", "cast"):
        if node.op == "broadcast" and product(node.shape) != product(node.operands[0].shape):
            return node
        if node.op == "cast" and (node.operands[0].dtype, node.dtype) != ("int32", "int64"):
            return node
        node = outside[node] if node in outside else node.operands[0]
    return node


def quiet_lengths(scan: Node) -> Node | None:
    """Return the rows' lengths if a scan outputs zeros and keeps all states after a row's end; None otherwise."""
    parts = ScanParts.of(scan)
    if not parts.carries:
        return None
    unheld = without_holding(parts)
    if unheld is None or unheld.lengths is None:
        return None
    condition = parts.carries[0].next.operands[0]
    zeroed = all(
        value.op == "select" and value.operands[0] is condition and is_filled(value.operands[2], 0)
        for _, value in parts.emits
    )
    return unheld.lengths if zeroed else None


# Cells -----------------------------------------------------------------------------------------------


class _Cell:
    """Base of the matchers of a scan's step with a kind of layer."""

    def __init__(self, parts: ScanParts, unheld: NextStates, constants: Constants) -> None:
        self.parts, self.unheld, self.constants = parts, unheld, constants
        self.sequences, self.invariants = dict(parts.sequences), dict(parts.invariants)

    def step(self, h: Carry, c: Carry | None = None) -> Step:
        return Step(h.inside, None if c is None else c.inside, self.sequences, self.invariants, self.constants)

    def gates(self, step: Step, node: Node) -> Iterator[Gate]:
        """Yield (activation, operand as a ``Sum``) for each activation of a sum whose result is ``node``."""
        for activation, inner in unwrapped(node):
            try:
                yield activation, step.sum_of(inner)
            except NoSumError:
                continue

    def gate(self, step: Step, node: Node) -> Gate | None:
        """Return the first pair of ``gates`` whose sum has no reset gate; None if there is none."""
        return next((item for item in self.gates(step, node) if item[1].reset is None), None)

    def layer_with(
        self,
        op: str,
        sums: Sequence[Sum],
        activations: Sequence[Activation],
        states: Sequence[Carry],
        output: Node,
        reset_after: bool = False,
    ) -> RecurrentLayer | None:
        """Return the layer with these gates; None if their arrays do not fit.

        Args:
            op: ``"LSTM"``, ``"GRU"`` or ``"RNN"``.
            sums: Operands of the gates' activations, in ONNX's order.
            activations: Activations, in ONNX's order.
            states: h, then c.
            output: h after the step.
        """
        names = {id(carry): name for carry, name in zip(states, ("Y_h", "Y_c"), strict=False)}
        results = [names[id(carry)] for carry in self.parts.carries]
        if any(value is not output for _, value in self.parts.emits):
            return None
        sources = list(dict.fromkeys(node for item in sums for node, _ in item.inputs))
        units = sums[0].units
        if not self._fit(sources):
            return None
        initial = [Initial(carry.initial, is_filled(carry.initial, 0)) for carry in states]
        kernel = np.concatenate([_kernel(item, sources) for item in sums])
        recurrent = np.concatenate([_matrix(item) for item in sums])
        bias = np.concatenate([_vector(item.bias, units) for item in sums])
        recurrent_bias = np.concatenate([_vector(item.recurrent_bias, units) for item in sums])
        return RecurrentLayer(
            op=op,
            inputs=sources,
            kernel=kernel,
            recurrent=recurrent,
            bias=np.concatenate([bias, recurrent_bias]),
            activations=activations,
            initial=initial,
            reverse=self.parts.reverse,
            lengths=self.unheld.lengths,
            running=self.unheld.running,
            results=[*results, *("Y" for _ in self.parts.emits)],
            parameters=list(dict.fromkeys(label for item in sums for label in item.labels)),
            peepholes=_peepholes(sums) if op == "LSTM" else None,
            reset_after=reset_after,
        )

    def _fit(self, sources: Sequence[Node]) -> bool:
        """True if there are sequences, all float32 [time, batch, width] with fixed widths, so that they concatenate."""
        batch = self.parts.carries[0].inside.shape[0]
        return bool(sources) and all(
            node.dtype == "float32" and node.shape[:2] == (self.parts.length, batch) and isinstance(node.shape[2], int)
            for node in sources
        )


class _LSTM(_Cell):
    """Matcher of a step with an LSTM, whose states are h and c."""

    def layer(self) -> RecurrentLayer | None:
        first, second = self.parts.carries
        following = dict(zip(self.parts.carries, self.unheld.following, strict=True))
        for h, c in ((first, second), (second, first)):
            for match in matches(NEXT_C, following[c], {"c": c.inside}):
                for output in matches(NEXT_H, following[h], match):
                    layer = self._layer(h, c, following, output)
                    if layer is not None:
                        return layer
        return None

    def _layer(self, h: Carry, c: Carry, following: dict[Carry, Node], match: dict[str, Node]) -> RecurrentLayer | None:
        """Return the LSTM for a match of the next states of h and c; None if its gates do not fit."""
        last = next((activation for activation, inner in unwrapped(match["a"]) if inner is following[c]), None)
        if last is None:
            return None
        before = self.step(h, c)
        after = Step(h.inside, following[c], self.sequences, self.invariants, self.constants)
        gates = [self.gate(after if name == "o" else before, match[name]) for name in "iofj"]
        if any(gate is None for gate in gates):
            return None
        kinds, sums = zip(*(gate for gate in gates if gate is not None), strict=True)
        if len(set(kinds[:3])) > 1 or sums[3].peephole is not None:
            return None
        return self.layer_with("LSTM", sums, [kinds[0], kinds[3], last], [h, c], following[h])


class _OneState(_Cell):
    """Matcher of a step with the layers of one state: GRU and plain RNN."""

    def layer(self) -> RecurrentLayer | None:
        (h,), (following,) = self.parts.carries, self.unheld.following
        step = self.step(h)
        for patterns, is_kept in ((KEPT, True), (REPLACED, False)):
            for pattern in patterns:
                for match in matches(pattern, following, {"h": h.inside}):
                    layer = self._gated(h, following, match, is_kept)
                    if layer is not None:
                        return layer
        gate = self.gate(step, following)
        if gate is None or gate[1].recurrent is None:
            return None
        return self.layer_with("RNN", [gate[1]], [gate[0]], [h], following)

    def _gated(self, h: Carry, following: Node, match: dict[str, Node], is_kept: bool) -> RecurrentLayer | None:
        """Return the GRU for a match of its next state; None if its gates do not fit."""
        step = self.step(h)
        update = self.gate(step, match["u"])
        candidate = next((item for item in self.gates(step, match["n"]) if item[1].reset is not None), None)
        if update is None or candidate is None or candidate[1].reset is None:
            return None
        reset = self.gate(step, candidate[1].reset)
        if reset is None or reset[0] != update[0]:
            return None
        if not is_kept and update[0].name != "Sigmoid":  # Negating the sum gives 1 - u for a sigmoid only.
            return None
        sums = [update[1] if is_kept else update[1].negated(), reset[1], candidate[1]]
        kinds = [update[0], candidate[0]]
        return self.layer_with("GRU", sums, kinds, [h], following, candidate[1].reset_after)


# Arrays ----------------------------------------------------------------------------------------------


def _kernel(sum_: Sum, sources: Sequence[Node]) -> np.ndarray:
    """Return the kernel [units, total width of the sequences] of a gate, with 0 for sequences that it does not read."""
    parts = []
    for source in sources:
        width = source.shape[-1]
        assert isinstance(width, int)
        part = np.zeros((sum_.units, width), np.float32)
        for node, matrix in sum_.inputs:
            part = part + matrix.T if node is source else part
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _matrix(sum_: Sum) -> np.ndarray:
    return np.zeros((sum_.units, sum_.units), np.float32) if sum_.recurrent is None else sum_.recurrent.T


def _vector(value: np.ndarray | None, units: int) -> np.ndarray:
    return np.zeros(units, np.float32) if value is None else np.asarray(value, np.float32)


def _peepholes(sums: Sequence[Sum]) -> np.ndarray | None:
    """Return the peepholes [3 * units] of i, o and f; None if no gate has any."""
    if all(item.peephole is None for item in sums):
        return None
    return np.concatenate([_vector(item.peephole, item.units) for item in sums[:3]])
