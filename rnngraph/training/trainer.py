"""Training: a loss, its gradients, clipping and the optimizer's update as one native call."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Never

import numpy as np

from ..allocation import reserve, zeros
from ..batching.sources import Cursor, Examples
from ..declare.arguments import flag
from ..errors import DtypeError, GraphError, Where, shown, user_line
from ..ir.graph import Graph
from ..passes.lowering.lowered import GIVEN, SHOWN
from ..passes.train_step import NEW, NORM, NUMBER, SLOT, SUM
from ..program.program import Program
from ..public import api, no_more
from ..runtime.arguments import whole_number
from ..runtime.calls.prepared_call import BoundCalls
from .checkpoint import load, save
from .deferred_interrupt import Moment
from .double_buffer import Spares, keep_alone
from .fit.evaluation import Metric
from .fit.history import History
from .fit.loop import Callback, Position
from .fit.plan import evaluate, fit
from .optimizers import Adam, Optimizer, check_methods, optimizer_text
from .prepared_train_step import bind
from .schedules import positive_or_none
from .step_runner import Native, Settle, Way
from .step_variants import update_of, way_of
from .trainable import trained_names


@api
class Trainer:
    """Trains a program's parameters; both of its graphs, and its live streams, use the new values at once.

    optimizer: ``Adam(1e-3)`` by default. clip_norm: the norm of all gradients together is at most this
    (Pascanu et al. 2013). clip_value: each element of a gradient is within ±clip_value, before the norm.
    only: names of the parameters to train, or patterns such as ``"rnn/*"``; None trains all that are trainable.
    accumulate: steps whose gradients are averaged for one update.

    An update that would not be finite is left out: ``step`` gives the loss as it is, parameters stay.

    updates, skipped: steps' updates that were made, and that were left out. epochs: of all fits. gradient_norm:
    of the last step's gradients together, after ``clip_value`` and before ``clip_norm``. trained: names of the
    parameters that updates change.
    """

    def __init__(
        self,
        program: Program,
        optimizer: Optimizer | None = None,
        clip_norm: float | None = None,
        only: str | Sequence[str] | None = None,
        *,
        clip_value: float | None = None,
        accumulate: int = 1,
    ) -> None:
        where = user_line()
        if not isinstance(program, Program):
            raise DtypeError(f"a Trainer takes a Program of rg.compile, not {type(program).__name__}", where)
        if program.loss is None:
            raise GraphError("a Trainer needs a loss; give one to rg.compile", where)
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise DtypeError(f"optimizer={shown(optimizer)} is no optimizer; give one such as rg.Adam(1e-3)", where)
        self.program, self.optimizer = program, Adam() if optimizer is None else optimizer
        check_methods(self.optimizer, where)
        self.seed = program.seed  # of the order of examples
        self.clip_norm = positive_or_none("clip_norm", clip_norm, where)
        self.clip_value = positive_or_none("clip_value", clip_value, where)
        self.accumulate = whole_number(accumulate, "accumulate", 1)
        self.trained = trained_names(program, only, where)
        self.updates, self.skipped, self.pending, self.epochs = 0, 0, 0, 0
        self.gradient_norm = math.nan
        kept = sum(program.parameters[name].nbytes for name in self.trained) * len(self.optimizer.slots())
        reserve(kept, f"what {type(self.optimizer).__name__} keeps of each parameter", where)
        self.slots = {
            f"{SLOT}{slot}/{name}": np.full_like(program.parameters[name], value)
            for name in self.trained
            for slot, value in self.optimizer.slots().items()
        }
        self.sums: dict[str, np.ndarray] = {}
        self.carried: dict[str, np.ndarray] | None = None
        self.moment = Moment()
        self.drawn: int | None = None  # a seed for a step that has not come about
        self._lock = threading.RLock()
        self._number_arrays: dict[str, np.ndarray] = {}
        self._spares, self._parameter_spares = Spares(), Spares()
        self._ways: dict[tuple[str, tuple[float, ...]], Way] = {}
        kinds = (False, False), (True, False), (True, True)  # whether states are carried, and whether there are such
        self._bound = {kind: BoundCalls(program.workers) for kind in kinds}
        self._update: Native | None = None
        self._forward: Native | None = None
        self.position: Position | None = None
        self.cursor: Cursor | None = None  # where an interrupted fit is in an iterable of batches

    # Steps ---------------------------------------------------------------------------------------

    def step(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, carry: bool = False,
        seed: int | None = None, **named: Any,
    ) -> float:  # fmt: skip
        """One batch: forward, backward, clip and update. Gives the loss before the update.

        feeds: as in ``program.training``. carry: states start where the last step's ended, and no gradient
        passes to that step; without one they start as declared. seed: of the masks; None draws the next from
        the program's generator.
        """
        if excess:
            no_more("step", excess)
        plain = type(carry) is bool and (seed is None or (type(seed) is int and 0 <= seed < 2**63))
        with self._lock:
            calls = self._bound[carry, carry and self.carried is not None] if plain else None
            if calls is not None and (bound := calls.run(feeds, named, None, seed)) is not None:
                return float(bound)
            where = user_line()
            arrays = self.program.training.gather(feeds, named, where)
            states = GIVEN if calls is self._bound[True, True] else SHOWN
            loss = self.step_with(arrays, seed, flag(carry, "carry"), where)
            if calls is not None:
                bind(calls, self, self._ways[states, ()], feeds, named, arrays)
            return loss

    def step_with(
        self, arrays: dict[str, np.ndarray], seed: int | None, carry: bool, where: Where | None,
        settled: Callable[[float, bool], None] | None = None, label_weights: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """A step with feeds that are converted already, to which the counters of masks are added.

        settled: called with the loss, and whether the step counts, in the very moment in which it does. label_weights:
        one for each class, by which the loss counts its labels.
        """
        with self._lock:
            arrays.update(self.program.training.counters(self.seed_of_step(seed)))
            states = self.carried if carry else None
            way = self._way(SHOWN if states is None else GIVEN, label_weights)
            if carry:
                way.check_carries(where)
            return self.run_step(way, seed, settled, lambda settle: way.run(self, arrays, states or {}, where, settle))

    def run_step(
        self, way: Way, seed: int | None, settled: Callable[[float, bool], None] | None,
        run: Callable[[Settle], Mapping[str, np.ndarray]],
    ) -> float:  # fmt: skip
        """The loss of a step. run: makes it, and gives its results to what takes them over. The caller has the lock."""

        def settle(found: Mapping[str, np.ndarray]) -> None:
            skipped, loss = self.skipped, float(found["loss"])
            self._settle(loss, found, way)
            if seed is None:
                self.drawn = None
            if settled is not None:
                settled(loss, self.skipped == skipped)

        return float(run(settle)["loss"])

    def _settle(self, loss: float, found: Mapping[str, np.ndarray], way: Way) -> None:
        """A step that ran comes into effect."""
        if not self._counts(loss, found):
            return
        self.carried = {label: found[label] for label in way.states} if way.states else None
        if self.accumulate == 1:
            self._take()
            return
        self.sums = self._spares.swap(self._present_sums())
        self.pending += 1
        if self.pending >= self.accumulate:
            self.flush()

    def seed_of_step(self, seed: int | None) -> int:
        """The seed of masks. One that was drawn for a step that did not come about is that of the next."""
        if seed is not None:
            return seed
        with self.moment:
            if self.drawn is None:
                self.drawn = self.program.next_seed()
            return self.drawn

    def warm(self, feeds: Mapping[str, Any], where: Where | None, settled: Callable[[], None] | None = None) -> None:
        """Steps forward only, from the declared states: those it ends in are what ``carry=True`` starts from."""
        training = self.program.training
        arrays = training.gather(feeds, {}, where)
        with self._lock:
            arrays.update(training.counters(self.seed_of_step(None)))
            way = self._way(SHOWN)
            way.check_carries(where)
            if self._forward is None:
                self._forward = Native(way.native.compiled, way.states)
            sizes = training.sizes(arrays, way.states, where, way.native.compiled)
            found = self._forward.call(self, arrays, sizes)
            with self.moment:
                self.carried, self.drawn = found, None
                if settled is not None:
                    settled()

    @api
    def flush(self) -> None:
        """Makes an update of the gradients that were accumulated so far, if there are any."""
        with self._lock:
            if not self.pending:
                return
            if self._update is None:
                self._update = update_of(self)
            keep_alone(self.slots)
            inputs = {**self._present_sums(), **self.slots, **self._numbers()}
            inputs[f"{NUMBER}share"] = np.asarray(1 / self.pending)

            def settle(found: Mapping[str, np.ndarray]) -> None:
                self.sums, self.pending = {}, 0
                if self._counts(0.0, found):
                    self._take()

            self._update.call(self, inputs, {}, settle)

    def _counts(self, loss: float, found: Mapping[str, np.ndarray]) -> bool:
        """Whether what was computed may be taken over: the loss and all gradients are finite."""
        self.gradient_norm = float(found[NORM])
        finite = math.isfinite(loss) and math.isfinite(self.gradient_norm)
        self.skipped += not finite
        return finite

    def _take(self) -> None:
        """The new parameters become the present ones; the slots were written over."""
        parameters = self.program.parameters
        parameters.replace(self._parameter_spares.swap({name: parameters[name] for name in self.trained}))
        self.updates += 1

    def target(self, name: str) -> np.ndarray:
        """Where new parameters and sums are written."""
        if name.startswith(NEW):
            label = name.removeprefix(NEW)
            return self._parameter_spares.target(label, self.program.parameters[label])
        return self._spares.target(name, self.program.parameters[name.removeprefix(SUM)])

    def inputs(self) -> dict[str, np.ndarray]:
        """What a step reads beside feeds and states."""
        if self.accumulate > 1:
            return self._present_sums()
        keep_alone(self.slots)
        return {**self.slots, **self._numbers()}

    def _present_sums(self) -> dict[str, np.ndarray]:
        if not self.sums:
            parameters = self.program.parameters
            self.sums = {
                SUM + name: zeros(parameters[name].shape, parameters[name].dtype, f"the sum of gradients of {name}")
                for name in self.trained
            }
        return self.sums

    def _numbers(self) -> dict[str, np.ndarray]:
        arrays = self._number_arrays
        for name, value in self.optimizer.numbers(self.updates).items():
            label = NUMBER + name
            if label not in arrays:
                arrays[label] = np.zeros(())
            arrays[label][...] = value
        return arrays

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
        class_weights: Mapping[int, float] | None = None,
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

        window: steps of truncated backpropagation through time; states are carried from window to window of a
        batch. warm_up: first steps of each sequence that run forward only.

        class_weights: {label: weight}, by which the loss counts labels of that class, as if it had been declared with
        ``weights=``; 1 where one is left out. A validation counts all alike.

        validation: examples apart, or the share of the examples (the last ones) to put apart; the loss and metrics
        are measured on them without dropout. metrics: by name, Tensors of the declaration, or functions of (result,
        feeds) that give a number, or one a row; without a validation they are measured on the examples.

        patience: epochs without a better ``monitor`` before the fit stops. monitor: the loss, of validation if there
        is one, or another column of the history; ``mode`` is ``"min"`` or ``"max"``. keep_best: whether the
        parameters of the best epoch are put back at the end; by default where there is a validation or a patience.
        callbacks: called after each epoch with (trainer, row of the history); one that gives True stops the fit.

        checkpoint: a file to save to after each epoch, and after every ``checkpoint_every`` updates. resume: whether
        a fit that was interrupted, here or before ``load``, goes on where it was; ``epochs`` then counts from its
        beginning. progress: whether a bar, or a line an epoch where there is no terminal, goes to standard error.

        Raises ``NonFiniteError`` at a loss or gradient that is not finite; the parameters are those before it.
        """
        options = dict(locals())
        del options["self"]
        return fit(self, user_line(), **options)

    @api
    def evaluate(
        self, examples: Examples, *, metrics: Mapping[str, Metric] | None = None, lengths: Any = None,
        batch_size: int = 32,
    ) -> dict[str, float]:  # fmt: skip
        """{name: value} of the loss and of metrics without dropout, as ``fit`` measures a validation."""
        return evaluate(self, user_line(), examples, metrics, lengths, batch_size)

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, optimizer, generator of seeds and position in the epoch, beside and renamed.

        Raises ``ArgumentError`` where the optimizer or its schedule is code of the user's own.
        """
        with self._lock:
            save(self, path)

    def check_savable(self) -> None:
        """Raises now what ``save`` would raise later."""
        optimizer_text(self.optimizer)

    @classmethod
    @api
    def load(cls, path: str | os.PathLike[str], program: Program) -> Trainer:
        """The trainer that ``save`` wrote, for a program of the same declaration, whose parameters are set too.

        It goes on bit for bit on the same target. Warns where the program computes its loss otherwise, dropout apart,
        with parameters of the same names and shapes. Raises ``FileError`` for a file that is damaged, is no
        trainer's, or belongs to another program; nothing has changed then.
        """
        where = user_line()
        if not isinstance(program, Program):
            raise DtypeError(f"load needs the program to train, not {type(program).__name__}", where)
        return load(cls, path, program, where)

    # State ---------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update. Set it to a number or a schedule to change it from here on."""
        return self.optimizer.numbers(self.updates)["rate"]

    @learning_rate.setter
    @api
    def learning_rate(self, rate: Any) -> None:
        self.optimizer = replace(self.optimizer, learning_rate=rate)

    @api
    def reset(self) -> None:
        """Forgets the states that ``carry=True`` would start from."""
        with self._lock:
            self.carried = None

    @property
    def graph(self) -> Graph:
        """The graph of a step: masks, loss, gradients and updates; ``str()`` prints it."""
        return self._way(SHOWN).native.compiled.graph

    @api
    def show(self, stage: str = "graph") -> str:
        """The text of one stage of a step, as ``program.training.show``."""
        return self._way(SHOWN).native.compiled.show(stage)

    def _way(self, states: str, label_weights: tuple[float, ...] = ()) -> Way:
        key = states, label_weights
        if key not in self._ways:
            self._ways[key] = way_of(self, states, label_weights)
        return self._ways[key]
