"""SequenceClassifier and SequenceRegressor: scikit-learn estimators, each with a recurrent net."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from ..program.program import Program
from ..support.api_guard import api
from ..support.arguments import array_of
from ..support.errors import ArgumentError, RnnGraphError, ShapeError, Where, shown, user_line
from .base import Examples, SequenceEstimator
from .checks import check_classification_targets, column_or_1d, compute_class_weight
from .network import LABELS, OUTPUT, SCORES, WEIGHTS, Scaling, classifier, regressor
from .sequences import as_float32, scale_of, targets_of


@api
class SequenceClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """Classifier of sequences. Labels y may have any type that can be sorted; ``classes_`` has all labels in order.

    Args:
        class_weight: ``balanced``, or a mapping from label to the weight of its loss.
    """

    _target_name = LABELS

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
        class_weight: Any = None,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        threads: int = 1,
    ) -> None:
        options = dict(locals())
        for name in ("self", "__class__", "class_weight"):
            del options[name]
        super().__init__(**options)
        self.class_weight = class_weight

    @api
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch with these examples, and return the estimator.

        Args:
            classes: At the first call all labels, if y lacks some.
            sample_weight: As for ``fit``.
        """
        if classes is not None and hasattr(self, "_trainer") and not self._are_all(classes):
            raise ArgumentError(
                f"classes={shown(classes)} are not those of the first call, {shown(self.classes_.tolist())}; leave "
                "them out",
                user_line(),
            )
        return self._train_epoch(X, y, sample_weight, y if classes is None else classes)

    @api
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities [examples, classes], in the order of ``classes_``."""
        scores = self._of_inference(X, SCORES)
        return scores / scores.sum(axis=1, keepdims=True)

    @api
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of ``predict_proba``."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @api
    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely label of each sequence."""
        scores = self._of_inference(X, SCORES)
        labels: np.ndarray = self.classes_[scores.argmax(axis=1)]
        return labels

    def _are_all(self, classes: Any) -> bool:
        """True if these are the labels of the first call."""
        try:
            return {*array_of(classes, "classes are labels").ravel().tolist()} == {*self.classes_.tolist()}
        except TypeError:  # an unhashable object is not a label
            return False

    def _begin(self, y: Any) -> None:
        try:
            check_classification_targets(y)
            self.classes_ = np.unique(column_or_1d(y))
        except TypeError as error:  # None or numbers mixed with text
            text = error.what if isinstance(error, RnnGraphError) else str(error)
            raise ArgumentError(f"labels can't be sorted: {text}; give them all as text or as numbers") from None

    def _targets(self, y: Any, where: Where | None) -> np.ndarray:
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        known = np.isin(labels, self.classes_)
        if not known.all():
            new = shown(labels[~known].tolist()[0])
            raise ArgumentError(
                f"y has the label {new}, which the first examples did not have; give all labels to the first "
                "partial_fit as classes=",
                where,
            )
        return np.searchsorted(self.classes_, labels)

    def _declared(self, mean: np.ndarray, scale: np.ndarray, examples: Examples, seed: int) -> Program:
        weighted = examples.weights is not None
        return classifier(self._body(), mean, scale, self.classes_, weighted, seed, self.threads)

    def _strata(self, targets: np.ndarray) -> np.ndarray | None:
        return targets if np.bincount(targets)[targets].min() > 1 else None

    def _fit_options(self, targets: np.ndarray) -> dict[str, Any]:
        if WEIGHTS in self.program_.inputs:  # these weights include class_weight
            return {}
        weights = self._weights_of_classes(targets)
        return {"class_weights": weights} if weights else {}

    def _weighed(self, examples: Examples) -> np.ndarray:
        weights = self._weights_of_classes(examples.targets)
        return super()._weighed(examples) * [weights.get(label, 1.0) for label in examples.targets.tolist()]

    def _weights_of_classes(self, targets: np.ndarray) -> dict[int, float]:
        """Return {index of a label: weight}; empty if all weights are equal."""
        if self.class_weight is None:
            return {}
        there = np.unique(targets)
        weights = compute_class_weight(self.class_weight, classes=self.classes_[there], y=self.classes_[targets])
        return {int(label): float(weight) for label, weight in zip(there, weights, strict=True)}


@api
class SequenceRegressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """Regressor that predicts one or several numbers for each sequence, with y [examples] or [examples, outputs]."""

    @api
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch with these examples, and return the estimator. ``sample_weight`` is as for ``fit``."""
        return self._train_epoch(X, y, sample_weight, y)

    @api
    def predict(self, X: Any) -> np.ndarray:
        """Return predictions [examples] or [examples, outputs], like y of the first fit."""
        values = self._of_inference(X, OUTPUT)
        return values[:, 0] if self._is_single else values

    def _begin(self, y: Any) -> None:
        numbers = targets_of(y)
        self._is_single, self._outputs = numbers.ndim == 1, 1 if numbers.ndim == 1 else numbers.shape[1]

    def _targets(self, y: Any, where: Where | None) -> np.ndarray:
        numbers = targets_of(y)
        numbers = numbers.reshape(len(numbers), -1)
        if numbers.shape[1] != self._outputs:
            raise ShapeError(
                f"y has {numbers.shape[1]} outputs, but the first fit had {self._outputs}; give {self._outputs}", where
            )
        return numbers

    def _declared(self, mean: np.ndarray, scale: np.ndarray, examples: Examples, seed: int) -> Program:
        targets, weighted = examples.targets, examples.weights is not None
        middle, unit = np.zeros(self._outputs), np.ones(self._outputs)
        if self.standardize:
            middle = targets.mean(axis=0)
            unit = scale_of(targets.var(axis=0), middle)
        inputs, outputs = Scaling(mean, scale), Scaling(as_float32(middle), as_float32(unit))
        return regressor(self._body(), inputs, outputs, weighted, seed, self.threads)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
