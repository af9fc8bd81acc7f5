"""Learning rate schedules, as objects that checkpoints can store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ...support.api_guard import api, taking
from ...support.arguments import (
    check_not_negative,
    check_positive,
    flag,
    is_number,
    one_of,
    use_plain_numbers,
    whole_number,
)
from ...support.errors import ArgumentError, DtypeError, shown, user_line, warn


@api
@dataclass(frozen=True)
class Schedule:
    """Base class of schedules: ``schedule(0)`` is the learning rate of the first update.

    A function of the update's index works too, but checkpoints store only these classes.
    """

    def __post_init__(self) -> None:
        use_plain_numbers(self)

    def __call__(self, update: int) -> float:
        raise NotImplementedError

    def plateau(self) -> ReduceOnPlateau | None:
        """Return the part of this schedule that depends on measurements; None without one."""
        return None

    def measured(self, value: float) -> Schedule:
        """Return the schedule after an epoch's measurement.

        Args:
            value: Measurement of the column that ``plateau`` monitors.
        """
        return self


@api
@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """initial · decay_rate^(update / decay_steps), as ``tf.train.exponential_decay``.

    Args:
        initial: Rate of the first update.
        decay_steps: Updates after which the rate has been multiplied by ``decay_rate``.
        decay_rate: Factor.
        staircase: Round the exponent down, so that the rate falls in steps.
    """

    initial: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("initial", self.initial)
        check_positive("decay_steps", self.decay_steps)
        check_positive("decay_rate", self.decay_rate)
        flag(self.staircase, "staircase")

    def __call__(self, update: int) -> float:
        share = update / self.decay_steps
        return float(self.initial * self.decay_rate ** (math.floor(share) if self.staircase else share))


@api
@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Decay from initial to final over decay_steps updates, along (1 - update / decay_steps)^power. Then constant."""

    initial: float
    decay_steps: int
    final: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("initial", self.initial)
        check_positive("decay_steps", self.decay_steps)
        check_not_negative("final", self.final)
        check_positive("power", self.power)

    def __call__(self, update: int) -> float:
        left = 1 - min(update, self.decay_steps) / self.decay_steps
        share = left**self.power
        return self.initial * share + self.final * (1 - share)


@api
@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Decay from initial to final over decay_steps updates along half a cosine. Constant afterwards.

    Loshchilov & Hutter 2017, eq. 5, without restarts.
    """

    initial: float
    decay_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("initial", self.initial)
        check_positive("decay_steps", self.decay_steps)
        check_not_negative("final", self.final)
        if self.final > self.initial:
            warn(
                f"final={self.final:g} is above initial={self.initial:g}, so the rate grows; final is a rate, not a "
                f"share of initial like Keras' alpha; to decay, write final={self.final * self.initial:g}",
                user_line(),
            )

    def __call__(self, update: int) -> float:
        share = min(update, self.decay_steps) / self.decay_steps
        left = 0.5 * (1 + math.cos(math.pi * share))
        return self.initial * left + self.final * (1 - left)


@api
@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """Constant rates: values[0] up to and including update boundaries[0], values[1] up to boundaries[1], and so on."""

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("boundaries", "values"):
            values = getattr(self, name)
            plain_array = isinstance(values, np.ndarray) and values.ndim == 1
            if not plain_array and (not isinstance(values, Sequence) or isinstance(values, str | bytes)):
                raise ArgumentError(f"{name}={shown(values)} must be a sequence of numbers")
            plain = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
            object.__setattr__(self, name, plain)
            for value in plain:
                check_not_negative(f"one of {name}", value)
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, not {len(self.values)}"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ArgumentError(f"boundaries={self.boundaries} must increase; sort them, and remove duplicates")

    def __call__(self, update: int) -> float:
        return float(self.values[sum(update > boundary for boundary in self.boundaries)])


@api
@dataclass(frozen=True)
class WarmUp(Schedule):
    """Linear rise over ``steps`` updates to the first rate of ``after``, followed by ``after``.

    ``after`` counts its updates from the end of the rise.
    """

    steps: int
    after: float | Schedule

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("steps", self.steps)
        rate_of(self.after, 0)

    def plateau(self) -> ReduceOnPlateau | None:
        return self.after.plateau() if isinstance(self.after, Schedule) else None

    def measured(self, value: float) -> Schedule:
        return replace(self, after=self.after.measured(value)) if isinstance(self.after, Schedule) else self

    def __call__(self, update: int) -> float:
        if update < self.steps:
            return rate_of(self.after, 0) * (update + 1) / self.steps
        return rate_of(self.after, update - self.steps)


@api
@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Reduction of the rate by ``factor`` after ``patience`` epochs without an improvement, as in Keras' class.

    ``fit`` replaces the schedule by its successor after each epoch. In your own loop write
    ``trainer.learning_rate = schedule = schedule.measured(value)``.

    Args:
        initial: Initial rate.
        factor: Factor of a reduction, below 1.
        patience: Epochs without an improvement before a reduction.
        monitor: Column of the history; None: the loss, of validation if it is measured.
        mode: ``min``, or ``max`` if more is better.
        min_delta: Minimum improvement.
        cooldown: Epochs after a reduction that do not count towards the next.
        final: Minimum rate.
        rate: Present rate; None: ``initial``.
        best: Best value so far.
        waited: Epochs since the best or since the last reduction, without those of the cooldown.
        resting: Remaining epochs of the cooldown.
    """

    initial: float
    factor: float = 0.1
    patience: int = 10
    monitor: str | None = None
    mode: str = "min"
    min_delta: float = 1e-4
    cooldown: int = 0
    final: float = 0.0
    rate: float | None = None
    best: float | None = None
    waited: int = 0
    resting: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("initial", self.initial)
        check_positive("factor", self.factor)
        if self.factor >= 1:
            raise ArgumentError(f"factor={shown(self.factor)} must be below 1, or the rate would not be reduced")
        whole_number(self.patience, "patience", 1)
        if self.monitor is not None and not isinstance(self.monitor, str):
            raise DtypeError(f"monitor={shown(self.monitor)} must be the name of a column of the history, or None")
        one_of(self.mode, "mode", ("min", "max"))
        check_not_negative("min_delta", self.min_delta)
        check_not_negative("final", self.final)
        for name in ("cooldown", "waited", "resting"):
            whole_number(getattr(self, name), name, 0)
        if self.rate is not None:
            check_not_negative("rate", self.rate)

    def __call__(self, update: int) -> float:
        return float(self.initial if self.rate is None else self.rate)

    def plateau(self) -> ReduceOnPlateau | None:
        return self

    def measured(self, value: float) -> ReduceOnPlateau:
        """Return the schedule after an epoch. NaN does not count as an improvement.

        Args:
            value: Measurement of the monitored column.
        """
        resting = max(0, self.resting - 1)
        if self._is_better(value):
            return replace(self, best=float(value), waited=0, resting=resting)
        waited = 0 if self.resting else self.waited
        if resting:
            return replace(self, waited=0, resting=resting)
        if waited + 1 < self.patience or self(0) <= self.final:
            return replace(self, waited=waited + 1, resting=0)
        return replace(self, rate=max(self(0) * self.factor, float(self.final)), waited=0, resting=self.cooldown)

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return not math.isnan(value)
        return value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta


SCHEDULES: tuple[type[Schedule], ...] = (
    ExponentialDecay,
    PolynomialDecay,
    CosineDecay,
    PiecewiseConstant,
    WarmUp,
    ReduceOnPlateau,
)


def plateau_of(rate: Any) -> ReduceOnPlateau | None:
    """Return the ``ReduceOnPlateau`` within a learning rate; None if the rate has none."""
    return rate.plateau() if isinstance(rate, Schedule) else None


def _called(rate: Any, update: int) -> Any:
    """Return the learning rate of a schedule or function for an update; infinity if it overflows."""
    if isinstance(rate, type):
        raise DtypeError(f"the learning rate is the class {rate.__name__}; give an instance, {rate.__name__}(…)")
    try:
        return rate(update)
    except OverflowError:
        return math.inf
    except TypeError:
        return taking(rate, "the learning rate", "update")(update)  # explains a signature that does not fit


def rate_of(rate: Any, update: int) -> float:
    """Return the learning rate of an update, counted from 0."""
    if type(rate) is float and 0 <= rate < math.inf:  # the case of most updates
        return rate
    value = _called(rate, update) if callable(rate) else rate
    if not is_number(value) or value < 0:
        raise ArgumentError(f"the learning rate of update {update} is {shown(value)}; it must be a number, 0 or more")
    return float(value)


def schedule_text(rate: Any) -> Any:
    """Return a learning rate as JSON values. Raise ``ArgumentError`` for a user's function."""
    if type(rate) in SCHEDULES:
        named = {item.name: schedule_text(getattr(rate, item.name)) for item in fields(rate)}
        return {"schedule": type(rate).__name__, **named}
    if callable(rate):
        raise ArgumentError(
            f"can't save the learning rate {shown(rate)}, which is your code; use a schedule of "
            f"rnngraph ({', '.join(kind.__name__ for kind in SCHEDULES)})"
        )
    return rate


def schedule_from(text: Any) -> Any:
    """Return the learning rate that ``schedule_text`` wrote."""
    if not isinstance(text, dict):
        return tuple(text) if isinstance(text, list) else text
    kinds = {kind.__name__: kind for kind in SCHEDULES}
    name = text["schedule"]
    if name not in kinds:
        raise ArgumentError(f"the file has an unknown schedule {name!r}; load it with the version that saved it")
    return kinds[name](**{key: schedule_from(value) for key, value in text.items() if key != "schedule"})
