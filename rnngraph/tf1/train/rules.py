"""TensorFlow 1.15's update rules, as functions of Tensors that compute in the order of its kernels.

Options are rounded to float32, for variables of all dtypes, as TensorFlow does
(tensorflow/core/kernels/training_ops.cc).

In equations, p is the parameter and g its gradient. Other letters on the left are slots or intermediate values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...declare.functions.basic import abs as absolute
from ...declare.functions.basic import maximum, sign, sqrt, square, where
from ...declare.functions.elementary.powers import power
from ...declare.tensor import Tensor, build
from ...training.optimization.optimizers import Optimizer, Slots

New = tuple[Tensor, Slots]


def rounded(value: Any) -> float:
    """Return a number rounded to float32, as a Python float."""
    return float(np.float32(value))


@dataclass(frozen=True)
class Rule(Optimizer):
    """Base of update rules.

    If the step has a mask of the rows that it looked up, all other rows stay unchanged, as in TensorFlow's sparse
    updates.

    Attributes:
        present: Scalars of the next update by name, such as the rate. The training operation sets them.
    """

    learning_rate: Any = 0.0
    present: dict[str, float] = field(default_factory=dict, compare=False)

    def numbers(self, update: int) -> dict[str, float]:
        return self.present

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        new, new_slots = self.updated(parameter, gradient, slots, numbers)
        if "met" not in numbers:
            return new, new_slots
        touched = build("broadcast", numbers["met"], shape=parameter.type.shape)
        return where(touched, new, parameter), {name: where(touched, new_slots[name], slots[name]) for name in slots}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        """Return (new parameter, new slots) for all rows."""
        raise NotImplementedError


class EveryRow:
    """Mixin for rules that need no row mask.

    Their sparse updates change all rows, or their equations leave rows without a gradient unchanged.
    """


@dataclass(frozen=True)
class GradientDescent(EveryRow, Rule):
    """p = p − rate · g."""

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        return parameter - gradient * numbers["rate"], {}


@dataclass(frozen=True)
class Momentum(Rule):
    """a = momentum · a + g; p = p − rate · a, with Nesterov p = p − (rate · g + rate · momentum · a)."""

    nesterov: bool = False

    def slots(self) -> dict[str, float]:
        return {"accumulator": 0.0}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        momentum, rate = numbers["momentum"], numbers["rate"]
        total = slots["accumulator"] * momentum + gradient
        step = gradient * rate + total * momentum * rate if self.nesterov else total * rate
        return parameter - step, {"accumulator": total}


@dataclass(frozen=True)
class Adam(EveryRow, Rule):
    """m = m + (g − m)(1 − β₁); v = v + (g² − v)(1 − β₂); p = p − m · rate √(1 − β₂ᵗ) / (1 − β₁ᵗ) / (√v + ε)."""

    def slots(self) -> dict[str, float]:
        return {"mean": 0.0, "square": 0.0}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        step = numbers["rate"] * sqrt(1.0 - numbers["beta2_power"]) / (1.0 - numbers["beta1_power"])
        mean = slots["mean"] + (gradient - slots["mean"]) * (1.0 - numbers["beta1"])
        squares = slots["square"] + (square(gradient) - slots["square"]) * (1.0 - numbers["beta2"])
        return parameter - mean * step / (sqrt(squares) + numbers["epsilon"]), {"mean": mean, "square": squares}


@dataclass(frozen=True)
class RMSProp(Rule):
    """s = s + (g² − s)(1 − decay); b = momentum · b + rate · g / √(s + ε); p = p − b.

    With ``centered``, the root is √(s − m² + ε), where m is the running mean of g.
    """

    centered: bool = False

    def slots(self) -> dict[str, float]:
        return {"square": 1.0, **({"mean": 0.0} if self.centered else {}), "momentum": 0.0}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        """Return the new parameter and slots after a step of RMSProp with momentum."""
        new = {"square": slots["square"] + (square(gradient) - slots["square"]) * (1.0 - numbers["decay"])}
        under = new["square"] + numbers["epsilon"]
        if self.centered:
            new["mean"] = slots["mean"] + (gradient - slots["mean"]) * (1.0 - numbers["decay"])
            under = new["square"] - square(new["mean"]) + numbers["epsilon"]
        new["momentum"] = slots["momentum"] * numbers["momentum"] + gradient * numbers["rate"] / sqrt(under)
        return parameter - new["momentum"], new


@dataclass(frozen=True)
class Adagrad(EveryRow, Rule):
    """s = s + g²; p = p − rate · g / √s."""

    start: float = 0.1

    def slots(self) -> dict[str, float]:
        return {"sum": self.start}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        total = slots["sum"] + square(gradient)
        return parameter - gradient * numbers["rate"] / sqrt(total), {"sum": total}


@dataclass(frozen=True)
class Adadelta(Rule):
    """s = ρ s + (1 − ρ) g²; u = √(d + ε) / √(s + ε) · g; p = p − rate · u; d = ρ d + (1 − ρ) u²."""

    def slots(self) -> dict[str, float]:
        return {"square": 0.0, "update": 0.0}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        rho, epsilon = numbers["rho"], numbers["epsilon"]
        squares = slots["square"] * rho + square(gradient) * (1.0 - rho)
        step = sqrt(slots["update"] + epsilon) / sqrt(squares + epsilon) * gradient
        updates = slots["update"] * rho + square(step) * (1.0 - rho)
        return parameter - step * numbers["rate"], {"square": squares, "update": updates}


@dataclass(frozen=True)
class Ftrl(Rule):
    """Follow the regularized leader (McMahan et al. 2013).

    n = s + g²; l = l + g − (n^−k − s^−k) / rate · p; s = n.
    p = (sign(l) l₁ − l) / (n^−k / rate + 2 l₂) where |l| > l₁, else 0.

    k is ``exponent``. With ``shrinkage``, g + 2 · shrinkage · p replaces g in l.
    """

    start: float = 0.1
    exponent: float = -0.5
    l1: float = 0.0
    l2: float = 0.0
    shrinkage: float = 0.0

    def slots(self) -> dict[str, float]:
        return {"sum": self.start, "linear": 0.0}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        """Return the new parameter and slots after a step of FTRL."""
        rate = numbers["rate"]
        total = slots["sum"] + square(gradient)
        before, after = self._root(slots["sum"]), self._root(total)
        shrunk = gradient + parameter * (2.0 * self.shrinkage) if self.shrinkage else gradient
        linear = slots["linear"] + shrunk - (after - before) / rate * parameter
        above = (sign(linear) * self.l1 - linear) / (after / rate + 2.0 * self.l2)
        new = where(absolute(linear) > self.l1, above, parameter * 0.0)
        return new, {"sum": total, "linear": linear}

    def _root(self, x: Tensor) -> Tensor:
        """Return x^-k, for the rule's learning rate power k."""
        return sqrt(x) if self.exponent == -0.5 else power(x, -self.exponent)


@dataclass(frozen=True)
class ProximalGradientDescent(Rule):
    """q = p − rate · g; p = sign(q) max(|q| − rate · l₁, 0) / (1 + rate · l₂) (Duchi & Singer 2009)."""

    l1: float = 0.0
    l2: float = 0.0

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        return self._shrunk(parameter - gradient * numbers["rate"], numbers["rate"]), {}

    def _shrunk(self, x: Tensor, rate: Tensor) -> Tensor:
        """Return x after the L1 and L2 penalties: sign(x) max(|x| − rate · l₁, 0) / (1 + rate · l₂)."""
        if self.l1:
            x = sign(x) * maximum(absolute(x) - rate * self.l1, 0.0)
        return x / (1.0 + rate * self.l2)


@dataclass(frozen=True)
class ProximalAdagrad(ProximalGradientDescent):
    """``ProximalGradientDescent`` in which each element has the rate of ``Adagrad``."""

    start: float = 0.1

    def slots(self) -> dict[str, float]:
        return {"sum": self.start}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        total = slots["sum"] + square(gradient)
        rate = numbers["rate"] / sqrt(total)
        return self._shrunk(parameter - gradient * rate, rate), {"sum": total}


@dataclass(frozen=True)
class AdagradDual(Rule):
    """s = s + g; q = q + g²; p = −rate · sign(s) max(|s| − l₁ t, 0) / (l₂ t rate + √q).

    t is the global step plus 1.
    """

    start: float = 0.1
    l1: float = 0.0
    l2: float = 0.0

    def slots(self) -> dict[str, float]:
        return {"sum": 0.0, "square": self.start}

    def updated(self, parameter: Tensor, gradient: Tensor, slots: Slots, numbers: Slots) -> New:
        rate, count = numbers["rate"], numbers["count"]
        total, squares = slots["sum"] + gradient, slots["square"] + square(gradient)
        shrunk = sign(total) * maximum(absolute(total) - count * self.l1, 0.0) if self.l1 else total
        return -(shrunk * rate) / (count * self.l2 * rate + sqrt(squares)), {"sum": total, "square": squares}
