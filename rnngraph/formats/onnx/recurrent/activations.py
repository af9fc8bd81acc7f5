"""Activations of recurrent nodes: a name, with alpha and beta."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....declare.functions.activations import ACTIVATIONS, elu, hard_sigmoid, leaky_relu
from ....declare.functions.basic import clip
from ...expressions import Applied
from ..core.functions import affine, scaled_tanh, thresholded_relu
from ..core.sizes import UnreadableError
from ..core.values import shortest

_DEFAULTS: dict[str, tuple[float, ...]] = {
    "affine": (0.0, 0.0),
    "relu": (),
    "leakyrelu": (0.01,),
    "thresholdedrelu": (0.0,),
    "tanh": (),
    "scaledtanh": (0.0, 0.0),
    "sigmoid": (),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0,),
    "softsign": (),
    "softplus": (),
}
"""onnxruntime's defaults of alpha and beta, by lower-case name.

The table includes activations that ONNX no longer has.
"""
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "affine": affine,
    "leakyrelu": leaky_relu,
    "thresholdedrelu": thresholded_relu,
    "scaledtanh": scaled_tanh,
    "hardsigmoid": hard_sigmoid,
    "elu": elu,
}
_PLAIN = {("hardsigmoid", (0.2, 0.5)): "hard_sigmoid", ("elu", (1.0,)): "elu"}


@dataclass(frozen=True)
class Activation:
    """Activation with its parameters ``numbers``: alpha and beta, only alpha, or none."""

    name: str
    numbers: tuple[float, ...] = ()

    @property
    def plain(self) -> str | None:
        """rnngraph's name of the activation; None if rnngraph has no name for it with these parameters."""
        return _PLAIN.get((self.name, self.numbers)) if self.numbers else self.name

    def function(self, limit: float | None = None) -> Any:
        """Return a function of x, which first clamps x to ±``limit``; None for no limit."""
        inner = None if limit is None else Applied(clip, (-limit, limit))
        if self.plain is None:
            return Applied(_FUNCTIONS[self.name], self.numbers, inner)
        return ACTIVATIONS[self.plain] if inner is None else Applied(ACTIVATIONS[self.plain], (), inner)

    def argument(self, limit: float | None = None) -> Any:
        """Return an argument for a built-in cell: a name if possible, else a function."""
        return self.function(limit) if limit is not None or self.plain is None else self.plain


def activations_of(names: Sequence[Any], alphas: Sequence[float], betas: Sequence[float]) -> list[Activation]:
    """Return activations with their alphas and betas.

    Args:
        names: Names of the activations.
        alphas: Alphas, in order, of the activations that have one. Defaults replace missing ones.
        betas: Betas, in order, of the activations that have one. Defaults replace missing ones.
    """
    alpha, beta = iter(alphas), iter(betas)
    return [_activation(str(name), alpha, beta) for name in names]


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    """Return an activation, with the next alpha and beta if it has these parameters."""
    small = name.lower()
    defaults = _DEFAULTS.get(small)
    if defaults is None:
        raise UnreadableError(f"activation {name!r} is unknown; supported are {', '.join(_DEFAULTS)}")
    numbers = [shortest(next(source, default)) for source, default in zip((alphas, betas), defaults, strict=False)]
    return Activation(small, tuple(numbers))
