"""Cells whose gates read the input alone, so that all steps of a sequence can be trained at once (Feng et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...support.arguments import units
from ..cell import Scope
from ..functions.activations import activation_function
from ..functions.basic import sigmoid
from ..tensor import Tensor
from .basic import Activation
from .parts import PartsCell, product


class _Minimal(PartsCell):
    """Base class of ``MinGRUCell`` and ``MinLSTMCell``, whose state is one vector h."""

    def __init__(self, num_units: int, activation: Activation = None) -> None:
        self.num_units = units(num_units, "num_units")
        self.activation = activation_function(activation)

    def state(self) -> Any:
        return {"h": self.num_units}


class MinGRUCell(_Minimal):
    """Minimal GRU (Feng et al. 2024).

        h' = (1 - z) h + z c,  z = sigmoid(x K_z + b_z),  c = activation(x K_c + b_c)

    The output is h'. Parameters: ``kernel`` [inputs, 2 units] with columns z, c, and ``bias`` [2 units].
    State: h [batch, units].

    The input is one Tensor, or a dict of z and c of the formula [batch, units]. For a dict, the cell has no parameters.

    Args:
        num_units: Width of the state.
        activation: Name, function, or None for no activation. The paper's form that computes in logarithms has
            ``lambda c: rg.where(c < 0, rg.sigmoid(c), c + 0.5)``.
    """

    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys("zc", (self.num_units,))

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        z, c = product(p, x, [self.num_units] * 2, use_bias=True)
        return sigmoid(z), self.activation(c)

    def _recurrence(self, p: Scope, state: Any, z: Tensor, c: Tensor) -> tuple[Tensor, Any]:
        h = (1 - z) * state["h"] + z * c
        return h, {"h": h}


class MinLSTMCell(_Minimal):
    """Minimal LSTM (Feng et al. 2024), whose two gates are divided by their sum.

        h' = (f h + i c) / (f + i),  f = sigmoid(x K_f + b_f),  i = sigmoid(x K_i + b_i),  c = activation(x K_c + b_c)

    The output is h'. Parameters: ``kernel`` [inputs, 3 units] with columns f, i, c, and ``bias`` [3 units].
    State: h [batch, units].

    The input is one Tensor, or a dict of f, i and c of the formula [batch, units]. For a dict, the cell has no
    parameters.

    Args:
        num_units: Width of the state.
        activation: As for ``rg.MinGRUCell``.
    """

    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys("fic", (self.num_units,))

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        f, i, c = product(p, x, [self.num_units] * 3, use_bias=True)
        return sigmoid(f), sigmoid(i), self.activation(c)

    def _recurrence(self, p: Scope, state: Any, f: Tensor, i: Tensor, c: Tensor) -> tuple[Tensor, Any]:
        total = f + i
        h = f / total * state["h"] + i / total * c
        return h, {"h": h}
