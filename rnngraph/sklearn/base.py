"""Base of scikit-learn's estimators with a recurrent net: examples, the fit, and results."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from ..program.program import Program
from ..support.api_guard import api
from ..support.arguments import check_within, flag, one_of, refuse_mask, whole_number
from ..support.errors import ArgumentError, ShapeError, Where, shown, user_line
from ..training.fit.history import History
from ..training.optimization.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
from ..training.trainer import Trainer
from .checks import (
    check_array,
    check_consistent_length,
    check_random_state,
    validate_data,
)
from .network import TARGETS, WEIGHTS, Body
from .sequences import (
    Sequences,
    is_table,
    of_sequences,
    of_table,
    refuse_text,
    weights_of,
    without_index,
)

OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSProp, "sgd": SGD, "adagrad": Adagrad}
PARTS = (*Body._fields, "standardize", "optimizer", "clip_norm")
"""Parameters that define a net and its trainer."""


class Examples(NamedTuple):
    """Examples to fit. ``weights`` holds one loss weight per example; None means 1 for all."""

    sequences: Sequences
    targets: np.ndarray
    weights: np.ndarray | None


class SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the classifier and the regressor.

    X is an array [examples, time, features], a list of arrays [time, features], or an array [examples, time].

    Args:
        cell: ``gru``, ``lstm``, ``rnn``, or a function from a width to an ``rg.Cell``, such as ``rg.UGRNNCell``.
        units: Width of a layer.
        layers: Number of layers.
        dropout: Share of each layer's outputs that training drops.
        bidirectional: Run layers in both directions.
        pooling: Vector of a sequence: the ``last`` output of each direction, or the ``mean`` of all outputs.
        standardize: Scale features, and a regressor's targets, to mean 0 and deviation 1, by the statistics of the
            first fit. The net stores these statistics.
        epochs, batch_size, clip_norm: As for ``Trainer``.
        learning_rate: A number, or a schedule.
        optimizer: ``adam``, ``adamw``, ``rmsprop``, ``sgd``, ``adagrad``, or an ``rg.Optimizer`` with its own rate.
        validation_fraction: Share of examples to measure each epoch; the parameters of the best epoch are kept.
        patience: Epochs without a better loss before the fit ends.
        random_state: Seed of initial values, masks, order and validation.
        warm_start: Continue ``fit`` with the last net; parameters that do not define the net may change.
        verbose: Show progress.
        threads: As for ``rg.compile``.

    Attributes:
        program_: The ``rg.Program``.
        history_: The ``rg.History`` of the last fit.
        n_features_in_: Features of a step, or columns of an array [examples, time].
    """

    def __init__(
        self,
        *,
        cell: Any = "gru",
        units: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        pooling: str = "last",
        standardize: bool = True,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: Any = 3e-3,
        optimizer: Any = "adam",
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        threads: int = 1,
    ) -> None:
        self.cell, self.units, self.layers, self.dropout = cell, units, layers, dropout
        self.bidirectional, self.pooling, self.standardize = bidirectional, pooling, standardize
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.optimizer, self.clip_norm, self.validation_fraction = optimizer, clip_norm, validation_fraction
        self.patience, self.random_state, self.warm_start = patience, random_state, warm_start
        self.verbose, self.threads = verbose, threads

    @api
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new net, or the last one with ``warm_start``, and return the estimator.

        Args:
            sample_weight: Weight of each example's loss [examples].
        """
        goes_on = self.warm_start and hasattr(self, "_trainer")
        examples = self._examples(X, y, sample_weight, None if goes_on else y)
        if goes_on:
            self._continue(examples)
        else:
            self._start(examples)
        self.history_ = self._train(examples, self.epochs, self.patience, self.validation_fraction)
        return self

    def _train_epoch(self, X: Any, y: Any, sample_weight: Any, targets_to_come: Any) -> Self:
        """Train the present net, or else a new one, for one epoch with these examples."""
        first = not hasattr(self, "_trainer")
        examples = self._examples(X, y, sample_weight, targets_to_come if first else None)
        if first:
            self._start(examples)
            self.history_ = History()
        else:
            self._continue(examples)
        row = self._train(examples, 1, None, 0.0).row(-1)
        self.history_.append(row)
        return self

    @property
    def program_(self) -> Program:
        """Trained net, with inputs ``x`` and ``lengths``."""
        check_is_fitted(self)
        return self._trainer.program

    # Examples ------------------------------------------------------------------------------------

    def _examples(self, X: Any, y: Any, sample_weight: Any, to_come: Any) -> Examples:
        """Return the checked examples of a call of ``fit`` or ``partial_fit``.

        Args:
            X: The sequences.
            y: The targets.
            sample_weight: A weight for each example, or None.
            to_come: All targets of this and later calls, for which a new net is made. None: continue with the fitted
                net.
        """
        self._check_parameters()
        where = user_line()
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give one for each example",
                where,
            )
        sequences = self._sequences(X, to_come is not None, where)
        if to_come is not None:
            self._begin(to_come)
        targets = self._targets(y, where)
        check_consistent_length(sequences.values, targets)
        weights = None if sample_weight is None else weights_of(sample_weight, len(targets), where)
        return Examples(sequences, targets, weights)

    def _sequences(self, X: Any, reset: bool, where: Where | None) -> Sequences:
        """Return the validated X. Set the estimator's width and columns, or check X against them."""
        refuse_mask(X, "X", where)
        refuse_text(X, where)
        X = without_index(X)
        own = not reset and getattr(self, "_columns", None) is None
        if is_table(X) and not own:
            table = validate_data(self, X, reset=reset, dtype=np.float32)
            if reset:
                self._width, self._columns = 1, table.shape[1]
            return of_table(table)
        sequences = of_table(check_array(X, dtype=np.float32)) if is_table(X) else of_sequences(X, where)
        if reset:
            self._width, self._columns = sequences.width, None
            self.n_features_in_ = sequences.width
            self.__dict__.pop("feature_names_in_", None)
        if sequences.width != self._width:
            raise ShapeError(
                f"X has {sequences.width} features, but {type(self).__name__} is expecting {self._width} features as "
                "input",
                where,
            )
        return sequences

    def _of_inference(self, X: Any, name: str) -> np.ndarray:
        """Return one output of the fitted net for X, as float64."""
        check_is_fitted(self)
        sequences = self._sequences(X, False, user_line())
        values = self.program_.predict({"x": sequences.values}, batch_size=self.batch_size)[name]
        return np.asarray(values, np.float64)

    # Training ------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        self._body().check()
        for name, value in (("standardize", self.standardize), ("warm_start", self.warm_start)):
            flag(value, name)
        whole_number(self.epochs, "epochs", 1)
        whole_number(self.batch_size, "batch_size", 1)
        check_within("validation_fraction", self.validation_fraction, 0.0, 1.0)
        if not isinstance(self.optimizer, Optimizer):
            one_of(self.optimizer, "optimizer", tuple(OPTIMIZERS))

    def _body(self) -> Body:
        return Body(self.cell, self.units, self.layers, self.dropout, self.bidirectional, self.pooling)

    def _start(self, examples: Examples) -> None:
        """Make a new net and its trainer."""
        self._random = check_random_state(self.random_state)
        width = examples.sequences.width
        mean, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
        if self.standardize:
            mean, scale = examples.sequences.mean_and_scale()
        seed = int(self._random.randint(2**31 - 1))
        program = self._declared(mean, scale, examples, seed)
        own = isinstance(self.optimizer, Optimizer)
        optimizer = self.optimizer if own else OPTIMIZERS[self.optimizer](self.learning_rate)
        self._trainer = Trainer(program, optimizer, clip_norm=self.clip_norm)
        self._fitted_with = {name: getattr(self, name) for name in (*PARTS, "learning_rate")}

    def _continue(self, examples: Examples) -> None:
        """Keep the fitted net, and apply the current values of parameters that do not define a net."""
        for name in PARTS:
            mine, now = self._fitted_with[name], getattr(self, name)
            if mine is not now and mine != now:
                raise ArgumentError(
                    f"the fitted net has {name}={shown(mine)}, not {shown(now)}; fit with warm_start=False for a "
                    "new one",
                    user_line(),
                )
        if examples.weights is not None and WEIGHTS not in self.program_.inputs:
            raise ArgumentError(
                "sample_weight needs a net that was first fitted with weights; pass sample_weight to the first fit, "
                "too, such as ones",
                user_line(),
            )
        rate = self.learning_rate
        if not isinstance(self.optimizer, Optimizer) and rate is not (before := self._fitted_with["learning_rate"]):
            if rate != before:
                self._trainer.learning_rate = rate
            self._fitted_with["learning_rate"] = rate
        self.program_.threads = self.threads

    def _train(self, examples: Examples, epochs: int, patience: int | None, share: float) -> History:
        """Fit the net to examples, of which ``share`` are for validation. Return the history."""
        rows, validation = np.arange(len(examples.targets)), None
        if share:
            rows, validation_rows = self._split(examples.targets, share)
            validation = self._fed(examples, validation_rows)
        options = self._fit_options(examples.targets[rows])
        return self._trainer.fit(
            self._fed(examples, rows),
            epochs=epochs,
            batch_size=self.batch_size,
            validation=validation,
            patience=patience,
            resume=False,
            progress=bool(self.verbose),
            **options,
        )

    def _split(self, targets: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of examples for training and for validation."""
        try:
            rows, validation_rows = train_test_split(
                np.arange(len(targets)), test_size=share, random_state=self._random, stratify=self._strata(targets)
            )
        except ValueError as error:
            raise ArgumentError(
                f"validation_fraction={share} of {len(targets)} examples can't be split off: {error}", user_line()
            ) from None
        return rows, validation_rows

    def _fed(self, examples: Examples, rows: np.ndarray) -> dict[str, Any]:
        """Return the feeds of the examples at these indices."""
        fed = {"x": examples.sequences.select(rows), self._target_name: examples.targets[rows]}
        if WEIGHTS in self.program_.inputs:
            fed[WEIGHTS] = self._weighed(examples)[rows]
        return fed

    def _weighed(self, examples: Examples) -> np.ndarray:
        """Return the weight of each example in the loss."""
        return np.ones(len(examples.targets)) if examples.weights is None else examples.weights

    _target_name = TARGETS

    def _begin(self, y: Any) -> None:
        """Set the attributes that depend on the targets."""
        raise NotImplementedError

    def _targets(self, y: Any, where: Where | None) -> np.ndarray:
        """Return the validated y in the net's form."""
        raise NotImplementedError

    def _declared(self, mean: np.ndarray, scale: np.ndarray, examples: Examples, seed: int) -> Program:
        raise NotImplementedError

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Return the group of each example for stratified validation; None if validation is not stratified."""
        return None

    def _fit_options(self, targets: np.ndarray) -> dict[str, Any]:
        return {}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_trainer")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
