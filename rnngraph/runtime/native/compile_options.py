"""What a program asks of the compiler: one record, which is handed to all that compiles in place of the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...codegen.machine.target import Target
from ...ir.attributes import MOST_UNROLLED
from ...ir.graph import Graph
from ...passes.affine.recurrences import Recurrence, recurrences_in
from ...passes.pipeline import SPLIT, forbidden, run
from ...passes.quantization.reduced_weights import ReducedWeights
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, GraphError, Where, shown
from .notices import Notices
from .object_cache import Cache
from .weight_options import FLOAT32, WeightRules, reduction
from .worker_pool import ThreadCount

MIN_CHUNK = 2
"""Steps of a chunk, at least."""


@dataclass(frozen=True)
class CompileOptions:
    """Options of ``compile`` and ``load``, checked.

    unroll: steps per turn of a loop, or ``"full"``. weights, activations: kinds in which inference multiplies. sparse:
    whether inference leaves out blocks of weights that are zero. cache: of code that earlier processes compiled.
    threads: how many a call may use, which users change at any time. notices: told where code is compiled. parameters:
    names of all parameters, which patterns of ``weights`` match. direct_calls: whether CPython may call machine code.
    chunked: steps of a chunk of an affine recurrence in training; None: by steps.
    """

    target: Target
    unroll: int | str | None = None
    weights: WeightRules = FLOAT32
    activations: str = "float32"
    sparse: bool = False
    cache: Cache | None = None
    threads: ThreadCount = field(default_factory=ThreadCount)
    notices: Notices = field(default_factory=Notices)
    parameters: tuple[str, ...] = ()
    direct_calls: bool = True
    chunked: int | None = None

    @property
    def reduced(self) -> ReducedWeights | None:
        """The pass that makes weights narrow for inference; None where they stay as they are."""
        return reduction(self.weights, self.activations, self.target, self.parameters)


def steps_per_turn(unroll: Any) -> int | None:
    """Return a checked ``unroll`` that is not ``"full"``."""
    if unroll is None:
        return None
    if not isinstance(unroll, int | np.integer) or isinstance(unroll, bool) or unroll < 1:
        raise ArgumentError(f'unroll={shown(unroll)} must be a positive int, None or "full"')
    if unroll > MOST_UNROLLED:
        raise ArgumentError(f"unroll={unroll} is more than the {MOST_UNROLLED} steps that a turn may have")
    return int(unroll)


def checked_chunked(value: Any, lowered: Graph, where: Where | None) -> int | None:
    """Return a checked ``chunked``. Raises ``GraphError`` where no recurrence is affine."""
    if value is None:
        return None
    steps = whole_number(value, "chunked", MIN_CHUNK)
    recurrences = declared_recurrences(lowered)
    if not any(found.is_affine for found in recurrences):
        reasons = "; ".join(map(str, recurrences)) or "there is no recurrence"
        raise GraphError(f"chunked={steps} needs an affine recurrence, and the net has none: {reasons}", where)
    return steps


def declared_recurrences(lowered: Graph) -> list[Recurrence]:
    """Return what training carries from step to step, before any pass changes how."""
    return [*recurrences_in(run(lowered, SPLIT["training"], forbidden("training")))]
