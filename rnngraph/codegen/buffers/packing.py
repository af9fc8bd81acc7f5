"""Packing of weights into the order in which register tiles read them.

A panel has the layout [group of blocks][k][gate][block][lane]. A block is a vector of units. Gates are matrices whose
products one tile computes, such as a cell's gates. Units past the end are zeros, or copies of the last unit if k
is contiguous in the source. With narrow weights, each lane has the weights of consecutive k in 32 bits, padded with
zeros. Panels are packed when parameters change, and not while a graph runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce

from ...ir.types import ITEM_BYTES, Dim, Shape
from ...support.errors import Where
from ...support.records import NamedTuple, dataclass
from ..loop_ir.builder import Block, loop
from ..loop_ir.functions import Function
from ..loop_ir.nodes import Buffer, Call, Index, Literal, Load, Operand, Place, Store, Value, When
from ..machine.alignment import padded
from .lane_order import side_by_side
from .sparse_packing import DENSE, SparsePanels
from .transposing import TransposingPackers, Transposition
from .views import View

DOT_WIDTH = {"int8": 4, "bfloat16": 2}
"""By dtype: number of weights in a lane of 32 bits, which a dot product multiplies at once."""
MAX_DOT_WIDTH = max(DOT_WIDTH.values())
"""Maximum number of narrow weights in a lane of 32 bits."""
STREAMED_ROWS_OF_WORDS = 6
"""Maximum rows of activations for which narrow weights are read from memory as one stream."""
FOUR_BITS = 8
"""Number of 4-bit weights in a lane of four bytes. The lower halves of the bytes are the first four k of the lane."""


@dataclass(frozen=True)
class PackedView:
    """Right operand as a slice of a named parameter. Offset and strides count elements."""

    parameter: str
    offset: int
    strides: Shape
    shape: Shape


@dataclass(frozen=True)
class PanelLayout:
    """Layout of a panel that is packed directly from parameters, with the attributes of a ``PanelForm``."""

    views: tuple[PackedView, ...]
    lanes: int
    blocks: int
    dot_width: int

    def gates(self, views: tuple[PackedView, ...], lanes: int, blocks: int, dot_width: int) -> tuple[int, ...] | None:
        """Return the index of each weight of ``views`` within this packed layout; None if tiles cannot read the layout.

        A tile of ``blocks`` vectors reads whole groups, or a last group with fewer vectors.
        """
        if (lanes, dot_width) != (self.lanes, self.dot_width) or blocks % self.blocks or not {*views} <= {*self.views}:
            return None
        remainder = -(-int(str(views[0].shape[1])) // lanes) % blocks
        if remainder > self.blocks and remainder % self.blocks:
            return None
        return tuple(map(self.views.index, views))


class PanelForm(NamedTuple):
    """Contents and layout of a panel.

    Attributes:
        views: Right operands, one for each gate.
        width: Units of each gate.
        lanes: Units of a vector.
        blocks: Vectors of a group.
        dot_width: Steps of k in a lane.
    """

    views: tuple[View, ...]
    width: int
    lanes: int
    blocks: int
    dot_width: int


@dataclass(frozen=True)
class Panel:
    """Buffer with packed weights.

    Attributes:
        depth: Steps of k, rounded up to a multiple of ``dot_width``.
        gates: Number of gates.
        bytes: Bytes of the buffer.
        dot_width: Steps of k in a lane.
        total: Vectors of units in a gate.
        blocks: Vectors of a group.
    """

    buffer: Buffer
    depth: int
    gates: int
    bytes: int
    dot_width: int
    total: int
    blocks: int

    @property
    def elements_per_lane(self) -> int:
        """Buffer elements of a lane."""
        return self.dot_width if self.dot_width != FOUR_BITS else 4

    @property
    def elements_per_unit(self) -> int:
        """Buffer elements per unit, for all gates and k."""
        return self.depth // self.dot_width * self.elements_per_lane * self.gates

    def group_blocks(self, first: Index, lanes: int) -> int:
        """Return the number of vectors in the group that a tile reads; the last group may have fewer.

        ``first`` is the tile's first unit, or a loop variable if all groups are whole.
        """
        is_last = isinstance(first, int) and first // lanes // self.blocks == self.total // self.blocks
        return self.total % self.blocks if is_last else self.blocks


class Panels:
    """Panels of an entry's kernels. Kernels with equal weights share a panel.

    Attributes:
        parameters: Buffers of parameters, and of values computed from parameters alone.
        reused_layouts: Layouts of another plan's panels, which are reused if tiles can read them.
        origins: Declaration lines of parameters and of values computed from them.
        are_cold: True if the parameters exceed all caches, so that each step reads weights from memory.
        places: Offset and bytes of each buffer, within the memory of all panels.
        needed: Sparse panel for which panels requested now are the fallback; None for panels that are always filled.
        guards: For each panel's buffer, the sparse panels for which it is the fallback; None if it is always filled.
    """

    def __init__(
        self,
        parameters: Mapping[Buffer, str],
        reused_layouts: Sequence[PanelLayout] = (),
        origins: Mapping[Buffer, Where] | None = None,
        are_cold: bool = False,
    ) -> None:
        self.are_cold = are_cold
        self.parameters, self.names = set(parameters), dict(parameters)
        self.buffers = {name: buffer for buffer, name in parameters.items()}
        self.reused_layouts, self.origins = reused_layouts, dict(origins or {})
        self.panels: dict[PanelForm, Panel] = {}
        self.places: dict[Buffer, tuple[int, int]] = {}
        self.filled: set[Buffer] = set()
        self.transposing = TransposingPackers()
        self.fillers: dict[PanelForm, Function] = {}
        self.total = 0
        self.sparse = SparsePanels(self._place)
        self.needed: Buffer | None = None
        self.guards: dict[Buffer, tuple[Buffer, ...] | None] = {}

    def group(self, blocks: int) -> int:
        """Return the number of vectors in a group of a panel, for tiles of ``blocks`` vectors.

        The number is 1 if parameters exceed all caches. Then tiles of any width can read a panel, so that entries for
        few and for many rows share it.
        """
        return 1 if self.are_cold else blocks

    def packs(self, view: View) -> bool:
        """True if a right operand is packed before calls: a matrix of fixed sizes, from parameters alone."""
        known = all(isinstance(dim, int) for dim in (view.offset, *view.shape))
        return known and view.buffer in self.parameters and len(view.shape) == 2

    def streamed_rows(self, views: Sequence[View], dot_width: int) -> int:
        """Return the maximum rows for which tiles read right operands as one stream.

        The maximum is 0 if caches may hold the parameters, or if not all right operands are packed before calls.
        """
        if not self.are_cold or not all(map(self.packs, views)):
            return 0
        return 1 if dot_width == 1 else STREAMED_ROWS_OF_WORDS

    def prepared(self, name: str, dtype: str, elements: Dim) -> Buffer:
        """Allocate a buffer that is computed from parameters whenever they change."""
        buffer = Buffer(f"{name}_p{len(self.places)}", dtype)
        self._place(buffer, int(str(elements)))
        self.parameters.add(buffer)
        return buffer

    def _place(self, buffer: Buffer, elements: int) -> int:
        """Allocate memory for a buffer. Return its bytes."""
        size_bytes = elements * ITEM_BYTES[buffer.dtype]
        self.places[buffer] = self.total, size_bytes
        self.total += padded(size_bytes)
        return size_bytes

    def panel(self, form: PanelForm) -> tuple[Panel, tuple[int, ...]]:
        """Return a panel (packed weights) that tiles of this form can read, and the index of each view in it."""
        packed = self._parameter_slices(form.views)
        for layout in self.reused_layouts:
            gates = layout.gates(packed, form.lanes, form.blocks, form.dot_width) if packed is not None else None
            if gates is not None and all(view.parameter in self.buffers for view in layout.views):
                views = tuple(map(self._view, layout.views))
                return self._panel(form._replace(views=views, blocks=layout.blocks)), gates
        return self._panel(form), tuple(range(len(form.views)))

    @contextmanager
    def needed_if_dense(self, numbers: Buffer) -> Iterator[None]:
        """Mark panels that are requested within the ``with`` block as fallbacks of a sparse panel.

        Packing fills a fallback only if the weights have too few zeros for sparse products.

        Args:
            numbers: Buffer of the sparse panel.
        """
        self.needed = numbers
        yield
        self.needed = None

    def used_bytes(self, content: bytes) -> dict[str, int]:
        """Return {name of a buffer: bytes at its start that kernels read}, for buffers that packing may fill in part.

        Such buffers are those of sparse weights and their fallbacks, of which kernels read either one or the other.

        Args:
            content: Packed memory of all panels.
        """
        used, dense = self.sparse.used_bytes(content, lambda buffer: self.places[buffer][0])
        for buffer, guards in self.guards.items():
            if guards is not None:
                used[buffer.name] = 0 if dense.isdisjoint(guards) else self.places[buffer][1]
        return used

    def _panel(self, form: PanelForm) -> Panel:
        """Return the packed weights of a form. The first call for the form allocates their memory."""
        if form not in self.panels:
            views, width, lanes, blocks, dot_width = form
            dtype, total = views[0].buffer.dtype, -(-width // lanes)
            depth = -(-int(str(views[0].shape[0])) // dot_width) * dot_width
            buffer = Buffer(f"panel{len(self.panels)}", dtype)
            panel = Panel(buffer, depth, len(views), 0, dot_width, total, blocks)
            self.panels[form] = replace(panel, bytes=self._place(buffer, total * lanes * panel.elements_per_unit))
            self.guards[buffer] = ()
        buffer = self.panels[form].buffer
        guards = self.guards[buffer]
        if self.needed is None:
            self.guards[buffer] = None
        elif guards is not None and self.needed not in guards:
            self.guards[buffer] = (*guards, self.needed)
        return self.panels[form]

    def reuses_one_layout(self, views: Sequence[View]) -> bool:
        """True if one reused layout contains all these right operands."""
        packed = {item for view in views for item in self._parameter_slices([view]) or ()}
        return len(packed) == len(views) and any(packed <= {*layout.views} for layout in self.reused_layouts)

    def groups(self, views: Sequence[View]) -> tuple[int, ...]:
        """Return the distinct group sizes of reused layouts that contain one of these right operands."""
        packed = {item for view in views for item in self._parameter_slices([view]) or ()}
        return tuple(sorted({layout.blocks for layout in self.reused_layouts if packed & {*layout.views}}))

    def _parameter_slices(self, views: Sequence[View]) -> tuple[PackedView, ...] | None:
        """Return each view as a slice of a parameter; None if one is a view of a computed value."""
        packed = []
        for view in views:
            if view.buffer not in self.names or not isinstance(view.offset, int):
                return None
            packed.append(PackedView(self.names[view.buffer], view.offset, view.strides, view.shape))
        return tuple(packed)

    def _view(self, packed: PackedView) -> View:
        """Return a slice of a parameter as a view of the parameter's buffer."""
        return View(self.buffers[packed.parameter], packed.offset, packed.strides, packed.shape)

    def layouts(self) -> dict[str, PanelLayout]:
        """Return {name of a panel's buffer: layout}, for panels that are packed directly from parameters."""
        layouts_by_name = {}
        for form, panel in self.panels.items():
            packed = self._parameter_slices(form.views)
            if packed is not None:
                layouts_by_name[panel.buffer.name] = PanelLayout(packed, form.lanes, form.blocks, form.dot_width)
        return layouts_by_name

    def pack_function(self, name: str, block: Block) -> Function:
        """Return the function that fills every panel from the parameters, after the statements of ``block``."""
        self.pack(block)
        return Function(name, (), (), tuple(block.statements), "packs parameters into panels")

    def pack(self, block: Block) -> None:
        """Add statements to ``block`` that pack the weights of all requested panels that are not filled yet."""
        self.sparse.pack(block, self.origins.get)
        for form, panel in self.panels.items():
            if panel.buffer not in self.filled:
                guards, inner = self.guards[panel.buffer], block.nested()
                self._fill(inner if guards else block, form, panel)
                if guards is not None:
                    flags = [block.read_index("dense", guard, DENSE) for guard in guards]
                    is_dense = reduce(lambda one, other: block.let_index("dense", "max", one, other), flags)
                    block.add(When(is_dense, 1, 2, tuple(inner.statements)))
                self.filled.add(panel.buffer)

    def _fill(self, block: Block, form: PanelForm, panel: Panel) -> None:
        """Add a call to ``block`` that packs weights into ``panel``. Panels with equal layouts share a function."""
        starts: dict[Buffer, Index] = {}
        for view in form.views:
            starts.setdefault(view.buffer, view.offset)
        param = {buffer: Buffer(f"m{number}", buffer.dtype) for number, buffer in enumerate(starts)}
        views = [
            replace(view, buffer=param[view.buffer], offset=view.offset - starts[view.buffer]) for view in form.views
        ]
        key, origin = form._replace(views=tuple(views)), self.origins.get(form.views[0].buffer)
        if key in self.fillers:
            self.fillers[key] = self.fillers[key].called_for(origin)
        else:
            target, inner = Buffer(f"m{len(param)}", panel.buffer.dtype), Block(origin=origin)
            _pack(inner, key, replace(panel, buffer=target), self.transposing)
            self.fillers[key] = Function(
                f"fill{len(self.fillers)}", (*param.values(), target), (), tuple(inner.statements), "fills a panel"
            )
        block.add(Call(self.fillers[key].name, (*starts.items(), (panel.buffer, 0)), (), origin=origin))

    @property
    def functions(self) -> tuple[Function, ...]:
        """Functions that ``pack`` calls."""
        return (*self.fillers.values(), *self.transposing.functions.values(), *self.sparse.functions)


class _GroupRange(NamedTuple):
    """Consecutive groups of equal size.

    Attributes:
        first: Number of vectors before the groups.
        vectors: Vectors of a group.
        number: Number of groups.
        ends_short: True if the last vector of the last group has fewer units than lanes.
    """

    first: int
    vectors: int
    number: int
    ends_short: bool


def _pack(block: Block, form: PanelForm, panel: Panel, transposing: TransposingPackers) -> None:
    """Add loops to ``block`` that copy the weights of a form into ``panel``, in the order in which tiles read them."""
    width, lanes, blocks = form.width, form.lanes, form.blocks
    total = -(-width // lanes)
    first = 0
    while first < total:
        # One loop packs all full groups. A last group with fewer vectors or units is packed separately.
        count = min(blocks, total - first)
        whole = (total - first) // count if count == blocks else 1
        ends_short = (first + whole * count) * lanes > width
        if ends_short and whole > 1:
            whole -= 1
            ends_short = False
        _groups(block, form, _GroupRange(first, count, whole, ends_short), panel, transposing)
        first += whole * count


def _groups(block: Block, form: PanelForm, groups: _GroupRange, panel: Panel, transposing: TransposingPackers) -> None:
    """Add a loop to ``block`` that packs consecutive groups of units, each the vectors of one tile, into ``panel``."""
    views, lanes, count = form.views, form.lanes, groups.vectors
    per_k = len(views) * count * lanes * panel.elements_per_lane

    def vectors(group: Index) -> Iterator[_Slice]:
        """Yield the vectors of units that a group packs, gate by gate."""
        base = groups.first * panel.elements_per_unit * lanes + group * (panel.depth // panel.dot_width * per_k)
        for gate, view in enumerate(views):
            for number in range(count):
                unit = groups.first + number
                valid = min(lanes, max(0, form.width - unit * lanes)) if groups.ends_short else lanes
                start = view.offset + (unit * lanes + group * (count * lanes)) * view.strides[1]
                yield _Slice(view, start, valid, base + (gate * count + number) * lanes * panel.elements_per_lane)

    def transpose(inner: Block, group: Index) -> None:
        for item in vectors(group):
            source, target = (item.view.buffer, item.start), (panel.buffer, item.place)
            distance = item.view.strides[1]
            transposing.transpose(inner, Transposition(source, target, distance, per_k, lanes, item.valid, panel.depth))

    is_transposed = lanes > 1 and panel.dot_width == 1 and all(view.strides[0] == 1 for view in views)
    if is_transposed and panel.depth >= lanes:
        loop(block, "group", groups.number, transpose)
        return
    # Read the rows in order, so that the hardware prefetches them.
    dot_width, depth = panel.dot_width, int(str(views[0].shape[0]))
    full = depth // dot_width

    def rows(at: Block, k: Index, present: int) -> None:
        """Add a loop that packs ``dot_width`` rows from ``k`` on, interleaved; only ``present`` of them exist."""

        def pack(inner: Block, group: Index) -> None:
            for item in vectors(group):
                values: list[Operand] = []
                for number in range(present):
                    value = Value(inner.fresh("w"), panel.buffer.dtype, lanes)
                    limit = None if item.valid == lanes else item.valid
                    source = item.start + (k * dot_width + number) * item.view.strides[0]
                    inner.add(Load(value, item.view.buffer, source, limit, item.view.strides[1]))
                    values.append(value)
                absent: list[Operand] = [Literal(0, panel.buffer.dtype, lanes)] * (dot_width - present)
                _store_lanes(inner, [*values, *absent], (panel.buffer, item.place + k * per_k))

        loop(at, "group", groups.number, pack)

    loop(block, "k", full, lambda at, k: rows(at, k, dot_width))
    if depth % dot_width:
        rows(block, full, depth % dot_width)


def _store_lanes(block: Block, numbers: list[Operand], place: Place) -> None:
    """Interleave vectors of weights, one for each consecutive step of k, and store them at ``place``."""
    buffer, first = place
    if len(numbers) == FOUR_BITS:
        numbers = _two_in_a_byte(block, numbers)
    if numbers[0].lanes > 1:
        block.add(Store(side_by_side(block, numbers), buffer, first))
        return
    for number, item in enumerate(numbers):
        block.add(Store(item, buffer, first + number))


def _two_in_a_byte(block: Block, numbers: list[Operand]) -> list[Operand]:
    """Return vectors of bytes: numbers of the first half in the lower 4 bits, of the second half in the upper 4."""
    half = len(numbers) // 2
    joined: list[Operand] = []
    for low, high in zip(numbers[:half], numbers[half:], strict=True):
        upper = block.let("mul", [high, Literal(16, high.dtype, high.lanes)], high.dtype, high.lanes)
        joined.append(block.let("add", [low, upper], low.dtype, low.lanes))
    return joined


@dataclass(frozen=True)
class _Slice:
    """Vector of units of one gate.

    Attributes:
        view: The gate's weights.
        start: Element of the source at k = 0.
        valid: Number of units that exist; the lanes after them are padding.
        place: Element of the panel at k = 0.
    """

    view: View
    start: Index
    valid: int
    place: Index
