"""Trainer: a loss, its gradients, clipping and the optimizer's update as one native call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never, overload

import numpy as np
from numpy.typing import ArrayLike

from ..batching.sources import Examples
from ..ir.graph import Graph
from ..passes.lowering.lowered import SHOWN
from ..program.program import Program, loads
from ..runtime.calls.results import Result
from ..runtime.native.recompute_option import AUTO, RecomputeOption
from ..runtime.native.stages import stage_text
from ..storage.checkpoint_file import packed, unpacked
from ..support.api_guard import api, no_more
from ..support.arguments import flag
from ..support.attribute_hints import OF_TRAINERS
from ..support.display.html import folded, headed, table
from ..support.errors import ArgumentError, DtypeError, FileError, RnnGraphError, Where, shown, user_line
from ..support.forks import WAITING, give_way
from ..support.stage_text import StageText
from .checkpoint import KIND, Checkpoint, contents, save
from .fit.evaluation import Metric
from .fit.history import History
from .fit.plan import evaluate, fit
from .fit.position import FitSession
from .optimization.optimizers import Optimizer
from .optimization.pruning import Prune
from .options import checked_state
from .ranks.ranks import Ranks
from .ranks.start import stepper_of
from .state_view import StateView
from .steps.stepper import StepForm
from .steps.train_state import TrainerOptions

if TYPE_CHECKING:
    from ..inspection.profile.profile import Profile

Callback = Callable[["Trainer", dict[str, float]], Any]


PICKLED = "pickled trainer"


@api
def loads_trainer(data: bytes, cache: bool | str | os.PathLike[str] | None = None) -> Trainer:
    """Unpickle a trainer with its own program. Nothing in the bytes is executed.

    Args:
        data: The bytes.
        cache: As for ``compile``. None: the setting of the pickled program.

    Raises:
        FileError: ``data`` is damaged, of another version, or no pickled trainer.
    """
    where = user_line()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DtypeError(f"a pickled trainer is bytes, not {type(data).__name__}; unpickle a Trainer", where)
    try:
        parts, _ = unpacked(bytes(data), PICKLED, "a pickled trainer")
        program = loads(parts["program"].tobytes(), cache)
        checkpoint = Checkpoint(parts["checkpoint"].tobytes(), program, where)
        return Trainer._restored(checkpoint, program, "a pickled trainer", where)
    except RnnGraphError:
        raise
    except Exception as error:  # for undamaged bytes that this library did not write
        raise FileError(f"a pickled trainer can't be read: {type(error).__name__}; pickle it again", where) from error


@api
class Trainer(StateView):
    """Trains a program's parameters. Its graphs and live streams use the new values immediately.

    If the loss or update of a step is not finite, ``step`` returns the loss and changes nothing. With
    ``skip_non_finite=False`` the update is applied, as in TensorFlow 1.

    Args:
        program: Program with a loss.
        optimizer: ``Adam(1e-3)`` by default.
        clip_norm: Maximum norm of all gradients together (Pascanu et al. 2013).
        only: Names of the parameters to train, or patterns such as ``"rnn/*"``; None: all trainable ones.
        clip_value: Maximum magnitude of each element of a gradient, applied before the norm.
        accumulate: Steps whose gradients are averaged for one update.
        prune: Schedule of pruning.
        comm: mpi4py communicator of processes that train together, each with this same call and the same batches.
        shards: Parts of each batch whose gradients are added in a fixed order, by default one for each process. Results
            depend on ``shards``, and not on the number of processes. The loss must then be a sum over rows, divided by
            a value that depends only on feeds.
        recompute: As for ``program.training.gradients``: steps of a sequence to compute again to save memory.

    Raises:
        GraphError: ``shards`` is not None, but the loss is not such a sum.
    """

    _instead, _program = OF_TRAINERS, "trainer.program"

    def __init__(
        self,
        program: Program,
        optimizer: Optimizer | None = None,
        clip_norm: float | None = None,
        only: str | Sequence[str] | None = None,
        *,
        clip_value: float | None = None,
        accumulate: int = 1,
        skip_non_finite: bool = True,
        prune: Prune | None = None,
        comm: Any = None,
        shards: int | None = None,
        recompute: RecomputeOption = AUTO,
    ) -> None:
        where = user_line()
        self._ranks, self._session = comm if isinstance(comm, Ranks) else Ranks(comm, where), FitSession()
        options = TrainerOptions(
            optimizer, only, clip_norm, clip_value, accumulate, skip_non_finite, prune, shards, recompute
        )
        with self._ranks.raise_together():
            self.state = checked_state(program, options, self._ranks, where)
        self._stepper = stepper_of(self.state, self._ranks, where)

    # Steps ---------------------------------------------------------------------------------------

    @overload
    def step(
        self,
        feeds: Mapping[Any, Any] | ArrayLike | None = None,
        /,
        *excess: Never,
        carry: bool = False,
        seed: int | None = None,
        fetch: None = None,
        **named: Any,
    ) -> float: ...
    @overload
    def step(
        self,
        feeds: Mapping[Any, Any] | ArrayLike | None = None,
        /,
        *excess: Never,
        fetch: Mapping[str, Any],
        carry: bool = False,
        seed: int | None = None,
        **named: Any,
    ) -> tuple[float, dict[str, Any]]: ...
    def step(
        self,
        feeds: Mapping[Any, Any] | ArrayLike | None = None,
        /,
        *excess: Never,
        carry: bool = False,
        seed: int | None = None,
        fetch: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> Any:
        """Train on one batch, and return the loss before the update.

        Args:
            feeds: As in ``program.training``.
            carry: Start from the final states of the previous step, to which no gradient passes. The first step starts
                from the declared states.
            seed: Seed of masks; None: the next of the program's generator.
            fetch: Mapping of (nests of) declared Tensors, or paths of outputs. The step then returns (loss, fetched
                arrays in this structure). Fetched values are those before the update.
        """
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self.program.parts.names.with_input(feeds, named, user_line())
        plain = not excess and type(carry) is bool and (seed is None or (type(seed) is int and 0 <= seed < 2**63))
        stepper = self._stepper
        if WAITING:
            give_way()
        with stepper.lock:
            if plain and self._ranks.size == 1:
                fetched = None if fetch is None else stepper.fetches.of(fetch)
                if (result := stepper.attempt(feeds, named, seed, carry, fetched)) is not None:
                    return result
            where = user_line()
            with self._ranks.uninterrupted():
                with self._ranks.raise_together():
                    no_more("step", excess, self.program.training.input_names())
                    fetched = None if fetch is None else stepper.fetches.of(fetch)
                    arrays, carried = self.program.training.gather(feeds, named, where), flag(carry, "carry")
                fed = feeds if plain else ()
                return stepper.step(arrays, StepForm(where, seed, carried, fetch=fetched), fed, named)

    @api
    def profile(
        self, feeds: Mapping[Any, Any] | None = None, /, seconds: float = 1.0, *, seed: int | None = None, **named: Any
    ) -> Profile:
        """Measure the time of steps with these feeds, by layer, kernel, pass and line. The steps change no state.

        Args:
            feeds: As for ``step``.
            seconds: Seconds to run steps, half of them without counters.
            seed: Seed of masks; None: 0.

        Raises:
            ArgumentError: The trainer has shards.
            GraphError: The code is for another processor, or this processor has no cycle counter.
        """
        from .steps.profiled_step import profile_step

        where = user_line()
        return profile_step(self._stepper, self.program.training.gather(feeds, named, where), seed, seconds, where)

    @api
    def flush(self) -> None:
        """Update with the gradients accumulated so far, if any."""
        self._stepper.flush()

    # Fitting -------------------------------------------------------------------------------------

    @api
    def fit(
        self,
        examples: Examples,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        lengths: Any = None,
        validation: Examples | float | None = None,
        metrics: Mapping[str, Metric] | None = None,
        window: int | None = None,
        warm_up: int = 0,
        shuffle: bool = True,
        bucket: bool = True,
        patience: int | None = None,
        monitor: str | None = None,
        mode: str = "min",
        keep_best: bool | None = None,
        callbacks: Sequence[Callback] = (),
        class_weights: Mapping[int, float] | Literal["balanced"] | None = None,
        steps_per_epoch: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        resume: bool = True,
        progress: bool = True,
    ) -> History:
        """Train for ``epochs`` passes over the examples, and return their history, which has ``plot``.

        Args:
            examples: {placeholder or its name: array whose first axis is examples, or list of arrays of different
                lengths}. Feeds without a batch axis are fed whole. Or a tuple (x, y) for a net with one input and one
                label. Or an iterable of batches in these forms.
            batch_size: Examples of a step, which is an update unless gradients accumulate.
            epochs: Number of passes.
            lengths: Placeholder for each row's number of steps, whose feed is computed; or an array of these numbers.
                By default the placeholder that is used as ``sequence_length``, if there is one.
            validation: Examples, or the share of examples (the last ones), on which loss and metrics are measured
                without dropout.
            metrics: {name: metric}. A metric is a Tensor, or a function of (result, feeds) that returns a number, or
                one for each row. Without validation, metrics are measured on the examples.
            window: Steps of truncated backpropagation through time; a batch's windows carry states.
            warm_up: First steps of each sequence, which run forward only.
            shuffle: Draw a new order for each epoch, by the program's seed.
            bucket: Make batches of examples of similar lengths.
            patience: Epochs without a better ``monitor`` before the fit stops.
            monitor: Column of the history; by default the loss, of validation if there is one.
            mode: ``min``, or ``max`` if more is better.
            keep_best: Restore the parameters of the best epoch at the end; by default if there is validation or
                patience.
            callbacks: Functions of (trainer, row of the history), called after each epoch. True stops the fit.
            class_weights: {label: weight} in the loss, but not in validation; 1 by default. ``"balanced"``: inversely
                proportional to the labels' frequencies.
            steps_per_epoch: Batches of an epoch of an iterable; by default all of them.
            checkpoint: File to save after each epoch, and after every ``checkpoint_every`` updates.
            checkpoint_every: Updates between saves; by default only epochs are saved.
            resume: Continue a fit that was interrupted, here or before ``load``; ``epochs`` counts from its beginning.
            progress: Show progress on standard error.

        Raises:
            NonFiniteError: A loss or gradient is not finite. Its update has no effect. With ``skip_non_finite=False``,
                no error is raised.
        """
        options = dict(locals())
        del options["self"]
        return fit(
            self._stepper,
            self._session,
            self.save,
            lambda callback: partial(callback, self),
            self._ranks,
            user_line(),
            **options,
        )

    @api
    def evaluate(
        self,
        examples: Examples,
        *,
        metrics: Mapping[str, Metric] | None = None,
        lengths: Any = None,
        batch_size: int = 32,
    ) -> dict[str, float]:
        """Return {name: value} of the loss and metrics without dropout, as ``fit`` measures validation.

        Arguments are as for ``fit``.
        """
        return Result(evaluate(self.program, self._session, user_line(), examples, metrics, lengths, batch_size))

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, optimizer, generator of seeds and position to a file, atomically, on rank 0 only.

        Args:
            path: File.

        Raises:
            ArgumentError: The optimizer or schedule is the user's code.
        """
        if not self._ranks.is_first:
            return
        with self._stepper.lock:
            save(self.state, self._session.position, path)

    @classmethod
    @api
    def load(cls, path: str | os.PathLike[str], program: Program, *, comm: Any = None) -> Trainer:
        """Load the trainer that ``save`` wrote, and its program's parameters. Training continues bit for bit.

        If parameters match but the loss differs, except for dropout, there is a warning.

        Args:
            path: File.
            program: Program of the same declaration.
            comm: As for ``Trainer``; may have another number of processes.

        Raises:
            FileError: The file is damaged, not a trainer's, or of another program. Nothing changes then.
        """
        where, ranks = user_line(), Ranks(comm)

        def read() -> tuple[Checkpoint, int]:
            if not isinstance(program, Program):
                raise DtypeError(f"load needs the program to train, not {type(program).__name__}", where)
            checkpoint = Checkpoint(path, program, where)
            return checkpoint, checkpoint.digest() if ranks.size > 1 else 0

        problem = "rank {rank} loads another checkpoint than rank 0; give all processes the same file"
        checkpoint = ranks.together_alike(read, problem, where)
        return cls._restored(checkpoint, program, os.fspath(path), where, ranks)

    @classmethod
    def _restored(
        cls, checkpoint: Checkpoint, program: Program, source: str, where: Where | None, comm: Any = None
    ) -> Trainer:
        try:
            optimizer = checkpoint.optimizer()
        except ArgumentError as error:
            raise FileError(f"can't load {source}: {error.what}", where) from None
        try:
            trainer = cls(program, optimizer, comm=comm, **checkpoint.options())
        except ArgumentError as error:
            raise FileError(
                f"can't load {source}: {error.what.partition(';')[0]}; load it with the program that it was saved with",
                where,
            ) from None
        trainer._session.position = checkpoint.restore(trainer.state)
        return trainer

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the trainer as its program and a checkpoint."""
        with self._stepper.lock:
            _, (program, *cache) = self.program.__reduce__()
            checkpoint = b"".join(packed(KIND, *contents(self.state, self._session.position), PICKLED))
        parts = {"program": program, "checkpoint": checkpoint}
        arrays = {name: np.frombuffer(data, np.uint8) for name, data in parts.items()}
        return loads_trainer, (b"".join(packed(PICKLED, arrays, {}, PICKLED)), *cache)

    def __repr__(self) -> str:
        return f"<Trainer with {self.optimizer}: {self.updates} updates of {len(self.trained)} parameters>"

    def _repr_html_(self) -> str:
        shown_names = ("learning_rate", "updates", "skipped", "epochs", "gradient_norm", "clip_norm", "clip_value")
        values = [getattr(self, name) for name in shown_names]
        values = [f"{value:.6g}" if isinstance(value, float) else shown(value) for value in values]
        rows = [(name.replace("_", " "), value) for name, value in zip(shown_names, values, strict=True)]
        names = table(("name",), ([name] for name in self.trained))
        trained = folded(f"{len(self.trained)} parameters are trained", names)
        return headed("Trainer", repr(self.optimizer), table(("what", "now"), rows), trained)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update. Set it to a number or a schedule to change it."""
        return self.state.learning_rate

    @learning_rate.setter
    @api
    def learning_rate(self, rate: Any) -> None:
        self.state.learning_rate = rate

    @api
    def reset(self) -> None:
        """Drop the states from which ``carry=True`` would start."""
        self._stepper.reset()

    @property
    def graph(self) -> Graph:
        """Graph of a step: masks, loss, gradients and updates; ``str()`` prints it."""
        return self._stepper.variant(SHOWN).native.compiled.graph

    @api
    def perf_map(self, jitdump: bool = False) -> Path:
        """Describe the compiled steps to `perf`, as ``program.training.perf_map``."""
        from ..runtime.native.perf import write_perf_map

        return write_perf_map(self._stepper.variant(SHOWN).native.compiled, flag(jitdump, "jitdump"), user_line())

    @api
    def show(self, stage: str = "graph") -> StageText:
        """Return the text of one stage of a step, as ``program.training.show``."""
        return stage_text(self._stepper.variant(SHOWN).native.compiled, stage)
