"""Options of the compiler in one record. The code that compiles takes this record rather than the program."""

from __future__ import annotations

import os
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...codegen.machine.target import Target, target_of, with_tiles
from ...ir.attributes import MAX_UNROLLED
from ...ir.graph import Graph
from ...passes.affine.chunking import CHUNK_DTYPES, Chunking
from ...passes.lowering.lowered import Lowered
from ...passes.pipeline import SPLIT, forbidden, run
from ...support.arguments import one_of, whole_number
from ...support.errors import ArgumentError, DtypeError, GraphError, Where, shown
from ...support.records import dataclass
from .notices import Notices
from .object_cache import Cache, cache_of
from .weight_options import FLOAT32, WeightRules, check_weights, reduction
from .worker_pool import ThreadCount

if TYPE_CHECKING:
    from ...passes.affine.recurrences import Recurrence
    from ...passes.quantization.reduced_weights import ReducedWeights

MIN_CHUNK = 2
"""Minimum number of steps of a chunk."""


@dataclass(frozen=True)
class CompileOptions:
    """Validated options of ``compile`` and ``load``, for the compiler.

    Attributes:
        unroll: Steps per iteration of a loop; None for 1; ``"full"`` to unroll loops whose lengths are ints.
        weights: Number formats of weights in inference.
        activations: Number format of activations in inference.
        sparse: True if inference skips zero blocks of weights.
        cache: Cache of compiled code on disk.
        threads: Number of threads per call, which users may change at any time.
        notices: Listeners for compilation.
        parameters: Names of all parameters, for the patterns of ``weights``.
        direct_calls: True if CPython may call machine code directly.
        chunked: How training runs affine recurrences in chunks; None for step by step.
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
    chunked: Chunking | None = None

    @property
    def reduced(self) -> ReducedWeights | None:
        """Pass that quantizes weights for inference; None if all weights stay float32."""
        return reduction(self.weights, self.activations, self.target, self.parameters)

    def plain(self) -> ProgramOptions:
        """Return options for another program that only keep the target, threads, cache and listeners."""
        cache = self.cache or False
        return ProgramOptions(self.target.name, self.threads.count, cache=cache, notices=self.notices)


@dataclass(frozen=True)
class ProgramOptions:
    """Options of ``compile`` and ``load`` before validation.

    Attributes are as in ``CompileOptions``, but the target is a name, and the cache may be a directory.
    """

    target: str | None = None
    threads: int = 1
    unroll: int | str | None = None
    cache: bool | str | os.PathLike[str] | Cache = True
    weights: WeightRules = FLOAT32
    activations: str = "float32"
    sparse: bool = False
    direct_calls: bool = True
    chunked: Chunking | None = None
    notices: Notices | None = None

    def checked(self, lowered: Lowered, where: Where | None) -> CompileOptions:
        """Return the validated options. Raise an ``RnnGraphError`` for invalid ones."""
        is_full = isinstance(self.unroll, str) and self.unroll == "full"
        unroll = self.unroll if is_full else steps_per_turn(self.unroll)
        workers = ThreadCount()
        workers.set(whole_number(self.threads, "threads", 1))
        cache = cache_of(self.cache, where)
        if cache is not None:
            cache.share_host_facts()
        target = target_of(self.target)
        if self.chunked is not None and self.chunked.dtype == "bfloat16":
            target = with_tiles(target)
        check_weights(self.weights, self.activations, lowered)
        if is_full:
            from ...passes.unroll import check_lengths  # rarely needed

            check_lengths(lowered.graph)
        return CompileOptions(
            target=target,
            unroll=unroll,
            weights=self.weights,
            activations=self.activations,
            sparse=self.sparse,
            cache=cache,
            threads=workers,
            notices=self.notices or Notices(),
            parameters=tuple(lowered.slots.values()),
            direct_calls=self.direct_calls,
            chunked=self.chunked,
        )


def steps_per_turn(unroll: Any) -> int | None:
    """Return the validated ``unroll`` as steps per iteration of a loop; None stays None. Callers handle ``"full"``."""
    if unroll is None:
        return None
    if not isinstance(unroll, int | np.integer) or isinstance(unroll, bool) or unroll < 1:
        raise ArgumentError(f'unroll={shown(unroll)} must be a positive int, None or "full"')
    if unroll > MAX_UNROLLED:
        raise ArgumentError(f"unroll={unroll} is above the maximum of {MAX_UNROLLED} steps per iteration; give fewer")
    return int(unroll)


def checked_chunking(chunked: Any, dtype: Any, lowered: Graph, where: Where | None) -> Chunking | None:
    """Return the validated ``chunked`` and ``chunked_dtype`` of ``compile``; None for step by step.

    Raises:
        ArgumentError: ``dtype`` is not a dtype of factors or has no effect, or ``chunked`` is below ``MIN_CHUNK``.
        DtypeError: ``dtype`` is not float32, and the state of an affine recurrence is not float32.
        GraphError: No recurrence is affine.
    """
    one_of(dtype, "chunked_dtype", CHUNK_DTYPES)
    if chunked is None:
        if dtype != "float32":
            raise ArgumentError(
                f'chunked_dtype="{dtype}" needs chunked=; give the steps of a chunk, such as chunked=64'
            )
        return None
    steps = whole_number(chunked, "chunked", MIN_CHUNK)
    recurrences = declared_recurrences(lowered)
    affine = [recurrence for recurrence in recurrences if recurrence.is_affine]
    if not affine:
        reasons = "; ".join(map(str, recurrences)) or "there is no recurrence"
        raise GraphError(f"chunked={steps} needs an affine recurrence, and the net has none: {reasons}", where)
    wide = next((item.carry for item in affine if item.carry.dtype != "float32"), None)
    if dtype != "float32" and wide is not None:
        raise DtypeError(
            f'chunked_dtype="{dtype}" needs states of float32, and {wide["label"]} is {wide.dtype}; declare the state '
            "as float32, or leave chunked_dtype out",
            wide.where or where,
        )
    return Chunking(steps, dtype)


def declared_recurrences(lowered: Graph) -> list[Recurrence]:
    """Return the recurrences of training, as chunks of steps would run them."""
    from ...passes.affine.recurrences import recurrences_for_chunks  # rarely needed

    return [*recurrences_for_chunks(run(lowered, SPLIT["training"], forbidden("training")))]
