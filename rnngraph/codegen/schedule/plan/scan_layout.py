"""Memory of a scan: carries, inputs and results of steps, and temporaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

from ....ir.graph import Graph, Node, make, zero
from ....ir.ops import MATRIX_PRODUCTS
from ....ir.scan import ScanParts
from ....ir.types import ITEM_BYTES, product
from ....support.records import NamedTuple, dataclass
from ...analysis.kernel_fusion import FusedKernels
from ...analysis.node_kinds import is_view
from ...analysis.row_lengths import length_mask
from ...buffers.carried_state import DOUBLE_BUFFERED, FULL_HISTORY, IN_PLACE, State
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
    """One step of a scan.

    Attributes:
        local: Index in the chunk.
        absolute: Index in the sequence.
        slot: Parity that selects the location of a double-buffered carry, and the direction in which weights are read.
            It is the parity of the number of earlier steps. If a carry is double-buffered and a mask excludes ended
            rows, it is the parity of the carry's position instead.
        block: Start of the current block along each divided axis.
    """

    local: Index
    absolute: Index
    slot: Index = 0
    block: tuple[Index, ...] = ()

    def of(self, view: View) -> View:
        """Return the view of a sequence's element at this step."""
        return view.first_axis(self.step_in(view))

    def step_in(self, view: View) -> Index:
        """Return the step's index in a view: in its chunk, if the view holds only a chunk, else in the sequence."""
        return self.local if view.local else self.absolute


class StepMemory(NamedTuple):
    """Memory of one step, and the values that must be copied before or after its kernels.

    Attributes:
        memory: Memory of the step.
        early: Results that are inputs of the step, or views of inputs, with the locations to which they are copied.
            The copies precede the kernels, which may overwrite the inputs.
        late: Results that are views of computed values, with the locations to which they are copied after the kernels.
    """

    memory: Memory
    early: list[tuple[Node, Places]]
    late: list[tuple[Node, Places]]


@dataclass(frozen=True)
class ScanLayout:
    """Memory of a scan.

    Attributes:
        node: The scan.
        fused: Kernels of a step.
        states: Memory of carries.
        results: {index of a result: ``get`` nodes that select it}.
        chunk: Region of a chunk of time.
        active: Steps and rows that are computed, if a mask excludes others.
        temporaries: Memory of values of one step.
        blocks: Division into blocks, if any; a step is then a step of one block.
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
        """Body of a step."""
        body: Graph = self.node["body"] if self.blocks is None else self.blocks.body
        return body

    @property
    def table(self) -> MaskTable | None:
        """Table of active rows; None if no mask excludes ended rows."""
        return None if self.active is None else self.active.table

    @property
    def region(self) -> Region:
        """Region restricted to the steps of a chunk that run."""
        return self.chunk if self.active is None else self.chunk.within(self.active.size, None)

    @property
    def time(self) -> TimeChunk:
        """Chunk of time, restricted to the steps that run."""
        assert self.region.time is not None
        return self.region.time

    @cached_property
    def row_axis(self) -> int | None:
        """Index, among axes divided into blocks, of the batch rows; None unless a block can stop at its row's end.

        A block can stop there if it has one row, and each carry either has one location for all steps, or is read only
        by steps.
        """
        if self.table is None or self.blocks is None:
            return None
        for index, state in enumerate(self.states):
            is_read_by_step = state.kind == FULL_HISTORY and not state.reverse and index not in self.results
            if state.kind != IN_PLACE and not state.view.local and not is_read_by_step:
                return None
        for binding in self.parts.sequences:
            if length_mask(binding.outside, self.node["length"]) == self.table.mask:
                return self.blocks.axis_of_rows(binding.inside)
        return None

    @cached_property
    def alternates(self) -> bool:
        """True if a carry is double-buffered."""
        return any(state.kind == DOUBLE_BUFFERED for state in self.states)

    @cached_property
    def exceeds_first_cache(self) -> bool:
        """True if the weights that a step reads do not stay in L1 until the next step; False if a size is symbolic."""
        weights = dict.fromkeys(node.operands[1] for node in self.body.nodes if node.op in MATRIX_PRODUCTS)
        numbers = sum(product(item.shape) * ITEM_BYTES[item.dtype] for item in weights)
        return isinstance(numbers, int) and not self.chunk.target.fits_first_cache(numbers)

    @cached_property
    def overwrites_condition(self) -> Node | None:
        """Next value of the condition for running a step, if it is stored over the present value; else None."""
        pairs = zip(self.parts.carries, self.states, strict=True)
        return next(
            (carry.next for carry, state in pairs if carry.inside is self.parts.when and state.kind == IN_PLACE),
            None,
        )

    def unplaced(self) -> list[Node]:
        """Return the values of a step that need temporary memory."""
        results = {value for _, value in self.body.outputs}
        return [node for node in self.body.nodes if node in self.fused.stored and node not in results]

    # One step ------------------------------------------------------------------------------------

    def moment(self, s: Index) -> Moment:
        """Return step ``s`` of a chunk. Its parity is not set."""
        local = self.time.steps - 1 - s if self.node["reverse"] else s
        return Moment(local, self.time.start + local)

    def carried(self, at: Moment) -> dict[Node, View]:
        """Return {carry's input in the body: its memory} at the start of a step."""
        pairs = zip(self.parts.carries, self.states, strict=True)
        return {carry.inside: state.before(at.slot, at.step_in(state.view)) for carry, state in pairs}

    def inputs(self, at: Moment) -> dict[Node, View]:
        """Return {input or constant array of a step's body: its memory} at one step."""
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
        """Return where a step reads and writes its values, and the copies that it makes, given its inputs' memory."""
        views, stores = dict(inputs), dict[Node, list[View]]()
        self._add_views(views)
        available, passed = set(views), list[tuple[Node, Places]]()
        for index, (_, value) in enumerate(self.body.outputs):
            places = self.result_places(index, at)
            if value in self.fused.stored:
                stores.setdefault(value, []).extend(places)
            elif places:
                passed.append((value, tuple(places)))
        for value in [node for node in self.body.nodes if node in self.fused.stored]:
            if value not in stores:
                stores[value] = [self.temporaries[value]]
            views[value] = _best(stores[value])
        self._add_views(views)
        early = [item for item in passed if item[0] in available]
        late = [item for item in passed if item[0] not in available]
        return StepMemory(self.memory(views, stores), early, late)

    def memory(self, views: Mapping[Node, View], stores: Mapping[Node, Sequence[View]] | None = None) -> Memory:
        """Return the chunk's memory, with ``views`` and ``stores`` instead of the views and stores of the chunk."""
        return replace(self.chunk.memory, views=views, stores=stores or {})

    def result_places(self, index: int, at: Moment) -> list[View]:
        """Return all locations to which a step writes result ``index``; none if nothing reads the result."""
        if index < len(self.states):
            state = self.states[index]
            places = [state.after(at.slot, at.step_in(state.view))]
        else:
            stores = self.chunk.memory.stores
            places = [at.of(view) for user in self.results.get(index, ()) for view in stores.get(user, ())]
        value = self.node["body"].outputs[index][1]
        return [self.of_block(value, view, at) for view in places]

    def of_step(self, node: Node) -> Node:
        """Return the node of the body of a step that corresponds to a node of the scan's body."""
        return node if self.blocks is None else self.blocks.inside[node]

    def of_block(self, node: Node, view: View, at: Moment) -> View:
        """Return the memory of the current block's part of a value; of the whole value if there are no blocks."""
        return view if self.blocks is None else self.blocks.view(node, view, at.block)

    def _add_views(self, views: dict[Node, View]) -> None:
        """Add the locations of slices, transposes and other movements in a step, if their operands have locations."""
        for inner in self.body.nodes:
            if inner not in views and is_view(inner) and inner.operands[0] in views:
                view = view_through(inner, views[inner.operands[0]])
                if view is not None:
                    views[inner] = view


def zeros_like(node: Node) -> Node:
    """Return a node of zeros with the shape and the dtype of a value."""
    return make("broadcast", zero(node.dtype), where=node.where, shape=node.shape)


def _best(places: Sequence[View]) -> View:
    """Return the location from which a value is read: the first whose rows are known to be padded, else the first."""
    return next((view for view in places if view.room is not None), places[0])
