"""Checks the arguments of a trainer, and makes its initial state."""

from __future__ import annotations

from typing import Any

from ..program.program import Program
from ..runtime.native.recomputation import checked_recompute
from ..support.arguments import flag, positive_or_none, whole_number
from ..support.errors import DtypeError, GraphError, Where, shown
from .optimization.optimizers import Adam, Optimizer, check_methods
from .optimization.pruning import Prune
from .ranks.ranks import Ranks
from .ranks.start import shards_of
from .steps.train_state import TrainState
from .trainable import trained_names


def checked_state(
    program: Any,
    ranks: Ranks,
    where: Where | None,
    optimizer: Any,
    only: Any,
    clip_norm: Any,
    clip_value: Any,
    accumulate: Any,
    skip_non_finite: Any,
    prune: Any,
    shards: Any,
    recompute: Any,
) -> TrainState:
    """Return the state of a new trainer."""
    if not isinstance(program, Program):
        raise DtypeError(f"a Trainer takes a Program of rg.compile, not {type(program).__name__}", where)
    if program.loss is None:
        raise GraphError("a Trainer needs a loss; give one to rg.compile", where)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise DtypeError(f"optimizer={shown(optimizer)} is no optimizer; give one such as rg.Adam(1e-3)", where)
    chosen = Adam() if optimizer is None else optimizer
    check_methods(chosen, where)
    norm, value = positive_or_none("clip_norm", clip_norm, where), positive_or_none("clip_value", clip_value, where)
    together = whole_number(accumulate, "accumulate", 1)
    trained = trained_names(program, only, where)
    skips = flag(skip_non_finite, "skip_non_finite")
    state = TrainState(program, chosen, trained, norm, value, together, where, skips)
    state.recompute = checked_recompute(recompute, where)
    if prune is not None and not isinstance(prune, Prune):
        raise DtypeError(f"prune={shown(prune)} is no rg.Prune; give one such as rg.Prune(0.1)", where)
    if prune is not None:
        state.prune = prune
        state.pruned = prune.names({name: program.parameters[name].shape for name in trained}, where)
    state.shards = shards_of(shards, ranks, where)
    return state
