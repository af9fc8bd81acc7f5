"""Optimizers: equations for a parameter's update, declared with Tensors and compiled to native code.

A user's optimizer is a dataclass with the same three methods, compiled as the built-in ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...declare.functions.basic import maximum, sqrt, square
from ...declare.tensor import Tensor
from ...support.api_guard import api, taking
from ...support.arguments import check_positive, check_within, flag, is_number, use_plain_numbers
from ...support.errors import ArgumentError, DtypeError, StructureError, Where, shown, user_line, warn
from .schedules import Schedule, rate_of, schedule_from, schedule_text

Slots = Mapping[str, Tensor]
DOUBTFUL_BETA = 0.3
"""A smaller beta1 is probably the weight decay, which is the second argument of Keras' AdamW."""
Rate = float | Schedule | Callable[[int], float]


@api
@dataclass(frozen=True)
class Optimizer:
    """Base class of optimizers.

    Args:
        learning_rate: A number, a schedule, or a function from the update's number (0, 1, …) to a number.
    """

    learning_rate: Rate

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        rate_of(self.learning_rate, 0)

    def slots(self) -> Mapping[str, float]:
        """Return the names of arrays that the optimizer stores for each parameter, with their initial value."""
        return {}

    def numbers(self, update: int) -> Mapping[str, float]:
        """Return scalars that change from update to update, in float64.

        Args:
            update: Index of the update, from 0.
        """
        return {"rate": rate_of(self.learning_rate, update)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        """Return (parameter, slots) after an update. It is traced once per parameter.

        Args:
            parameter: The parameter.
            gradient: Its gradient.
            slots: The optimizer's state for the parameter, by name.
            numbers: Results of ``numbers``, as scalars of the parameter's dtype, by name.
        """
        raise NotImplementedError


_OURS = f"{__name__.partition('.')[0]}."
METHODS = {"slots": (), "numbers": ("update",), "update": ("parameter", "gradient", "slots", "numbers")}


def check_methods(optimizer: Optimizer, where: Where | None) -> None:
    """Raise ``CallError`` if a method of a user's optimizer does not accept its arguments."""
    for name, arguments in METHODS.items():
        taking(getattr(optimizer, name), f"{type(optimizer).__name__}.{name}", *arguments, where=where)


def is_own(optimizer: Optimizer) -> bool:
    """True for a user's optimizer."""
    return not type(optimizer).__module__.startswith(_OURS)


def _check_named(numbers: Any, what: str) -> None:
    if not isinstance(numbers, Mapping) or not all(
        isinstance(name, str) and is_number(numbers[name]) for name in numbers
    ):
        raise DtypeError(f"{what} is {shown(numbers)}; give a mapping from names to finite numbers")


def slots_of(optimizer: Optimizer) -> Mapping[str, float]:
    """Return an optimizer's slots, validated."""
    slots = optimizer.slots()
    if is_own(optimizer):
        _check_named(slots, f"{type(optimizer).__name__}.slots()")
    return slots


def numbers_of(optimizer: Optimizer, update: int, names: Collection[str] = ()) -> Mapping[str, float]:
    """Return an optimizer's numbers for an update, validated.

    Raises:
        DtypeError: A user's optimizer does not return a mapping from names to numbers.
        StructureError: The names differ from those before.
    """
    numbers = optimizer.numbers(update)
    if not is_own(optimizer):
        return numbers
    what = f"{type(optimizer).__name__}.numbers({update})"
    _check_named(numbers, what)
    if names and numbers.keys() != set(names):
        raise StructureError(
            f"{what} has the names {', '.join(numbers) or 'none'}, but an earlier update had {', '.join(names)}; "
            "return the same names for each update"
        )
    return numbers


def _decayed(gradient: Tensor, parameter: Tensor, weight_decay: float) -> Tensor:
    return gradient + parameter * weight_decay if weight_decay else gradient


@api
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent (Sutskever et al. 2013, in torch's form).

    b = momentum · b + g; p = p − rate · b; with ``nesterov`` p = p − rate · (g + momentum · b).

    Args:
        learning_rate: As for ``Optimizer``.
        momentum: Factor of the sum of earlier gradients, from 0 to below 1.
        nesterov: Use Nesterov's momentum.
        weight_decay: Adds weight_decay · p to the gradient.
    """

    learning_rate: Rate
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_within("momentum", self.momentum, 0, 1)
        check_within("weight_decay", self.weight_decay, 0, float("inf"))
        if flag(self.nesterov, "nesterov") and not self.momentum:
            raise ArgumentError("nesterov=True needs a momentum above 0")

    def slots(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        if not self.momentum:
            return parameter - gradient * numbers["rate"], {}
        velocity = slots["momentum"] * self.momentum + gradient
        step = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - step * numbers["rate"], {"momentum": velocity}


@api
@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp (Tieleman & Hinton 2012).

    v = decay · v + (1 − decay) · g²; p = p − rate · g / (√v + epsilon). TensorFlow 1's has ``initial_square=1``,
    ``epsilon_in_root=True``, ``rate_in_momentum=True`` and ``epsilon=1e-10``.

    Args:
        learning_rate: As for ``Optimizer``.
        decay: Share of v that is kept.
        momentum: As in torch: b = momentum · b + g / (√v + epsilon), p = p − rate · b.
        epsilon: Added to the divisor.
        centered: Take v − (mean of g)² under the root (Graves 2013, eq. 38).
        weight_decay: As for ``SGD``.
        initial_square: Initial value of v.
        epsilon_in_root: √(v + epsilon) instead of √v + epsilon.
        rate_in_momentum: b = momentum · b + rate · g / …, p = p − b, which differs if the rate changes. No effect
            without ``momentum``.
    """

    learning_rate: Rate
    decay: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False
    weight_decay: float = 0.0
    initial_square: float = 0.0
    epsilon_in_root: bool = False
    rate_in_momentum: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_within("decay", self.decay, 0, 1)
        check_within("momentum", self.momentum, 0, 1)
        check_positive("epsilon", self.epsilon)
        for name in ("centered", "epsilon_in_root", "rate_in_momentum"):
            flag(getattr(self, name), name)
        for name in ("weight_decay", "initial_square"):
            check_within(name, getattr(self, name), 0, float("inf"))

    def slots(self) -> dict[str, float]:
        names = [*(["mean"] if self.centered else []), *(["momentum"] if self.momentum else [])]
        return {"square": self.initial_square, **dict.fromkeys(names, 0.0)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        new = {"square": slots["square"] * self.decay + square(gradient) * (1 - self.decay)}
        under = new["square"]
        if self.centered:
            new["mean"] = slots["mean"] + (gradient - slots["mean"]) * (1 - self.decay)
            under = maximum(under - square(new["mean"]), 0.0)  # rounding of steady gradients can leave less than 0
        root = sqrt(under + self.epsilon) if self.epsilon_in_root else sqrt(under) + self.epsilon
        step, rate = gradient / root, numbers["rate"]
        if not self.momentum:
            return parameter - step * rate, new
        velocity = slots["momentum"] * self.momentum
        if self.rate_in_momentum:
            new["momentum"] = velocity + step * rate
            return parameter - new["momentum"], new
        new["momentum"] = velocity + step
        return parameter - new["momentum"] * rate, new


@api
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): s = s + g²; p = p − rate · g / (√s + epsilon).

    Args:
        learning_rate: As for ``Optimizer``.
        initial_accumulator: Initial value of s.
        epsilon: Added to the divisor.
        rate_decay: The rate of update n (from 0) is divided by 1 + n · rate_decay.
        weight_decay: As for ``SGD``.
    """

    learning_rate: Rate
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10
    rate_decay: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("initial_accumulator", "epsilon", "rate_decay", "weight_decay"):
            check_within(name, getattr(self, name), 0, float("inf"))
        if not self.epsilon and not self.initial_accumulator:
            raise ArgumentError("epsilon=0 needs an initial_accumulator above 0; else a gradient of 0 is divided by 0")

    def slots(self) -> dict[str, float]:
        return {"sum": self.initial_accumulator}

    def numbers(self, update: int) -> dict[str, float]:
        return {"rate": rate_of(self.learning_rate, update) / (1 + update * self.rate_decay)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        total = slots["sum"] + square(gradient)
        return parameter - gradient * numbers["rate"] / (sqrt(total) + self.epsilon), {"sum": total}


@api
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²; p = p − rate · m̂ / (√v̂ + epsilon), m̂ = m/(1 − β₁ᵗ), v̂ likewise.

    Args:
        learning_rate: As for ``Optimizer``.
        beta1: β₁, share of m that is kept.
        beta2: β₂, share of v that is kept.
        epsilon: Added to the divisor.
        weight_decay: Adds weight_decay · p to the gradient; see ``AdamW``.
    """

    learning_rate: Rate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_within("beta1", self.beta1, 0, 1)
        check_within("beta2", self.beta2, 0, 1)
        check_positive("epsilon", self.epsilon)
        check_within("weight_decay", self.weight_decay, 0, float("inf"))

    def slots(self) -> dict[str, float]:
        return {"mean": 0.0, "square": 0.0}

    def numbers(self, update: int) -> dict[str, float]:
        rate = rate_of(self.learning_rate, update)
        first, second = 1 - self.beta1 ** (update + 1), 1 - self.beta2 ** (update + 1)
        return {"rate": rate, "step": rate / first, "root": second**-0.5}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        gradient = self._gradient(gradient, parameter)
        mean = slots["mean"] + (gradient - slots["mean"]) * (1 - self.beta1)
        squares = slots["square"] * self.beta2 + square(gradient) * (1 - self.beta2)
        step = mean * numbers["step"] / (sqrt(squares) * numbers["root"] + self.epsilon)
        return self._shrunk(parameter, numbers) - step, {"mean": mean, "square": squares}

    def _gradient(self, gradient: Tensor, parameter: Tensor) -> Tensor:
        """Return the gradient with the weight decay, if the optimizer adds it to the gradient."""
        return _decayed(gradient, parameter, self.weight_decay)

    def _shrunk(self, parameter: Tensor, numbers: Slots) -> Tensor:
        """Return the parameter after decoupled weight decay. Adam has none."""
        return parameter


@api
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    p is first multiplied by 1 − rate · weight_decay. ``beta1``, ``beta2`` and other arguments are as for ``Adam``.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.beta1 < DOUBTFUL_BETA:
            warn(
                f"beta1={self.beta1:g} of AdamW is the share of the mean that stays, usually about 0.9; to set the "
                f"weight decay, write weight_decay={self.beta1:g}",
                user_line(),
            )

    def _gradient(self, gradient: Tensor, parameter: Tensor) -> Tensor:
        return gradient

    def _shrunk(self, parameter: Tensor, numbers: Slots) -> Tensor:
        return parameter - parameter * (numbers["rate"] * self.weight_decay)


OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, RMSProp, Adagrad, Adam, AdamW)


def optimizer_text(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer as JSON values. Raise ``ArgumentError`` for a user's own."""
    if type(optimizer) not in OPTIMIZERS:
        raise ArgumentError(
            f"can't save the optimizer {type(optimizer).__name__}, which is your code; use one of rnngraph, such "
            "as rg.Adam"
        )
    named = {item.name: getattr(optimizer, item.name) for item in fields(optimizer)}
    return {
        "optimizer": type(optimizer).__name__,
        **named,
        "learning_rate": schedule_text(optimizer.learning_rate),
    }


def optimizer_from(text: Mapping[str, Any]) -> Optimizer:
    """Return the optimizer that ``optimizer_text`` wrote. Raise ``ArgumentError`` for an unknown class."""
    kinds = {kind.__name__: kind for kind in OPTIMIZERS}
    if text["optimizer"] not in kinds:
        raise ArgumentError(
            f"the file has an unknown optimizer {text['optimizer']!r}; load it with the version that saved it"
        )
    named = {key: value for key, value in text.items() if key != "optimizer"}
    named["learning_rate"] = schedule_from(named["learning_rate"])
    return kinds[text["optimizer"]](**named)
