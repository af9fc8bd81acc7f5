"""What is decided of a fusion group: its loop over time, and how each of its kernels is computed."""

from __future__ import annotations

from dataclasses import dataclass

from ..cost_model.interleaving import Phase
from ..cost_model.pipelining import PipelinePlan
from ..cost_model.work_sharing import Partition
from ..kernels.kernel_plan import KernelPlan
from .scan_plan import ScanPlan
from .time_loop import Chunks


@dataclass(frozen=True)
class CopyPlan:
    """A value that is written to another place: ``what``, and how that is cut between workers."""

    what: str
    partition: Partition


@dataclass(frozen=True)
class GroupPlan:
    """What runs together: when parameters change (``prepared``), once, or in a loop over ``chunks`` of time.

    pipeline: of several workers, in place of kernels that are cut. copies: of values to where they are needed, ahead of
    the kernels. phases: of the kernels, where scans run beside each other.
    """

    kernels: tuple[KernelPlan | ScanPlan, ...]
    prepared: bool = False
    chunks: Chunks | None = None
    pipeline: PipelinePlan | None = None
    copies: tuple[CopyPlan, ...] = ()
    phases: tuple[Phase, ...] = ()
