"""Where the values of a scan lie: what it carries, what its steps take and give, and what they compute on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ....ir.graph import Graph, Node, make
from ....ir.scan import ScanParts
from ....ir.types import ITEM_BYTES, product
from ...analysis.kernel_fusion import FusedKernels
from ...analysis.node_kinds import is_view
from ...buffers.carried_state import DOUBLE_BUFFERED, IN_PLACE, State
from ...buffers.memory import Memory
from ...buffers.views import View, view_through
from ...cost_model.chunk_length import TimeChunk
from ...kernels.active_rows import ActiveSteps, MaskTable
from ...kernels.region import Region
from ...loop_ir.nodes import Index
from ..analyse.scan_blocks import ScanBlocks

Places = tuple[View, ...]


@dataclass(frozen=True)
class Moment:
    """One step: its number in the chunk and in the sequence, and the parity of its turn.

    block: where the block begins that it computes, along each axis that the scan is cut along.
    """

    local: Index
    absolute: Index
    slot: Index = 0
    block: tuple[Index, ...] = ()

    def of(self, view: View) -> View:
        """A sequence's element at this step."""
        return view.first_axis(self.step_in(view))

    def step_in(self, view: View) -> Index:
        """The number of the step by which a sequence counts."""
        return self.local if view.local else self.absolute


class StepMemory(NamedTuple):
    """Memory of one step.

    early, late: values that no kernel of the step writes to where they go, with their places. The early ones are inputs
    of the step, or views of such, and are copied before the step overwrites them; the late ones are views of what the
    step computes.
    """

    memory: Memory
    early: list[tuple[Node, Places]]
    late: list[tuple[Node, Places]]


@dataclass(frozen=True)
class ScanLayout:
    """The memory of a scan.

    fused: the kernels of a step. states: where carried values lie. results: who reads what the scan gives, by index.
    chunk: the region of a chunk of time. active: the steps and rows that are computed, where a mask leaves out others.
    temporaries: where values of one step lie. blocks: how the scan is cut, if it is: a step is then one of a block.
    """

    node: Node
    fused: FusedKernels
    states: tuple[State, ...]
    results: Mapping[int, Sequence[Node]]
    chunk: Region
    active: ActiveSteps | None = None
    temporaries: Mapping[Node, View] = field(default_factory=dict)
    blocks: ScanBlocks | None = None

    @cached_property
    def parts(self) -> ScanParts:
        return ScanParts.of(self.node)

    @property
    def body(self) -> Graph:
        """The body of a step."""
        body: Graph = self.node["body"] if self.blocks is None else self.blocks.body
        return body

    @property
    def table(self) -> MaskTable | None:
        """The rows that are active, where a mask leaves out others."""
        return None if self.active is None else self.active.table

    @property
    def region(self) -> Region:
        """The region of a chunk's steps that run."""
        return self.chunk if self.active is None else self.chunk.within(self.active.size, None)

    @property
    def time(self) -> TimeChunk:
        """The chunk of time, of which only the steps that run."""
        assert self.region.time is not None
        return self.region.time

    @cached_property
    def alternates(self) -> bool:
        """True if some carried value lies in two places in turn."""
        return any(state.kind == DOUBLE_BUFFERED for state in self.states)

    @cached_property
    def reads_much(self) -> bool:
        """True if a step multiplies by more than the first cache holds."""
        weights = dict.fromkeys(node.operands[1] for node in self.body.nodes if node.op == "matmul")
        numbers = sum(product(item.shape) * ITEM_BYTES[item.dtype] for item in weights)
        return isinstance(numbers, int) and not self.chunk.target.keeps(numbers)

    @cached_property
    def overwrites_condition(self) -> Node | None:
        """The value that takes the place of what told that the step runs, if one does."""
        pairs = zip(self.parts.carries, self.states, strict=True)
        return next(
            (carry.next for carry, state in pairs if carry.inside is self.parts.when and state.kind == IN_PLACE),
            None,
        )

    def unplaced(self) -> list[Node]:
        """Values of a step that lie in memory, and that the scan doesn't give."""
        given = {value for _, value in self.body.outputs}
        return [node for node in self.body.nodes if node in self.fused.stored and node not in given]

    # One step ------------------------------------------------------------------------------------

    def moment(self, s: Index) -> Moment:
        """The step after ``s`` others of its chunk, but for the parity of its turn."""
        local = self.time.steps - 1 - s if self.node["reverse"] else s
        return Moment(local, self.time.start + local)

    def carried(self, at: Moment) -> dict[Node, View]:
        """Carried values at the start of a step."""
        pairs = zip(self.parts.carries, self.states, strict=True)
        return {carry.inside: state.before(at.slot, at.step_in(state.view)) for carry, state in pairs}

    def inputs(self, at: Moment) -> dict[Node, View]:
        """All that the body of a step takes."""
        outer, views = self.chunk.memory.views, self.carried(at)
        for binding in self.parts.sequences:
            views[binding.inside] = at.of(outer[binding.outside])
        for binding in self.parts.invariants:
            views[binding.inside] = outer[binding.outside]
        for inner in self.node["body"].nodes:
            if inner.op == "constant" and inner.tensor.rank:
                views[inner] = outer[inner]
        if self.blocks is None:
            return views
        return {self.blocks.inside[node]: self.of_block(node, view, at) for node, view in views.items()}

    def step(self, inputs: Mapping[Node, View], at: Moment) -> StepMemory:
        """Memory of a step that runs. inputs: of its body."""
        views, stores = dict(inputs), dict[Node, list[View]]()
        self._add_views(views)
        given, passed = set(views), list[tuple[Node, Places]]()
        for index, (_, value) in enumerate(self.body.outputs):
            places = self.result_places(index, at)
            if value in self.fused.stored:
                stores.setdefault(value, []).extend(places)
            elif places:
                passed.append((value, tuple(places)))
        for value in [node for node in self.body.nodes if node in self.fused.stored]:  # in a fixed order
            if value not in stores:
                stores[value] = [self.temporaries[value]]
            views[value] = _best(stores[value])
        self._add_views(views)
        early = [item for item in passed if item[0] in given]
        late = [item for item in passed if item[0] not in given]
        return StepMemory(self.memory(views, stores), early, late)

    def memory(self, views: Mapping[Node, View], stores: Mapping[Node, Sequence[View]] | None = None) -> Memory:
        """The chunk's memory with other values in it."""
        return replace(self.chunk.memory, views=views, stores=stores or {})

    def result_places(self, index: int, at: Moment) -> list[View]:
        """Where a step writes what it gives."""
        if index < len(self.states):
            state = self.states[index]
            places = [state.after(at.slot, at.step_in(state.view))]
        else:
            stores = self.chunk.memory.stores
            places = [at.of(view) for user in self.results.get(index, ()) for view in stores.get(user, ())]
        value = self.node["body"].outputs[index][1]
        return [self.of_block(value, view, at) for view in places]

    def of_step(self, node: Node) -> Node:
        """The node of a step's body that stands for one of the scan's own body."""
        return node if self.blocks is None else self.blocks.inside[node]

    def of_block(self, node: Node, view: View, at: Moment) -> View:
        """The part of a value that a step computes, of the body of the whole scan."""
        return view if self.blocks is None else self.blocks.view(node, view, at.block)

    def _add_views(self, views: dict[Node, View]) -> None:
        for inner in self.body.nodes:
            if inner not in views and is_view(inner) and inner.operands[0] in views:
                view = view_through(inner, views[inner.operands[0]])
                if view is not None:
                    views[inner] = view


def zeros_like(node: Node) -> Node:
    """Zeros of a value's shape."""
    zero = make("constant", value=np.zeros((), node.dtype))
    return make("broadcast", zero, where=node.where, shape=node.shape)


def _best(places: Sequence[View]) -> View:
    """The copy of a value that is read: of several the padded one."""
    return next((view for view in places if view.room is not None), places[0])
