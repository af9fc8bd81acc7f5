"""Options of a trainer: checks, and the initial state."""

from __future__ import annotations

from typing import Any

from ..program.program import Program
from ..runtime.native.recompute_option import checked_recompute
from ..support.arguments import flag, positive_or_none, whole_number
from ..support.errors import DtypeError, GraphError, Where, shown
from .optimization.optimizers import Adam, Optimizer, check_methods
from .optimization.pruning import Prune
from .ranks.ranks import Ranks
from .ranks.start import shards_of
from .steps.train_state import TrainerOptions, TrainState
from .trainable import trained_names


def checked_state(program: Any, options: TrainerOptions, ranks: Ranks, where: Where | None) -> TrainState:
    """Return the state of a new trainer, with all options validated."""
    optimizer, prune = options.optimizer, options.prune
    if not isinstance(program, Program):
        raise DtypeError(f"a Trainer takes a Program of rg.compile, not {type(program).__name__}", where)
    if program.loss is None:
        raise GraphError("a Trainer needs a loss; give one to rg.compile", where)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise DtypeError(f"optimizer={shown(optimizer)} is not an optimizer; give one such as rg.Adam(1e-3)", where)
    chosen = Adam() if optimizer is None else optimizer
    check_methods(chosen, where)
    clip_norm = positive_or_none("clip_norm", options.clip_norm, where)
    clip_value = positive_or_none("clip_value", options.clip_value, where)
    accumulate = whole_number(options.accumulate, "accumulate", 1)
    trained = trained_names(program, options.only, where)
    skips = flag(options.skip_non_finite, "skip_non_finite")
    recompute = checked_recompute(options.recompute, where)
    checked = TrainerOptions(
        chosen, trained, clip_norm, clip_value, accumulate, skips, shards=options.shards, recompute=recompute
    )
    state = TrainState(program, checked, where)
    if prune is not None and not isinstance(prune, Prune):
        raise DtypeError(f"prune={shown(prune)} is not an rg.Prune; give one such as rg.Prune(0.1)", where)
    if prune is not None:
        state.prune = prune
        state.pruned = prune.names({name: program.parameters[name].shape for name in trained}, where)
    state.shards = shards_of(options.shards, ranks, where)
    return state
