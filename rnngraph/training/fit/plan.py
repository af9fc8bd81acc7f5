"""Checks the arguments of ``Trainer.fit``, and finds the position at which the fit starts or resumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...batching.batches import Batches, Layout
from ...batching.examples import as_array
from ...batching.input_axes import ProgramInputs, layout_of, lengths_placeholder, without_training
from ...batching.sources import BatchSource, Iterated, Reader, are_batches, are_examples, source_of
from ...declare.tensor import Tensor
from ...program.example_inputs import example_inputs
from ...program.program import Program
from ...storage.atomic_file import as_path
from ...support.api_guard import taking
from ...support.arguments import flag, is_number, one_of, whole_number
from ...support.errors import ArgumentError, DtypeError, FileError, NameLookupError, ShapeError, Where, shown
from ..optimization.optimizers import optimizer_text
from ..optimization.schedules import plateau_of
from ..ranks.ranks import Ranks
from ..steps.stepper import Stepper
from ..steps.train_state import TrainState
from .callback_list import callback_list
from .class_weights import label_weights
from .evaluation import Evaluation, checked_metrics
from .history import MODES, VALIDATION, History, default_monitor
from .loop import Checkpoints, EarlyStopping, EpochHook, Fit, Plan
from .position import FitSession, Position


def fit(
    stepper: Stepper,
    session: FitSession,
    save: Callable[[Any], None],
    hook: Callable[[Any], EpochHook],
    ranks: Ranks,
    where: Where | None,
    **options: Any,
) -> History:
    """Check the arguments of ``Trainer.fit`` in all processes, run the fit, and return its history.

    Args:
        stepper: The trainer's steps.
        session: State from which an interrupted fit resumes.
        save: Function that writes a checkpoint to a path.
        hook: Function that converts a user's callback to a function of an epoch's row.
        ranks: The processes that train together.
        where: The user's call.
        options: The arguments, by name.
    """

    def make() -> tuple[tuple[Plan, Position], Any]:
        plan, position = _planned(stepper, session, save, hook, ranks.is_first, where, options)
        return (plan, position), _values_equal_on_all_ranks(plan, position, stepper.state)

    problem = "rank {rank} fits {other}, rank 0 {first}; give all the same"
    with session.alone(where), ranks.uninterrupted():
        plan, position = ranks.together_alike(make, problem, where)
        history = Fit(stepper, plan, position, ranks).run()
    session.cursor = None
    return history


def _planned(
    stepper: Stepper,
    session: FitSession,
    save: Callable[[Any], None],
    hook: Callable[[Any], EpochHook],
    writes: bool,
    where: Where | None,
    options: Mapping[str, Any],
) -> tuple[Plan, Position]:
    """Check the arguments of a fit. Return (arguments, position at which the fit starts or resumes).

    Args:
        writes: True if this process writes checkpoints.
        options: The arguments, by name.
    """
    state, program = stepper.state, stepper.state.program
    source, measured = _sources(program, state.seed, where, options)
    warm_up = whole_number(options["warm_up"], "warm_up", 0)
    if warm_up and isinstance(source, Batches):
        source.check_windows(where)
        if warm_up >= source.longest:
            raise ArgumentError(
                f"warm_up={warm_up} leaves no step to train on; the longest sequence has {source.longest}; give fewer",
                where,
            )
    epochs, metrics = whole_number(options["epochs"], "epochs", 1), checked_metrics(options["metrics"], where)
    _check_single_pass(source, epochs, measured, bool(metrics), where)
    validates = measured is not source
    padding = session.padding_check(program, where)
    evaluation = Evaluation(program, measured, metrics, padding, where) if validates or metrics else None
    names = ["loss", *_columns(evaluation, validates)]
    monitor = _monitored_column("monitor", options["monitor"], names, where)
    plateau = plateau_of(state.optimizer.learning_rate)
    if plateau is not None:
        _monitored_column("monitor of the ReduceOnPlateau", plateau.monitor, names, where)
    path, every = _checkpoint(state, options, writes, where)
    callbacks = callback_list(options["callbacks"], where)
    weights = label_weights(program.parts.lowered.graph, options["class_weights"], source, where)
    plan = Plan(
        source=source,
        epochs=epochs,
        evaluation=evaluation,
        validates=validates,
        stopping=_early_stopping(monitor, validates, options),
        callbacks=tuple(hook(taking(item, "a callback", "trainer", "row", where=where)) for item in callbacks),
        checkpoints=Checkpoints(None if path is None else partial(save, path), every),
        warm_up=warm_up,
        label_weights=weights,
        progress=flag(options["progress"], "progress"),
        padding=padding,
        where=where,
    )
    data: dict[str, Any] = {"examples": source.count, "batch_size": source.batch_size}
    data |= {name: flag(options[name], name) for name in ("shuffle", "bucket")}
    data |= {"window": source.window, "warm_up": warm_up, "class_weights": list(weights) or None}
    if isinstance(source, Iterated):
        data |= {"examples": "batch by batch", "steps_per_epoch": source.steps_per_epoch}
    position = session.position = _position(stepper, session.position, data, flag(options["resume"], "resume"), where)
    if isinstance(source, Iterated):
        session.cursor = source.follow(position.first, position.begun, session.cursor)
    return plan, position


def _early_stopping(monitor: str, validates: bool, options: Mapping[str, Any]) -> EarlyStopping:
    patience, keep_best = options["patience"], options["keep_best"]
    return EarlyStopping(
        monitor,
        mode=one_of(options["mode"], "mode", MODES),
        patience=None if patience is None else whole_number(patience, "patience", 1),
        keep_best=(validates or patience is not None) if keep_best is None else flag(keep_best, "keep_best"),
    )


def _checkpoint(
    state: TrainState, options: Mapping[str, Any], writes: bool, where: Where | None
) -> tuple[Any, int | None]:
    """Return (path of the checkpoint file or None, number of updates between saves or None).

    Errors that saving would raise, for example for an unknown directory, are raised here, before training starts.
    """
    path, every = options["checkpoint"], options["checkpoint_every"]
    if every is not None and path is None:
        raise ArgumentError("checkpoint_every needs a file to save to; give checkpoint=", where)
    if path is not None:
        optimizer_text(state.optimizer)
        if writes:
            _check_path(path, where)
    return path, None if every is None else whole_number(every, "checkpoint_every", 1)


def _values_equal_on_all_ranks(plan: Plan, position: Position, state: TrainState) -> dict[str, Any]:
    """Return the options and counters that must be equal in all processes of a distributed run."""
    checkpoints = {"checkpoint_every": plan.checkpoints.every, "checkpoint": plan.checkpoints.save is not None}
    values = {**position.data, "epochs": plan.epochs, **vars(plan.stopping), **checkpoints}
    values |= {"callbacks": len(plan.callbacks), "updates": state.updates}
    return {**values, "learning_rate": state.learning_rate, "at": (position.epoch, position.batch, position.window)}


def _inputs(program: Program) -> ProgramInputs:
    return example_inputs(program.inference, program.evaluation, program.training)


def evaluate(
    program: Program,
    session: FitSession,
    where: Where | None,
    examples: Any,
    metrics: Any,
    lengths: Any,
    batch_size: Any,
) -> Any:
    """Return the means of a program's loss and metrics over examples, by name, as ``Trainer.evaluate`` documents."""
    inputs = _inputs(program)
    layout = without_training(layout_of(inputs), inputs)
    source = source_of(Reader(inputs, layout, lengths, where, {"shuffle": False}), examples, batch_size)
    padding = session.padding_check(program, where)
    return Evaluation(program, source, checked_metrics(metrics, where), padding, where).run()


def _sources(
    program: Program, seed: int, where: Where | None, options: Mapping[str, Any]
) -> tuple[BatchSource, BatchSource]:
    """Return (batches to train on, batches on which metrics are measured), which are the same without validation."""
    inputs, data, validation = _inputs(program), options["examples"], options["validation"]
    batch_size, per_epoch = whole_number(options["batch_size"], "batch_size", 1), options["steps_per_epoch"]
    layout = layout_of(inputs)
    order = {"shuffle": flag(options["shuffle"], "shuffle"), "bucket": flag(options["bucket"], "bucket")}
    reader = Reader(inputs, layout, options["lengths"], where, {**order, "seed": seed, "window": options["window"]})
    validation_reader = replace(
        reader,
        layout=without_training(layout, inputs),
        lengths=_lengths_placeholder(options["lengths"]),
        options={"shuffle": False},
    )
    if are_batches(data):
        if is_number(validation):
            raise ArgumentError(
                f"validation={shown(validation)} is a share of the examples, but they come in batches; give "
                "separate examples",
                where,
            )
        source = source_of(reader, data, batch_size)
        assert isinstance(source, Iterated)
        source.steps_per_epoch = None if per_epoch is None else whole_number(per_epoch, "steps_per_epoch", 1)
        return source, source if validation is None else _validation_source(
            validation_reader, validation, batch_size, where
        )
    if per_epoch is not None:
        raise ArgumentError(
            "steps_per_epoch needs an iterable of batches, but the examples are arrays or lists, and an epoch is a "
            "pass over all of them; leave it out",
            where,
        )
    examples = reader.named(data)
    # If ``lengths`` is an array, the next line adds it to the examples.
    name = lengths_placeholder(inputs, layout, options["lengths"], examples, where)
    reader = replace(reader, lengths=_lengths_placeholder(options["lengths"]))
    if is_number(validation):
        examples, last = _split_for_validation(examples, layout.batch_axis, validation, where)
        return reader.batches(examples, batch_size), validation_reader.batches(last, batch_size)
    source = reader.batches(examples, batch_size)
    if validation is None:
        return source, source
    wholes = {name: value for name, value in examples.items() if layout.batch_axis.get(name) is None}
    validation_reader = replace(validation_reader, wholes=wholes)
    if name in examples and not are_batches(validation) and are_examples(validation):
        _check_lengths(name, validation_reader.named(validation), layout, where)
    return source, _validation_source(validation_reader, validation, batch_size, where)


def _validation_source(reader: Reader, validation: Any, batch_size: Any, where: Where | None) -> BatchSource:
    """Return the batches of the argument ``validation``. Raise ``DtypeError`` unless it contains examples."""
    if not are_examples(validation):
        raise DtypeError(
            f"validation= must be examples, or a share between 0 and 1, not of type {type(validation).__name__}",
            where,
        )
    return source_of(reader, validation, batch_size)


def _check_lengths(name: str, validation: Mapping[str, Any], layout: Layout, where: Where | None) -> None:
    """Raise ``ArgumentError`` if validation arrays come without lengths, although the examples have them.

    Args:
        name: Name of the placeholder of lengths.
        validation: Validation examples, by input.
        layout: Axes of the inputs.
        where: The user's call.
    """
    sequences = [value for key, value in validation.items() if layout.time_axis.get(key) is not None]
    if name not in validation and not any(isinstance(value, list | tuple) for value in sequences):
        raise ArgumentError(
            f"the validation needs lengths, like the examples; give validation= as a mapping with {name}, or "
            "its sequences as lists",
            where,
        )


def _lengths_placeholder(lengths: Any) -> Any:
    """Return ``lengths`` if it names a placeholder; None for an array, which belongs to the examples."""
    return lengths if isinstance(lengths, str | Tensor) else None


def _check_single_pass(
    source: BatchSource, epochs: int, measured: BatchSource, metrics: bool, where: Where | None
) -> None:
    """Raise ``ArgumentError`` if the fit would read an iterator of batches twice, although it cannot restart."""
    remedy = "give an iterable that can begin again, such as a list of batches or an object whose __iter__ makes one"
    if isinstance(source, Iterated) and not source.cursor.restarts:
        if source.steps_per_epoch is None and epochs > 1:
            raise ArgumentError(
                f"the iterator of batches can be read only once, but epochs={epochs}; {remedy}, or steps_per_epoch",
                where,
            )
        if metrics and measured is source:
            raise ArgumentError(
                "metrics without a validation are measured on the examples, and the iterator of batches can be read "
                f"only once; {remedy}, or validation=",
                where,
            )
    if measured is not source and isinstance(measured, Iterated) and not measured.cursor.restarts and epochs > 1:
        raise ArgumentError(f"the validation is an iterator, which can be read only once; {remedy}", where)


def _monitored_column(what: str, column: Any, names: Sequence[str], where: Where | None) -> str:
    """Return the history column to monitor: ``column``, or the default for None.

    Raise ``NameLookupError`` if it is not among the measured columns ``names``.
    """
    name = default_monitor(names) if column is None else column
    if not isinstance(name, str) or name not in names:
        raise NameLookupError(f"{what}={shown(column)} is not measured; there are {', '.join(names)}", where)
    return name


def _position(
    stepper: Stepper, known: Position | None, data: dict[str, Any], resume: bool, where: Where | None
) -> Position:
    """Return the position of an interrupted fit to resume, or that of a new fit.

    Raise ``ArgumentError`` if the fit to resume had other ``data``.

    Args:
        stepper: The trainer's steps.
        known: Position of the last fit; None for none.
        data: Options and counts of examples of this call.
        resume: False to begin a new fit in any case.
        where: The user's call.
    """
    if known is None or known.done or not known.begun or not resume:
        stepper.reset()
        return Position(stepper.state.epochs, stepper.state.epochs, data)
    differs = [
        f"{name} {known.data.get(name)} then, {value} now"
        for name, value in data.items()
        if known.data.get(name) != value
    ]
    if differs:
        raise ArgumentError(
            f"a fit was interrupted in epoch {known.epoch + 1} and can't resume with other data "
            f"({'; '.join(differs)}); give the same data, or pass resume=False to begin a new fit",
            where,
        )
    return known


def _columns(evaluation: Evaluation | None, validates: bool) -> list[str]:
    """Return the history columns that an evaluation adds."""
    if evaluation is None:
        return []
    return [VALIDATION + name for name in evaluation.names] if validates else list(evaluation.names[1:])


def _check_path(path: str | os.PathLike[str], where: Where | None) -> None:
    """Raise ``FileError`` if a file cannot be written because its path is a folder, or its folder does not exist."""
    as_path(path)
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        raise FileError(f"can't write {os.fspath(path)}: give the path of a file, in a directory that exists", where)


def _split_for_validation(
    examples: Mapping[str, Any], batch_axis: Mapping[str, int | None], share: float, where: Where | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split examples: the first ones to train on, and the last ``share``, rounded, to validate on."""
    each = {
        name: _as_examples(name, value, where) for name, value in examples.items() if batch_axis.get(name) is not None
    }
    counts = [len(value) for value in each.values()]
    validation_count = round(counts[0] * share) if counts and 0 < share < 1 else 0
    if not counts or not 0 < validation_count < counts[0]:
        raise ArgumentError(
            f"validation={shown(share)} of {counts[0] if counts else 0} examples leaves none to train or to validate "
            "on; give a share between 0 and 1, or separate examples",
            where,
        )
    first = {name: value[: len(value) - validation_count] for name, value in each.items()}
    last = {name: value[len(value) - validation_count :] for name, value in each.items()}
    return {**examples, **first}, {**examples, **last}


def _as_examples(name: str, value: Any, where: Where | None) -> Any:
    """Convert an input's examples to a list, or to an array whose first axis counts the examples."""
    value = value if isinstance(value, list | tuple) else as_array(f"the value for {name}", value, where)
    if isinstance(value, np.ndarray) and not value.ndim:
        raise ShapeError(
            f"the examples of {name} are a single number; give an array whose first axis numbers them, or a list",
            where,
        )
    return value
