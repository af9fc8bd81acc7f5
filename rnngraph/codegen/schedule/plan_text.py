"""Text of a plan, for ``show("plan")``: each kernel with its tile and its division between workers."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ...ir.graph import Node
from ...ir.node import is_tile_product
from ...ir.types import dim_text
from ...support.stage_text import StageLine, StageText
from ..analysis.node_kinds import label_of
from ..cost_model.work_sharing import Partition
from ..kernels.active_rows import ActiveSteps
from ..kernels.kernel_plan import KernelPlan
from .emit.scheduled_entry import ScheduledEntry
from .plan.copy_plan import AnyCopyPlan
from .plan.group_plan import GroupPlan, SectionPlan
from .plan.scan_plan import ScanPlan


def plan_text(plan: ScheduledEntry) -> StageText:
    """Return a plan as text for ``show``: each fusion group in order, with kernels, tiles, copies and workers."""
    return StageText(StageLine(line) if isinstance(line, str) else line for line in _lines(plan))


def _lines(plan: ScheduledEntry) -> Iterator[str | StageLine]:
    yield f"# {plan.memory_text}"
    if plan.parts == 1:
        yield "# one worker"
    else:
        serial, shared = dim_text(plan.work.serial), dim_text(plan.work.shared)
        yield f"# up to {plan.parts} workers: about {shared} cycles; one worker: {serial}"
    groups = ((section, group) for section in plan.entry_plan.sections for group in section.groups)
    for number, (section, group) in enumerate(item for item in groups if item[1].kernels or item[1].copies):
        yield from _wrapped(f"group {number}: {_schedule_text(section, group)}", "")
        parts = 1 if group.pipeline is not None or group.prepared else plan.parts
        for copy in group.copies:
            yield from _copy(copy, parts)
        for place, kernel in enumerate(group.kernels):
            lag, position = group.phases[place] if group.phases else (0, 0)
            if isinstance(kernel, ScanPlan):
                yield from _with_origins([kernel.node], _scan(kernel, parts))
                if position % 2:
                    text = f"    interleaved with other scans, {_count_text(lag, 'chunk')} behind"
                    yield from _with_origins([kernel.node], [text])
                for inner in kernel.kernels:
                    yield from _with_origins(inner.kernel.members, _kernel(inner, kernel.sharing.workers.parts, "    "))
            else:
                yield from _with_origins(kernel.kernel.members, _kernel(kernel, parts, "  "))


def _with_origins(nodes: Sequence[Node], lines: Iterable[str]) -> Iterator[StageLine]:
    """Return the lines, each with the source lines of these nodes."""
    origins = tuple(dict.fromkeys(node.where for node in nodes if node.where is not None))
    return (StageLine(line, origins) for line in lines)


def _schedule_text(section: SectionPlan, group: GroupPlan) -> str:
    """Return a text that says when a group runs, over which steps of time, and in which pipeline stages."""
    if group.chunks is None:
        return "when parameters change" if group.prepared else "once"
    interleaving = section.interleaving
    steps = group.chunks.longest if interleaving is None else interleaving.steps
    loop = f"over {dim_text(group.chunks.length)}, {group.chunks.steps_text(steps)}"
    if group.pipeline is None:
        return loop if interleaving is None else f"{loop}; scans are interleaved"
    stages = ", ".join(
        f"kernel {first}" if last == first + 1 else f"kernels {first} to {last - 1}"
        for first, last in group.pipeline.stages
    )
    chunk = f"{group.pipeline.grain} to {group.pipeline.max_steps} steps"
    return f"{loop}; on several workers a pipeline of {stages}, {chunk} at a time"


def _copy(copy: AnyCopyPlan, parts: int) -> Iterator[str]:
    """Yield the text line that describes a planned copy."""
    workers = _workers(copy.partition, parts)
    yield f"  {copy.what}{': ' * bool(workers)}{workers}"


def _scan(scan: ScanPlan, parts: int) -> Iterator[str]:
    """Yield the text lines that describe a planned scan, without those of its kernels."""
    node = scan.node
    yield f"  scan {label_of(node)} over {dim_text(node['length'])} steps{_origin_comment(node)}"
    for param, state in zip(node["body"].inputs, scan.states, strict=False):
        yield f"    carries {label_of(param)} : {param.type} {state.kind}, in {state.view.buffer.name}"
    if (blocks := scan.layout.blocks) is not None:
        axes = zip(blocks.sizes, blocks.axes, strict=True)
        sizes = ", ".join(f"{width} of {dim_text(axis.size)}" for width, axis in axes)
        after = ", each directly after that of the previous scan" * scan.follows
        yield f"    in blocks of {sizes}; all steps of a block before the next{after}"
    if parts > 1:
        yield f"    workers: {_workers(scan.sharing.estimate, parts)}"
    yield from _rows(scan.active, "    ", scan.layout.row_axis is not None)


def _kernel(plan: KernelPlan, parts: int, indent: str) -> Iterator[str]:
    """Yield the text lines that describe a planned kernel: ops, tile, workers and memory."""
    kernel = plan.kernel
    first = kernel.first
    written = next((node for node in reversed(kernel.members) if node.name), first)
    kind = "kernel" if kernel.kind == "fused" else kernel.kind
    yield f"{indent}{kind} {label_of(written)} : {written.type}{_origin_comment(*kernel.members)}"
    yield from _wrapped("computes " + ", ".join(_op_counts(kernel.members)), indent + "  ")
    yield from _tile(plan, indent + "  ")
    if parts > 1:
        yield f"{indent}  workers: {_workers(plan.partition, parts)}"
    yield from _rows(plan.active, indent + "  ")
    memory = {"reads": plan.reads, "writes": plan.writes}
    used = [f"{word} {', '.join(item.name for item in buffers)}" for word, buffers in memory.items() if buffers]
    yield from _wrapped("; ".join(used), indent + "  ")


def _tile(plan: KernelPlan, indent: str) -> Iterator[str]:
    """Yield the text lines that describe a kernel's register tile or vectors, if it has any."""
    if plan.sparse is not None:
        heights = " or ".join(map(str, plan.sparse.heights))
        blocks = f"blocks of {heights} k x {plan.sparse.lanes} columns"
        yield f"{indent}{blocks} that are not zero; tiles if no block is zero"
    if is_tile_product(plan.kernel.first):
        yield f"{indent}computed by the matrix unit"
    elif plan.products is not None:
        tile, axis = plan.products.tile, plan.products.row_axis
        along = "" if axis is None else f" of axis {axis}"
        size = f"{_count_text(tile.rows, 'row')}{along} x {_count_text(tile.blocks, 'vector')} of {plan.lanes}"
        products = _count_text(len(plan.products.products), "product")
        yield f"{indent}tile: {size}, {products}, k unrolled by {tile.unroll}"
    elif plan.outer_sum is not None:
        tile = plan.outer_sum.tile
        size = f"{_count_text(tile.rows, 'row')} x {_count_text(tile.blocks, 'vector')} of {plan.outer_sum.lanes}"
        yield f"{indent}tile: {size}, up to {plan.outer_sum.max_depth} k at a time, unrolled by {tile.unroll}"
    elif plan.kernel.kind == "fused" and plan.lanes > 1:
        yield f"{indent}vectors of {plan.lanes}"


def _count_text(count: int, word: str) -> str:
    """Return a number with a noun, which is in the plural unless the number is 1."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _workers(partition: Partition, parts: int) -> str:
    """Return a text that describes the division of work between workers; empty if the entry has one worker."""
    if parts == 1:
        return ""
    if partition.axis is None:
        return "one"
    rows = ", each its own rows" if partition.by_rows else ""
    gain = f", {partition.serial_cycles / partition.cycles:.1f} times as fast" if partition.cycles else ""
    return f"{parts} along axis {partition.axis}{rows}{gain}"


def _rows(active: ActiveSteps | None, indent: str, each_row: bool = False) -> Iterator[str]:
    """Yield the line about the mask that excludes ended rows, if there is one."""
    if active is not None:
        mask = active.table.mask
        which = "rows" if each_row or active.table.by_rows else "steps"
        yield f"{indent}active {which}: where t < {label_of(mask.lengths)}, of {mask.rows} rows"


def _op_counts(nodes: Sequence[Node]) -> Iterator[str]:
    """Yield a text for each op and name, such as ``mul gate``, with a count in front if several ops have both."""
    counts = Counter(" ".join(dict.fromkeys([node.op, node.name.rpartition("/")[2]])).strip() for node in nodes)
    for text, count in counts.items():
        yield text if count == 1 else f"{count} {text}"


def _origin_comment(*nodes: Node) -> str:
    """Return a comment with the source line of the first node that has one; empty if none has."""
    where = next((str(node.where) for node in nodes if node.where), "")
    return f"  # {where}" if where else ""


def _wrapped(text: str, indent: str) -> list[str]:
    """Return the lines of a text, at most 110 characters each. They end after commas or semicolons where possible."""
    glued = text.replace(" ", "\u00a0").replace(",\u00a0", ", ").replace(";\u00a0", "; ")
    lines = textwrap.wrap(glued, 110, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]
