"""Start of a training over processes: all get the same program and values."""

from __future__ import annotations

from ...ir.text.fingerprint import fingerprint
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, DtypeError, RnnGraphError, Where
from ..optimization.optimizers import Optimizer, optimizer_text
from ..optimization.pruning import prune_text
from ..steps.stepper import Stepper
from ..steps.train_state import TrainState
from .ranks import Ranks
from .sharded_stepper import ShardedStepper


def shards_of(shards: int | None, ranks: Ranks, where: Where | None) -> int | None:
    """Return the number of shards of a batch, by default one per process; None if batches are not split."""
    if shards is None:
        return ranks.size if ranks.size > 1 else None
    count = whole_number(shards, "shards", 1)
    if count < ranks.size:
        raise ArgumentError(
            f"shards={count} leaves some of {ranks.size} processes without any; give at least as many as processes",
            where,
        )
    return count


def stepper_of(state: TrainState, ranks: Ranks, where: Where | None) -> Stepper:
    """Return the object that runs a trainer's steps, in shards if requested. Raise an error if processes differ.

    Parameters and the state of seeds become those of rank 0.
    """
    if state.shards is None:
        return Stepper(state)
    ranks.interrupt = state.interrupt
    with ranks.raise_together():
        stepper = ShardedStepper(state, ranks, state.shards, where)
    if ranks.size > 1:
        _check(state, ranks, where)
        take_parameters(state, ranks)
        seeds = state.program.parts.seeds
        seeds.state, state.seed = ranks.agreed(lambda: (seeds.state, state.seed))
    return stepper


def take_changes(state: TrainState, ranks: Ranks, before: Optimizer) -> None:
    """Copy rank 0's parameters and optimizer, which its callbacks may have changed, to all ranks."""
    if ranks.size == 1:
        return

    take_parameters(state, ranks)
    try:
        optimizer = ranks.agreed(lambda: None if state.optimizer is before else state.optimizer)
    except RnnGraphError:
        raise
    except Exception as error:  # errors of the communicator, before anything is sent
        raise DtypeError(
            f"the optimizer that a callback set can't be sent to other processes ({error}); set learning_rate to a "
            "number, a schedule such as rg.CosineDecay, or a function defined in a module",
            state.where,
        ) from error
    if optimizer is not None:
        state.optimizer = optimizer


def take_parameters(state: TrainState, ranks: Ranks) -> None:
    """Copy rank 0's parameters to all ranks."""
    parameters = state.program.parameters
    with ranks.raise_together():
        shared = {name: array.copy() for name, array in parameters.items()}
    ranks.share([*shared.values()])
    parameters.load(shared)


def _text(optimizer: Optimizer) -> str:
    """Return an optimizer as text, by which those of different ranks are compared."""
    try:
        return str(optimizer_text(optimizer))
    except ArgumentError:
        return type(optimizer).__qualname__


def _check(state: TrainState, ranks: Ranks, where: Where | None) -> None:
    """Raise ``ArgumentError`` on all ranks if their programs, or options that change results, differ."""
    program = state.program
    for value, what, remedy in (
        (state.shards, "shards", "give all the same"),
        (str(program.target), "the target", 'give all processes the same target=, such as "x86-64-v3"'),
        (fingerprint(program.training.compiled.graph), "the program", "run one script on all processes"),
        (tuple(state.trained), "only", "give all the same"),
        (
            (
                _text(state.optimizer),
                state.clip_norm,
                state.clip_value,
                state.accumulate,
                state.skip_non_finite,
                prune_text(state.prune),
            ),
            "the trainer's options",
            "give all the same",
        ),
    ):
        problem = f"{what} of rank {{rank}} differs from that of rank 0; {remedy}"
        ranks.check_same(value, problem, where)
