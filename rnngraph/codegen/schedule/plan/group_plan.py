"""What is decided of a fusion group: its loop over time, and how each of its kernels is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....support.errors import Where
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
    """A loop over chunks of time.

    buffers: memory of its values. pipeline: of several workers, in place of kernels that are cut; states: memory of its
    stages' states; stage_needs: of each stage those that it waits for, and how many chunks more they must have done.
    phases: of the kernels, where scans run beside each other.
    """

    chunks: Chunks
    buffers: LoopBuffers
    pipeline: PipelinePlan | None = None
    states: Buffer | None = None
    stage_needs: tuple[Mapping[int, int], ...] = ()
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True)
class GroupPlan:
    """What runs together: when parameters change (``prepared``), once, or in a loop over chunks of time.

    region: of all kernels but those of scans' steps. copies: of values to where they are needed, ahead of the kernels.
    tables: of active rows, which are written ahead of all else.
    """

    kernels: tuple[KernelPlan | ScanPlan, ...]
    region: Region
    copies: tuple[AnyCopyPlan, ...] = ()
    tables: tuple[TablePlan, ...] = ()
    prepared: bool = False
    loop: TimeLoopPlan | None = None

    @property
    def chunks(self) -> Chunks | None:
        return None if self.loop is None else self.loop.chunks

    @property
    def pipeline(self) -> PipelinePlan | None:
        return None if self.loop is None else self.loop.pipeline

    @property
    def phases(self) -> tuple[Phase, ...]:
        return () if self.loop is None else self.loop.phases

    @property
    def scans(self) -> list[ScanPlan]:
        return [kernel for kernel in self.kernels if isinstance(kernel, ScanPlan)]


@dataclass(frozen=True)
class SectionPlan:
    """Groups that run as one: a single one, or several loops over time whose scans run beside each other.

    origin: of what none of its nodes says where it comes from.
    """

    groups: tuple[GroupPlan, ...]
    origin: Where | None = None
    interleaving: InterleavingPlan | None = None
