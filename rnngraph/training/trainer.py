"""Training: a loss, its gradients, clipping and the optimizer's update as one native call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Never, overload

import numpy as np
from numpy.typing import ArrayLike

from ..batching.sources import GivenExamples
from ..ir.graph import Graph
from ..passes.lowering.lowered import SHOWN
from ..program.program import Program, loads
from ..runtime.calls.results import Result
from ..runtime.native.recomputation import AUTO, RecomputeOption
from ..runtime.native.stages import stage_text
from ..storage.checkpoint_file import packed, unpacked
from ..support.api_guard import api, no_more
from ..support.arguments import flag
from ..support.attribute_hints import OF_TRAINERS, Uncalled
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

if TYPE_CHECKING:
    from ..inspection.profile.profile import Profile

Callback = Callable[["Trainer", dict[str, float]], Any]


PICKLED = "pickled trainer"


@api
def loads_trainer(data: bytes, cache: bool | str | os.PathLike[str] | None = None) -> Trainer:
    """What is called to unpickle a trainer: it comes with a program of its own, and goes on bit for bit.

    cache: as for ``compile``; None as it was written. Executes nothing of what it reads. Raises ``FileError`` where
    ``data`` is damaged, of another version, or anything else.
    """
    where = user_line()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DtypeError(f"a pickled trainer is bytes, not {type(data).__name__}", where)
    try:
        parts, _ = unpacked(bytes(data), PICKLED, "a pickled trainer")
        program = loads(parts["program"].tobytes(), cache)
        checkpoint = Checkpoint(parts["checkpoint"].tobytes(), program, where)
        return Trainer._restored(checkpoint, program, "a pickled trainer", where)
    except RnnGraphError:
        raise
    except Exception as error:  # of bytes that are whole, but were not written by this library
        raise FileError(f"a pickled trainer can't be read: {type(error).__name__}; pickle it again", where) from error


@api
class Trainer(Uncalled):
    """Trains a program's parameters; both of its graphs, and its live streams, use the new values at once.

    optimizer: ``Adam(1e-3)`` by default.
    clip_norm: the norm of all gradients together is at most this (Pascanu et al. 2013).
    clip_value: each element of a gradient is within ±clip_value, before the norm.
    only: names of the parameters to train, or patterns such as ``"rnn/*"``; None trains all that are trainable.
    accumulate: steps whose gradients are averaged for one update.

    prune: how blocks of weights become zero as the training goes on.
    comm: a communicator of mpi4py whose processes train together, each with this same call; all feed the same batches.
    shards: equal parts into which each batch is cut, whose gradients are computed apart and added up in one order; by
    default as many as processes. What a step gives depends on the batch and on ``shards``, and not on how many
    processes there are. A loss must then be a sum over rows, divided by what depends on feeds alone: raises
    ``GraphError``, with the line, where it mixes rows otherwise.

    recompute: steps of a sequence that are computed again, a block at a time, in place of all that gradients need being
    kept of every step; ``"auto"``, or None for never; as for ``program.training.gradients``. Parameters are the same.

    An update that would not be finite is left out: ``step`` gives the loss as it is, parameters stay; with
    ``skip_non_finite=False`` it is made, as TensorFlow 1 does.

    updates, skipped: steps' updates that were made, and that were left out.
    epochs: of all fits.
    gradient_norm: of the last step's gradients together, after ``clip_value`` and before ``clip_norm``.
    trained: names of the parameters that updates change.
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
        given = optimizer, only, clip_norm, clip_value, accumulate, skip_non_finite, prune, shards, recompute
        with self._ranks.together():
            self.state = checked_state(program, self._ranks, where, *given)
        self._stepper = stepper_of(self.state, self._ranks, where)

    # Steps ---------------------------------------------------------------------------------------

    @overload
    def step(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, carry: bool = False,
        seed: int | None = None, fetch: None = None, **named: Any,
    ) -> float: ...  # fmt: skip
    @overload
    def step(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, fetch: Mapping[str, Any],
        carry: bool = False, seed: int | None = None, **named: Any,
    ) -> tuple[float, dict[str, Any]]: ...  # fmt: skip
    def step(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, carry: bool = False,
        seed: int | None = None, fetch: Mapping[str, Any] | None = None, **named: Any,
    ) -> Any:  # fmt: skip
        """One batch: forward, backward, clip and update. Gives the loss before the update.

        feeds: as in ``program.training``.
        carry: states start where the last step's ended, and no gradient passes to that step; without one they start as
            declared.
        seed: of the masks; None draws the next from the program's generator.
        fetch: a mapping of (nests of) Tensors of the declaration, or paths of the program's outputs: the step gives
            (loss, {the same with arrays}), as this very call computed them before the update.
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
                if (given := stepper.attempt(feeds, named, seed, carry, fetched)) is not None:
                    return given
            where = user_line()
            with self._ranks.uninterrupted():
                with self._ranks.together():
                    no_more("step", excess, self.program.training.input_names())
                    fetched = None if fetch is None else stepper.fetches.of(fetch)
                    arrays, carried = self.program.training.gather(feeds, named, where), flag(carry, "carry")
                fed = feeds if plain else ()
                return stepper.step(arrays, seed, carried, where, feeds=fed, named=named, fetch=fetched)

    @api
    def profile(
        self, feeds: Mapping[Any, Any] | None = None, /, seconds: float = 1.0, *, seed: int | None = None, **named: Any
    ) -> Profile:  # fmt: skip
        """What steps with these feeds take, by layer, kernel, pass (forward, backward, update) and line of the script.

        They come to no effect: parameters, the optimizer and seeds stay as they are.

        seconds: to spend on steps, half of them without counting.
        seed: of the masks; None for 0.
        Raises ``GraphError`` where the program's code does not run here, or the processor has no counter.
        """
        from .steps.profiled_step import profile_step

        where = user_line()
        return profile_step(self._stepper, self.program.training.gather(feeds, named, where), seed, seconds, where)

    @api
    def flush(self) -> None:
        """Makes an update of the gradients that were accumulated so far, if there are any."""
        self._stepper.flush()

    # Fitting -------------------------------------------------------------------------------------

    @api
    def fit(
        self,
        examples: GivenExamples,
        *,
        batch_size: int = 32,
        epochs: int = 1,
        lengths: Any = None,
        validation: GivenExamples | float | None = None,
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
        """Trains for ``epochs`` passes over the examples; gives their history, which can be plotted.

        examples: by placeholder or name, an array whose first axis numbers examples, or a list of arrays that may
        differ in time; batches are padded, and with ``bucket`` made of examples of similar lengths. What has no
        batch axis is fed whole. Or a tuple (x, y), of what inference takes and what only the loss does; or an iterable
        of batches in these forms, of which ``steps_per_epoch`` make an epoch, or one passage does.
        lengths: the placeholder of each row's steps, which is filled in, or an array of them; None finds the
        placeholder by its use as ``sequence_length``, if there is just one.

        batch_size: examples of an update.
        shuffle: whether their order is drawn anew for each epoch, by the program's seed.
        window: steps of truncated backpropagation through time; states are carried from window to window of a batch.
        warm_up: first steps of each sequence that run forward only.

        class_weights: {label: weight}, by which the loss counts labels of that class, as if it had been declared with
        ``weights=``; 1 where one is left out. ``"balanced"``: inverse to how often the examples have each class.
        A validation counts all alike.

        validation: examples apart, or the share of the examples (the last ones) to put apart; the loss and metrics are
            measured on them without dropout.
        metrics: by name, Tensors of the declaration, or functions of (result, feeds) that give a number, or one a row;
            without a validation they are measured on the examples.

        patience: epochs without a better ``monitor`` before the fit stops.
        monitor: the loss, of validation if there is one, or another column of the history; ``mode`` is ``"min"`` or
            ``"max"``.
        keep_best: whether the parameters of the best epoch are put back at the end; by default where there is a
            validation or a patience.
        callbacks: called after each epoch with (trainer, row of the history); one that gives True stops the fit, and
            one that gives False or None does not. They can't call ``fit`` of this trainer.

        checkpoint: a file to save to after each epoch, and after every ``checkpoint_every`` updates.
        resume: whether a fit that was interrupted, here or before ``load``, goes on where it was; ``epochs`` then
            counts from its beginning.
        progress: whether a bar, or a line an epoch where there is no terminal, goes to standard error.

        Raises ``NonFiniteError`` at a loss or gradient that is not finite; the parameters are those before it.
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
        self, examples: GivenExamples, *, metrics: Mapping[str, Metric] | None = None, lengths: Any = None,
        batch_size: int = 32,
    ) -> dict[str, float]:  # fmt: skip
        """{name: value} of the loss and of metrics without dropout, as ``fit`` measures a validation.

        examples, metrics, lengths, batch_size: as for ``fit``.
        """
        return Result(evaluate(self.program, self._session, user_line(), examples, metrics, lengths, batch_size))

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, optimizer, generator of seeds and position in the epoch to a file at ``path``, whole.

        Of several processes rank 0 writes, and the others do nothing. Raises ``ArgumentError`` where the optimizer or
        its schedule is code of the user's own.
        """
        if not self._ranks.is_first:
            return
        with self._stepper.lock:
            save(self.state, self._session.position, path)

    @classmethod
    @api
    def load(cls, path: str | os.PathLike[str], program: Program, *, comm: Any = None) -> Trainer:
        """The trainer that ``save`` wrote, for a program of the same declaration, whose parameters are set too.

        comm: as for ``Trainer``; the number of shards is in the file, so that any number of processes goes on alike.

        It goes on bit for bit on the same target. Warns where the program computes its loss otherwise, dropout apart,
        with parameters of the same names and shapes. Raises ``FileError`` for a file that is damaged, is no
        trainer's, or belongs to another program; nothing has changed then.
        """
        where, ranks = user_line(), Ranks(comm)

        def read() -> tuple[Checkpoint, int]:
            if not isinstance(program, Program):
                raise DtypeError(f"load needs the program to train, not {type(program).__name__}", where)
            found = Checkpoint(path, program, where)
            return found, found.digest() if ranks.size > 1 else 0

        problem = "rank {rank} loads another checkpoint than rank 0; give all processes the same file"
        checkpoint = ranks.together_alike(read, problem, where)
        return cls._restored(checkpoint, program, os.fspath(path), where, ranks)

    @classmethod
    def _restored(
        cls, checkpoint: Checkpoint, program: Program, source: str, where: Where | None, comm: Any = None
    ) -> Trainer:
        try:
            trainer = cls(program, checkpoint.optimizer(), comm=comm, **checkpoint.options())
        except ArgumentError as error:
            raise FileError(f"can't load {source}: {error.what}", where) from None
        trainer._session.position = checkpoint.restore(trainer.state)
        return trainer

    def __reduce__(self) -> tuple[Any, ...]:
        """Its program and its checkpoint, as bytes."""
        with self._stepper.lock:
            _, (program, *cache) = self.program.__reduce__()
            checkpoint = b"".join(packed(KIND, *contents(self.state, self._session.position), PICKLED))
        parts = {"program": program, "checkpoint": checkpoint}
        arrays = {name: np.frombuffer(data, np.uint8) for name, data in parts.items()}
        return loads_trainer, (b"".join(packed(PICKLED, arrays, {}, PICKLED)), *cache)

    def __repr__(self) -> str:
        return f"<Trainer with {self.optimizer}: {self.updates} updates of {len(self.trained)} parameters>"

    def _repr_html_(self) -> str:
        told = ("learning_rate", "updates", "skipped", "epochs", "gradient_norm", "clip_norm", "clip_value")
        values = [getattr(self, name) for name in told]
        values = [f"{value:.6g}" if isinstance(value, float) else shown(value) for value in values]
        rows = [(name.replace("_", " "), value) for name, value in zip(told, values, strict=True)]
        names = table(("name",), ([name] for name in self.trained))
        trained = folded(f"{len(self.trained)} parameters are trained", names)
        return headed("Trainer", repr(self.optimizer), table(("what", "now"), rows), trained)

    # State ---------------------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """The program whose parameters are trained."""
        return self.state.program

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, with the learning rate that it has now."""
        return self.state.optimizer

    @property
    def clip_norm(self) -> float | None:
        """The largest norm of all gradients together."""
        return self.state.clip_norm

    @property
    def clip_value(self) -> float | None:
        """The largest element of a gradient."""
        return self.state.clip_value

    @property
    def accumulate(self) -> int:
        """Steps whose gradients are averaged for one update."""
        return self.state.accumulate

    @property
    def prune(self) -> Prune | None:
        """How blocks of weights become zero."""
        return self.state.prune

    @property
    def shards(self) -> int | None:
        """Parts into which each batch is cut; None: it is computed as a whole."""
        return self.state.shards

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the parameters that updates change."""
        return self.state.trained

    @property
    def updates(self) -> int:
        """Updates that were made."""
        return self.state.updates

    @property
    def skipped(self) -> int:
        """Updates that were left out, as they would not have been finite."""
        return self.state.skipped

    @property
    def epochs(self) -> int:
        """Epochs of all fits."""
        return self.state.epochs

    @property
    def gradient_norm(self) -> float:
        """The norm of the last step's gradients together, after ``clip_value`` and before ``clip_norm``."""
        return self.state.gradient_norm

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update. Set it to a number or a schedule to change it from here on."""
        return self.state.learning_rate

    @learning_rate.setter
    @api
    def learning_rate(self, rate: Any) -> None:
        self.state.learning_rate = rate

    @api
    def reset(self) -> None:
        """Forgets the states that ``carry=True`` would start from."""
        self._stepper.reset()

    @property
    def graph(self) -> Graph:
        """The graph of a step: masks, loss, gradients and updates; ``str()`` prints it."""
        return self._stepper.variant(SHOWN).native.compiled.graph

    @api
    def perf_map(self, jitdump: bool = False) -> Path:
        """Tells `perf` of the code of the steps so far, as ``program.training.perf_map``."""
        from ..runtime.native.perf import write_perf_map

        return write_perf_map(self._stepper.variant(SHOWN).native.compiled, flag(jitdump, "jitdump"), user_line())

    @api
    def show(self, stage: str = "graph") -> StageText:
        """The text of one stage of a step, as ``program.training.show``."""
        return stage_text(self._stepper.variant(SHOWN).native.compiled, stage)
