"""From the arguments of ``Trainer.fit`` to a plan, and to the position that it begins or goes on from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..declare.arguments import flag
from ..errors import ArgumentError, DtypeError, FileError, NameLookupError, ShapeError, Where, shown
from .arguments import one_of, whole_number
from .batches import Batches
from .evaluation import Evaluation
from .examples import as_array
from .files import as_path
from .fitting import Fit, Plan, Position
from .history import MODES, VALIDATION, History
from .layouts import layout_of, lengths_placeholder
from .schedules import is_number

if TYPE_CHECKING:
    from .trainer import Trainer


def fit(trainer: Trainer, where: Where | None, **options: Any) -> History:
    """``Trainer.fit``: checks all arguments before anything runs."""
    program = trainer.program
    examples = program.feeds_by_name(options["examples"], {}, where)
    layout = layout_of(program)
    lengths = lengths_placeholder(program, options["lengths"], examples, where)
    validation = options["validation"]
    if is_number(validation):
        examples, validation = _parted(examples, layout.batch_axis, validation, where)
    elif validation is not None:
        if not isinstance(validation, Mapping):
            raise DtypeError(f"validation={shown(validation)} must be examples, or a share between 0 and 1", where)
        validation = program.feeds_by_name(validation, {}, where)
    sizes = {"batch_size": options["batch_size"], "lengths": lengths, "where": where}
    batches = Batches(
        examples, layout, shuffle=flag(options["shuffle"], "shuffle"), seed=trainer.seed, window=options["window"],
        bucket=flag(options["bucket"], "bucket"), **sizes,
    )  # fmt: skip
    warm_up = whole_number(options["warm_up"], "warm_up", 0)
    if warm_up:
        batches.check_windows(where)
        if warm_up >= batches.longest:
            raise ArgumentError(
                f"warm_up={warm_up} leaves no step to train on; the longest sequence has {batches.longest}", where
            )
    measured = batches if validation is None else Batches(validation, layout, shuffle=False, **sizes)
    evaluation = None
    metrics = options["metrics"]
    if metrics is not None and not isinstance(metrics, Mapping):
        raise DtypeError(f"metrics must be a mapping from names to Tensors or functions, not {shown(metrics)}", where)
    if validation is not None or metrics:
        evaluation = Evaluation(program, measured, metrics or {}, where)
    monitor = options["monitor"]
    if monitor is None:
        monitor = "loss" if validation is None else f"{VALIDATION}loss"
    measured_names = ["loss", *_columns(evaluation, validation is not None)]
    if not isinstance(monitor, str) or monitor not in measured_names:
        raise NameLookupError(f"monitor={shown(monitor)} is not measured; there are {', '.join(measured_names)}", where)
    patience, every = options["patience"], options["checkpoint_every"]
    if every is not None and options["checkpoint"] is None:
        raise ArgumentError("checkpoint_every needs a file to save to; give checkpoint=", where)
    if options["checkpoint"] is not None:
        trainer.check_savable()
        _check_path(options["checkpoint"], where)
    callbacks = options["callbacks"]
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, str | bytes) or not all(map(callable, callbacks)):
        raise DtypeError(f"callbacks={shown(callbacks)} must be functions of (trainer, row), in a list", where)
    keep_best = options["keep_best"]
    plan = Plan(
        batches, whole_number(options["epochs"], "epochs", 1), evaluation, validation is not None,
        monitor, one_of(options["mode"], "mode", MODES),
        None if patience is None else whole_number(patience, "patience", 1),
        (validation is not None or patience is not None) if keep_best is None else flag(keep_best, "keep_best"),
        tuple(callbacks), options["checkpoint"],
        None if every is None else whole_number(every, "checkpoint_every", 1),
        warm_up, flag(options["progress"], "progress"), where,
    )  # fmt: skip
    data: dict[str, Any] = {
        "examples": batches.count,
        "batch_size": batches.batch_size,
        "shuffle": flag(options["shuffle"], "shuffle"),
    }
    data |= {"bucket": flag(options["bucket"], "bucket"), "window": batches.window, "warm_up": warm_up}
    trainer.position = _position(trainer, data, flag(options["resume"], "resume"), where)
    return Fit(trainer, plan, trainer.position).run()


def _position(trainer: Trainer, data: dict[str, Any], resume: bool, where: Where | None) -> Position:
    """Where an interrupted fit was, or a new beginning."""
    known = trainer.position
    if known is None or known.done or not known.begun or not resume:
        trainer.reset()
        return Position(trainer.epochs, trainer.epochs, data)
    differs = [f"{name} {known.data.get(name)} then, {value} now" for name, value in data.items()
               if known.data.get(name) != value]  # fmt: skip
    if differs:
        raise ArgumentError(
            f"a fit was interrupted in epoch {known.epoch + 1} and can't go on with other data "
            f"({'; '.join(differs)}); give it the same, or pass resume=False to begin another",
            where,
        )
    return known


def _columns(evaluation: Evaluation | None, validates: bool) -> list[str]:
    """What an evaluation adds to a row of the history."""
    if evaluation is None:
        return []
    return [VALIDATION + name for name in evaluation.names] if validates else list(evaluation.names[1:])


def _check_path(path: str | os.PathLike[str], where: Where | None) -> None:
    """Finds out now, and not after the first epoch, that there is no such place."""
    as_path(path)
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise FileError(f"can't write {os.fspath(path)}: give the path of a file, in a directory that exists", where)


def _parted(
    examples: Mapping[str, Any], batch_axis: Mapping[str, int | None], share: float, where: Where | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first examples to train on, the last ones to validate on."""
    each = {name: _counted(name, value, where) for name, value in examples.items() if batch_axis.get(name) is not None}
    counts = [len(value) for value in each.values()]
    apart = round(counts[0] * share) if counts else 0
    if not 0 < share < 1 or not 0 < apart < counts[0]:
        raise ArgumentError(
            f"validation={shown(share)} of {counts[0] if counts else 0} examples leaves none to train or to validate "
            "on; give a share between 0 and 1, or examples apart",
            where,
        )
    first = {name: value[: len(value) - apart] for name, value in each.items()}
    last = {name: value[len(value) - apart :] for name, value in each.items()}
    return {**examples, **first}, {**examples, **last}


def _counted(name: str, value: Any, where: Where | None) -> Any:
    """Examples that have a number, and can be cut."""
    value = value if isinstance(value, list | tuple) else as_array(f"what is given for {name}", value, where)
    if isinstance(value, np.ndarray) and not value.ndim:
        raise ShapeError(
            f"what is given for {name} has no examples that could be counted; give an array whose first axis numbers "
            "them, or a list",
            where,
        )
    return value
