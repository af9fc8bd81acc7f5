"""Optimizers: how a parameter moves, as equations of Tensors. The compiler makes one native update of them.

An optimizer of your own is a dataclass with the same three methods; it is compiled as the built-in ones are.
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
"""A beta1 below it is more likely the weight decay, which Keras' AdamW takes second."""
Rate = float | Schedule | Callable[[int], float]


@api
@dataclass(frozen=True)
class Optimizer:
    """Base of optimizers.

    learning_rate: a number, a schedule, or a function from the update's number (0, 1, …) to a number.
    """

    learning_rate: Rate

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        rate_of(self.learning_rate, 0)

    def slots(self) -> Mapping[str, float]:
        """What each parameter keeps between updates: names, and the value that all elements begin with."""
        return {}

    def numbers(self, update: int) -> Mapping[str, float]:
        """Numbers that change from update to update, computed in float64; the first update is 0."""
        return {"rate": rate_of(self.learning_rate, update)}

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> tuple[Tensor, Slots]:
        """(parameter, slots) after an update. Traced once for each parameter; numbers are scalars of its dtype."""
        raise NotImplementedError


_OURS = f"{__name__.partition('.')[0]}."
METHODS = {"slots": (), "numbers": ("update",), "update": ("parameter", "gradient", "slots", "numbers")}


def check_methods(optimizer: Optimizer, where: Where | None) -> None:
    """Raises ``CallError`` where a method of an optimizer of the user's own does not take what it is given."""
    for name, given in METHODS.items():
        taking(getattr(optimizer, name), f"{type(optimizer).__name__}.{name}", *given, where=where)


def is_own(optimizer: Optimizer) -> bool:
    """Whether an optimizer is of the user's own, whose numbers may be anything."""
    return not type(optimizer).__module__.startswith(_OURS)


def _check_named(given: Any, what: str) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and is_number(given[name]) for name in given):
        raise DtypeError(f"{what} is {shown(given)}; give a mapping from names to finite numbers")


def slots_of(optimizer: Optimizer) -> Mapping[str, float]:
    """What ``slots`` gives. Raises ``DtypeError`` where that is no mapping from names to numbers."""
    given = optimizer.slots()
    if is_own(optimizer):
        _check_named(given, f"{type(optimizer).__name__}.slots()")
    return given


def numbers_of(optimizer: Optimizer, update: int, names: Collection[str] = ()) -> Mapping[str, float]:
    """What ``numbers`` gives for an update. Of an optimizer of the user's own raises ``DtypeError`` where that is no
    mapping from names to numbers, and ``StructureError`` where the names are not those that it gave before.
    """
    given = optimizer.numbers(update)
    if not is_own(optimizer):
        return given
    what = f"{type(optimizer).__name__}.numbers({update})"
    _check_named(given, what)
    if names and given.keys() != set(names):
        raise StructureError(
            f"{what} has the names {', '.join(given) or 'none'}, and before {', '.join(names)}; give the same ones for "
            "each update"
        )
    return given


def _decayed(gradient: Tensor, parameter: Tensor, weight_decay: float) -> Tensor:
    return gradient + parameter * weight_decay if weight_decay else gradient


@api
@dataclass(frozen=True)
class SGD(Optimizer):
    """b = momentum · b + g; p = p − rate · b; with ``nesterov`` p = p − rate · (g + momentum · b).

    Sutskever et al. 2013, in the form that torch uses. weight_decay adds weight_decay · p to the gradient.
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
    """v = decay · v + (1 − decay) · g²; p = p − rate · g / (√v + epsilon).

    Tieleman & Hinton 2012.

    centered: v − (mean of g)² under the root (Graves 2013, eq. 38); momentum as in torch: b = momentum · b + g / (√v +
        epsilon), p = p − rate · b.

    initial_square: what v begins with.
    epsilon_in_root: √(v + epsilon) in place of √v + epsilon.
    rate_in_momentum: b = momentum · b + rate · g / …, p = p − b, which differs where the rate changes.

    TensorFlow 1's optimizer is that with initial_square=1, both of these and epsilon=1e-10.
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
            under = maximum(under - square(new["mean"]), 0.0)  # of steady gradients rounding leaves less than 0
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
    """s = s + g²; p = p − rate · g / (√s + epsilon) (Duchi et al. 2011).

    rate_decay: the rate of update n (from 0) is divided by 1 + n · rate_decay.

    initial_accumulator: what s begins with.
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
    """m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²; p = p − rate · m̂ / (√v̂ + epsilon), m̂ = m/(1 − β₁ᵗ), v̂ likewise.

    Kingma & Ba 2015, algorithm 1. weight_decay adds weight_decay · p to the gradient; see ``AdamW``.

    beta1, beta2: β₁ and β₂, how much of m and v stays.
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
        return _decayed(gradient, parameter, self.weight_decay)

    def _shrunk(self, parameter: Tensor, numbers: Slots) -> Tensor:
        return parameter


@api
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay is apart from the gradient: p is first multiplied by 1 − rate · weight_decay.

    Loshchilov & Hutter 2019, algorithm 2.

    beta1, beta2: as for ``Adam``.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.beta1 < DOUBTFUL_BETA:
            warn(
                f"beta1={self.beta1:g} of AdamW is what stays of the mean, the second number; a weight decay has its "
                f"name: weight_decay={self.beta1:g}",
                user_line(),
            )

    def _gradient(self, gradient: Tensor, parameter: Tensor) -> Tensor:
        return gradient

    def _shrunk(self, parameter: Tensor, numbers: Slots) -> Tensor:
        return parameter - parameter * (numbers["rate"] * self.weight_decay)


OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, RMSProp, Adagrad, Adam, AdamW)


def optimizer_text(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as what JSON can hold. Raises ``ArgumentError`` for code of the user's own."""
    if type(optimizer) not in OPTIMIZERS:
        raise ArgumentError(
            f"can't save: {type(optimizer).__name__} is an optimizer of yours, code that a file can't hold"
        )
    named = {item.name: getattr(optimizer, item.name) for item in fields(optimizer)}
    return {
        "optimizer": type(optimizer).__name__,
        **named,
        "learning_rate": schedule_text(optimizer.learning_rate),
    }


def optimizer_from(text: Mapping[str, Any]) -> Optimizer:
    """What ``optimizer_text`` wrote."""
    kinds = {kind.__name__: kind for kind in OPTIMIZERS}
    if text["optimizer"] not in kinds:
        raise ArgumentError(f"the file names an optimizer {text['optimizer']!r} that this version does not have")
    named = {key: value for key, value in text.items() if key != "optimizer"}
    named["learning_rate"] = schedule_from(named["learning_rate"])
    return kinds[text["optimizer"]](**named)
