"""Plan of a fusion group: its loop over time, and the plans of its kernels."""

from __future__ import annotations

from collections.abc import Mapping

from ....support.errors import Where
from ....support.records import dataclass
from ...cost_model.interleaving import InterleavingPlan, Phase
from ...cost_model.pipelining import PipelinePlan
from ...kernels.kernel_plan import KernelPlan
from ...kernels.region import Region
from ...loop_ir.memory_check import LoopBuffers
from ...loop_ir.nodes import Buffer
from .chunks import Chunks
from .copy_plan import AnyCopyPlan
from .row_tables import TablePlan
from .scan_plan import ScanPlan


@dataclass(frozen=True)
class TimeLoopPlan:
    """Plan of a loop over chunks of time.

    Attributes:
        chunks: Chunks of time.
        buffers: Buffers of the loop's values.
        pipeline: Pipeline, if any. Its workers run whole kernels, instead of parts of each kernel.
        states: Memory of the states of the pipeline's stages; None without a pipeline.
        stage_needs: For each stage: {stage for which it waits: how many chunks ahead that stage must be}.
        phases: For each kernel, its lag in chunks and its position in an iteration. Empty unless scans are interleaved.
    """

    chunks: Chunks
    buffers: LoopBuffers
    pipeline: PipelinePlan | None = None
    states: Buffer | None = None
    stage_needs: tuple[Mapping[int, int], ...] = ()
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True)
class GroupPlan:
    """Plan of a fusion group.

    The group runs when parameters change (``prepared``), once in each call, or in a loop over time (``loop``).

    Attributes:
        region: Memory, workers and chunk of time of all kernels except those in the steps of scans.
        copies: Copies before the kernels.
        tables: Tables of active rows, which are written first.
    """

    kernels: tuple[KernelPlan | ScanPlan, ...]
    region: Region
    copies: tuple[AnyCopyPlan, ...] = ()
    tables: tuple[TablePlan, ...] = ()
    prepared: bool = False
    loop: TimeLoopPlan | None = None

    @property
    def chunks(self) -> Chunks | None:
        """Chunks of the loop over time, if any."""
        return None if self.loop is None else self.loop.chunks

    @property
    def pipeline(self) -> PipelinePlan | None:
        """Pipeline of the loop over time, if any."""
        return None if self.loop is None else self.loop.pipeline

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Lag and position of each kernel, as in ``TimeLoopPlan``; empty unless scans are interleaved."""
        return () if self.loop is None else self.loop.phases

    @property
    def scans(self) -> list[ScanPlan]:
        """Plans of the scans."""
        return [kernel for kernel in self.kernels if isinstance(kernel, ScanPlan)]


@dataclass(frozen=True)
class SectionPlan:
    """Plans of groups that run as one: a single group, or loops over time with interleaved scans.

    ``origin`` is the source line of statements whose nodes have none. ``interleaving`` is None if no scans are
    interleaved; otherwise there may be one loop or several.
    """

    groups: tuple[GroupPlan, ...]
    origin: Where | None = None
    interleaving: InterleavingPlan | None = None
