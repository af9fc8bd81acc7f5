"""split_concats: split concatenations along the last axis, so that every gate becomes a separate value.

``[x; h] K`` becomes ``x K[:I] + h K[I:]``. A gate sliced from a product becomes a product with a slice of the kernel. A
concatenated state becomes several states, and a concatenated sequence several sequences. Steps may also slice gates
from a reshape. Sliding windows whose steps are merged into one axis count as concatenations.

Law: values are unchanged up to the rounding of one additional sum for each concatenated left operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..ir.build import Entries, column_slice, entries_read, row_slice, sliced
from ..ir.graph import Graph, Node, make, map_bodies, remake, rewrite
from ..ir.ops import OPS
from ..ir.scan import Binding, Carry, ScanParts
from ..ir.sizes.polynomial import product, quotient
from ..ir.types import Dim
from ..support.records import dataclass
from .simplify import to_fixed_point

MAX_STEPS, MIN_UNITS = 64, 16
"""Maximum steps of a window, and minimum units of a step, for a product that reads windows in place.

The number of steps is limited because each step of a window has separate code.
"""


@dataclass(frozen=True)
class SplitConcats:
    """Split concatenations along the last axis, so that every gate becomes a separate value.

    Law: values are unchanged up to the rounding of sums for concatenated left operands.
    """

    name: str = "split_concats"

    def __call__(self, graph: Graph) -> Graph:
        settled: set[Graph] = set()
        return to_fixed_point(graph, lambda changed: _separate_bodies(changed, settled), between=True)


def _separate_bodies(graph: Graph, settled: set[Graph]) -> Graph:
    """Split concatenated carries and sequences of scans, and concatenated values in scans' bodies and in the graph.

    ``settled`` has bodies without concatenated values that could be split.
    """

    def separate(body: Graph) -> Graph:
        if body in settled:
            return body
        separated = _separate(_with_inner_slices(body))
        if separated is body:
            settled.add(body)
        return separated

    return _separate(map_bodies(rewrite(rewrite(graph, _split_carries), _split_sequences), separate))


def _with_inner_slices(body: Graph) -> Graph:
    """Slice values before a reshape, if steps read the result only by slices, such as one for each gate.

    The values are those of elementwise ops, which then compute one gate at a time, and transposes.
    """
    users, outputs = body.users(), {node for _, node in body.outputs}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "slice" or operands[0].op != "reshape" or node.operands[0] in outputs:
            return None
        source = operands[0].operands[0]
        is_split = OPS[source.op].kind == "elementwise" or source.op == "transpose"
        if not is_split or not all(map(entries_read, users[node.operands[0]])):
            return None
        return _slice_before_reshape(node, operands[0])

    return rewrite(body, rule)


def _separate(graph: Graph) -> Graph:
    """Split the concatenated values of one graph, once."""
    users = graph.users()
    outputs = {node for _, node in graph.outputs}
    only_sliced = {node for node in users.keys() - outputs if users[node] and all(map(_slices_columns, users[node]))}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "matmul" and (steps := _steps_of_windows(operands[0])) is not None:
            operands = (steps, *operands[1:])
        match node.op:
            case "matmul" if operands[1].tensor.rank == 2 and _is_joined(operands[0]):
                return _split_rows(node, operands)
            case "slice" if _slices_columns(node) and node.operands[0] in only_sliced:
                return _slice_through(node, operands[0])
            case "slice" if len(users[node.operands[0]]) == 1 and node.operands[0] not in outputs:
                return _slice_of_elementwise(node, operands[0])
            case "outer_sum":
                return _outer_sum(node, operands)
            case "reduce_sum" if _is_joined(operands[0]) and node.tensor.rank:
                return _reduced_pieces(node, operands[0])
        if OPS[node.op].kind == "elementwise" and node.tensor.rank:
            return _concat_through(node, operands)
        return None

    return rewrite(graph, rule)


def _slices_columns(node: Node) -> bool:
    """True for a slice of the last axis alone, with step 1."""
    part = entries_read(node)
    return part is not None and part.axis == node.tensor.rank - 1


def _steps_of_windows(node: Node) -> Node | None:
    """Rewrite windows whose steps are concatenated as a concat of slices, each read in place.

    Return None for other nodes, and for windows of few units or many steps, which are copied instead.
    """
    last = node.tensor.rank - 1
    if node.op == "transpose" and node["order"][-1] == last:
        steps = _steps_of_windows(node.operands[0])
        if steps is None:
            return None
        transposed = [make("transpose", piece, where=node.where, order=node["order"]) for piece in steps.operands]
        return make("concat", *transposed, where=node.where, name=node.name, axis=last)
    windows = node.operands[0] if node.op == "reshape" else node
    if windows.op != "windows" or windows["axis"] != windows.tensor.rank - 3 or windows["size"] > MAX_STEPS:
        return None
    *ahead, size, width = windows.shape
    if node.shape != (*ahead, size * width) or not isinstance(width, int) or width < MIN_UNITS:
        return None
    source, axis, dilation = windows.operands[0], windows["axis"], windows["apart"]
    whole_axes = [(0, dim, 1) for dim in source.shape]
    reach = source.shape[axis] - dilation * (windows["size"] - 1)
    pieces = []
    for first in range(0, dilation * windows["size"], dilation):
        bounds = [*whole_axes[:axis], (first, first + reach, windows["step"]), *whole_axes[axis + 1 :]]
        start, stop, step = zip(*bounds, strict=True)
        pieces += [
            make(
                "slice",
                part,
                where=node.where,
                name=node.name,
                start=start,
                stop=(*stop[:last], part.shape[-1]),
                step=step,
            )
            for part in (source.operands if _is_joined(source) else (source,))
        ]
    return make("concat", *pieces, where=node.where, name=node.name, axis=last)


def _split_rows(node: Node, operands: Sequence[Node]) -> Node:
    """Rewrite a product of a concatenated left operand as a sum of products of the pieces and rows of the kernel."""
    joined, kernel = operands[0], operands[1]
    total: Node | None = None
    offset: Dim = 0
    start = operands[2] if len(operands) == 3 else None
    for piece in joined.operands:
        width = piece.shape[-1]
        rows = row_slice(kernel, offset, offset + width)
        piece_operands = (piece, rows, *([start] if start else []))
        term = make("matmul", *piece_operands, where=node.where, name=node.name, **dict(node.attributes))
        total = term if total is None else make("add", total, term, where=node.where)
        offset, start = offset + width, None
    assert total is not None
    return total


def _outer_sum(node: Node, operands: Sequence[Node]) -> Node | None:
    """Rewrite a sum of outer products as a concat of blocks; None if neither operand is concatenated."""
    left, right = operands
    for joined, axis in ((left, 0), (right, 1)):
        if _is_joined(joined):
            pairs = [(piece, right) if axis == 0 else (left, piece) for piece in joined.operands]
            blocks = [make("outer_sum", *pair, where=node.where, name=node.name) for pair in pairs]
            return make("concat", *blocks, where=node.where, name=node.name, axis=axis)
    return None


def _reduced_pieces(node: Node, joined: Node) -> Node | None:
    """Return a reduction over other axes than the concatenated one, as a concat of the pieces' reductions.

    None if the reduction is over the concatenated axis, too.
    """
    last = joined.tensor.rank - 1
    if last in node["axes"]:
        return None
    pieces = [make(node.op, piece, where=node.where, **dict(node.attributes)) for piece in joined.operands]
    return make("concat", *pieces, where=node.where, name=node.name, axis=node.tensor.rank - 1)


def _slice_through(node: Node, source: Node) -> Node | None:
    """Rewrite a slice of columns of a product or an elementwise op, as the op on slices of its operands.

    Return None for other ops, and for an elementwise op whose result would have another type.
    """
    first, last = node["start"][-1], node["stop"][-1]
    if source.op == "matmul":
        left, kernel, *start = source.operands
        return make(
            "matmul",
            left,
            column_slice(kernel, first, last, node),
            *(column_slice(item, first, last, node) for item in start),
            where=source.where,
            name=node.name,
            **dict(source.attributes),
        )
    if OPS[source.op].kind == "elementwise" and source.op != "random_uniform":
        pieces = [column_slice(item, first, last, node) for item in source.operands]
        piece = make(source.op, *pieces, where=source.where, name=node.name, **dict(source.attributes))
        return piece if piece.type == node.type else None
    return None


def _slice_of_elementwise(node: Node, source: Node) -> Node | None:
    """Rewrite a slice of an elementwise op as the op on slices of its operands. Nothing but the slice may read the op.

    Return None for other ops and for random ones.
    """
    if OPS[source.op].kind != "elementwise" or OPS[source.op].random:
        return None

    def part(item: Node) -> Node:
        axes = range(source.tensor.rank - item.tensor.rank, source.tensor.rank)
        bounds = [
            (0, 1, 1) if dim == 1 else tuple(node[key][axis] for key in ("start", "stop", "step"))
            for axis, dim in zip(axes, item.shape, strict=True)
        ]
        if not bounds:
            return item
        start, stop, step = zip(*bounds, strict=True)
        return make("slice", item, where=node.where, start=start, stop=stop, step=step)

    value = remake(source, [part(item) for item in source.operands])
    return value if value.type == node.type else None


def _concat_through(node: Node, operands: Sequence[Node]) -> Node | None:
    """Rewrite an elementwise op on concatenated values as a concat of ops on the pieces.

    Return None without concatenated operands, or if the op cannot be computed piece by piece.
    """
    rank = node.tensor.rank
    joined = [item for item in operands if item.op == "concat" and item["axis"] == item.tensor.rank - 1]
    if not joined or node.op == "random_uniform":
        return None
    widths = [piece.shape[-1] for piece in joined[0].operands]
    if any([piece.shape[-1] for piece in item.operands] != widths for item in joined[1:]):
        return None
    pieces: list[Node] = []
    offset: Dim = 0
    for width in widths:
        parts = [column_slice(item, offset, offset + width, node) for item in operands]
        piece = make(node.op, *parts, where=node.where, name=node.name, **dict(node.attributes))
        if piece.tensor.rank != rank or piece.shape[:-1] != node.shape[:-1]:
            return None
        pieces.append(piece)
        offset = offset + width
    return make("concat", *pieces, where=node.where, name=node.name, axis=rank - 1)


def _split_carries(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Split the first carry of a scan whose next value is a concatenation, or rewrite a ``get`` of such a scan.

    Return None for scans without such a carry, and for other nodes.
    """
    if node.op == "get" and operands[0].op == "scan" and operands[0] is not node.operands[0]:
        return _joined_get(node, operands[0])
    if node.op != "scan":
        return None
    scan = ScanParts.of(node, operands)
    index = next((index for index, carry in enumerate(scan.carries) if _is_joined(carry.next)), None)
    if index is None:
        return None
    old, initial, _, joined = scan.carries[index]
    pieces = []
    for number, ((first, last), piece) in enumerate(zip(_bounds(joined), joined.operands, strict=True)):
        label = f"{old['label']}_{number}"
        inside = make("input", where=old.where, name=f"{old.name}_{number}", label=label, type=piece.tensor)
        pieces.append(Carry(inside, column_slice(initial, first, last, old), label, piece))
    whole = make("concat", *(piece.inside for piece in pieces), where=old.where, axis=old.tensor.rank - 1)
    new: dict[Node, Node] = {old: whole}
    for inner in node["body"].nodes:
        if inner not in new:
            new[inner] = remake(inner, [new[item] for item in inner.operands])
    carries = [*scan.carries[:index], *pieces, *scan.carries[index + 1 :]]
    return replace(scan, carries=carries).with_replaced_values(new).build(node.where, node.name)


def _split_sequences(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Split the sequences of a scan whose concatenated values its steps slice apart; None if there are none."""
    if node.op != "scan":
        return None
    scan, users = ScanParts.of(node, operands), node["body"].users()
    kept = {scan.when, *(value for _, value in scan.outputs)}
    new, sequences = dict[Node, Node](), list[Binding]()
    for inside, outside in scan.sequences:
        pieces = None if inside in kept else _pieces_read(users[inside], outside)
        if not pieces:
            sequences.append(Binding(inside, outside))
            continue
        params = dict[Node, Node]()
        for number, (reader, piece) in enumerate(pieces.items()):
            if piece not in params:
                label, kind = f"{inside['label']}_{number}", reader.tensor
                params[piece] = make(
                    "input", where=inside.where, name=f"{inside.name}_{number}", label=label, type=kind
                )
                sequences.append(Binding(params[piece], piece))
            new[reader] = params[piece]
    if not new:
        return None
    body = rewrite(node["body"], lambda item, _: new.get(item))
    parts = ScanParts.of(node, operands, body)
    return replace(parts, sequences=sequences).build(node.where, node.name)


def _pieces_read(readers: Sequence[Node], outside: Node) -> dict[Node, Node] | None:
    """Return the piece of a concatenated sequence that each slice of its steps reads; None for other readers."""
    pieces = dict[Node, Node]()
    for reader in readers:
        part = entries_read(reader)
        piece = part and _operand_of_concat(outside, part._replace(axis=part.axis + 1))
        if piece is None:
            return None
        pieces[reader] = piece
    return pieces


def _is_joined(node: Node) -> bool:
    """True for a concatenation along the last axis."""
    return node.op == "concat" and node["axis"] == node.tensor.rank - 1


def _bounds(joined: Node) -> list[tuple[Dim, Dim]]:
    """Return the first column, and the column after the last, of each piece of a concatenation."""
    bounds: list[tuple[Dim, Dim]] = []
    offset: Dim = 0
    for piece in joined.operands:
        bounds.append((offset, offset + piece.shape[-1]))
        offset = offset + piece.shape[-1]
    return bounds


def _joined_get(node: Node, scan: Node) -> Node | None:
    """Return a result of a scan whose carry was split: the concat of its pieces, or a ``get`` at its new index.

    Args:
        node: The ``get`` of the scan before the split.
        scan: The scan after the split. If it has as many carries as before, the result is None.
    """
    before = node.operands[0]
    extra = scan["carries"] - before["carries"]
    if extra <= 0:
        return None
    index = next(i for i in range(before["carries"]) if _is_joined(before["body"].outputs[i][1]))
    position = node["index"]
    if position == index:
        parts = [make("get", scan, where=node.where, index=index + k) for k in range(extra + 1)]
        return make("concat", *parts, where=node.where, name=node.name, axis=node.tensor.rank - 1)
    shift = extra if position > index else 0
    return make("get", scan, where=node.where, name=node.name, index=position + shift)


# Slices in front of ops that reorder values ------------------------------------------------------------


def _before_reshape(reshape: Node, part: Entries) -> Entries | None:
    """Return the entries of a reshape's operand that become ``part`` of the result; None if they are no range."""
    source, (axis, first, last) = reshape.operands[0], part
    rows, size = product(reshape.shape[:axis]), product(reshape.shape[axis + 1 :])
    for place, dim in enumerate(source.shape):
        inner = product(source.shape[place + 1 :])
        if product(source.shape[:place]) == rows and dim * inner == reshape.shape[axis] * size and dim != 1:
            start, stop = quotient(first * size, inner), quotient(last * size, inner)
            return None if start is None or stop is None else Entries(place, start, stop)
    return None


def _slice_before_reshape(node: Node, reshape: Node) -> Node | None:
    """Rewrite a slice of a reshape as the reshape of a slice; None if ``_before_reshape`` finds no entries."""
    part = entries_read(node)
    inner = _before_reshape(reshape, part) if part else None
    if inner is None:
        return None
    return make("reshape", sliced(reshape.operands[0], *inner), where=node.where, name=node.name, shape=node.shape)


def _operand_of_concat(node: Node, part: Entries) -> Node | None:
    """Return ``part`` of a concatenation to which reshapes, transposes and unary ops are applied.

    None if the part is not one of the concatenated values.
    """
    axis = part.axis
    offset: Dim = 0
    if node.op == "concat" and node["axis"] == axis:
        for piece in node.operands:
            if (offset, offset + piece.shape[axis]) == (part.first, part.last):
                return piece
            offset = offset + piece.shape[axis]
        return None
    changes: dict[str, object] = {}
    inner: Entries | None = part
    if node.op == "reshape":
        inner = _before_reshape(node, part)
        changes["shape"] = (*node.shape[:axis], part.last - part.first, *node.shape[axis + 1 :])
    elif node.op == "transpose":
        inner = part._replace(axis=node["order"][axis])
    elif OPS[node.op].kind != "elementwise" or OPS[node.op].random or len(node.operands) != 1:
        return None
    source = None if inner is None else _operand_of_concat(node.operands[0], inner)
    return source and make(node.op, source, where=node.where, name=node.name, **{**dict(node.attributes), **changes})
