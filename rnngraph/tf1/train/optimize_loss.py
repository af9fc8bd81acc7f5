"""``tf.contrib.layers.optimize_loss``, which combines an optimizer with clipping, decay and summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.initializers import Constant
from ...declare.tensor import Tensor, build
from ...support.api_guard import taking
from ...support.arguments import one_of
from ...support.errors import ArgumentError, DtypeError, shown
from ..core.graph import GraphKeys, get_default_graph
from ..core.scopes import variable_scope
from ..core.tensors import gives_tensors
from ..core.variables import get_variable
from ..summary.summaries import histogram, scalar
from .gradients import clip_by_global_norm, global_norm
from .optimizers import (
    AdagradOptimizer,
    AdamOptimizer,
    FtrlOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    RMSPropOptimizer,
)

OPTIMIZER_CLS_NAMES: dict[str, Callable[..., Optimizer]] = {
    "Adagrad": AdagradOptimizer,
    "Adam": AdamOptimizer,
    "Ftrl": FtrlOptimizer,
    "Momentum": lambda learning_rate: MomentumOptimizer(learning_rate, momentum=0.9),
    "RMSProp": RMSPropOptimizer,
    "SGD": GradientDescentOptimizer,
}
OPTIMIZER_SUMMARIES = ("learning_rate", "loss", "gradients", "gradient_norm", "global_gradient_norm")


@gives_tensors
def optimize_loss(
    loss: Tensor,
    global_step: Any,
    learning_rate: Any,
    optimizer: Any,
    gradient_noise_scale: Any = None,
    gradient_multipliers: Any = None,
    clip_gradients: Any = None,
    learning_rate_decay_fn: Any = None,
    update_ops: Any = None,
    variables: Any = None,
    name: str | None = None,
    summaries: Sequence[str] | None = None,
    colocate_gradients_with_ops: bool = False,
    increment_global_step: bool = True,
) -> Tensor:
    """Return a Tensor. A run that fetches it takes a training step, and returns the loss from before the step.

    Args:
        loss: The loss, a scalar.
        global_step: Variable that counts updates, or None.
        learning_rate: A Tensor; a number, which becomes the initial value of a variable; or None if ``optimizer`` needs
            no rate.
        optimizer: A name such as "Adam", an optimizer, an optimizer class, or a function of the rate.
        gradient_noise_scale: Not offered.
        gradient_multipliers: Factors of gradients, by variable or by name of a variable.
        clip_gradients: Maximum global norm, or a function of the list of (gradient, variable) pairs that returns
            clipped pairs.
        learning_rate_decay_fn: Function of the rate and ``global_step`` that returns the decayed rate.
        update_ops: Operations that run before the step. None: those in the collection ``UPDATE_OPS``.
        variables: Variables to train. None: all trainable variables.
        name: Variable scope, by default "OptimizeLoss".
        summaries: Values to summarize, of ``OPTIMIZER_SUMMARIES``. By default "loss", "learning_rate" and
            "global_gradient_norm".
        colocate_gradients_with_ops: No effect.
        increment_global_step: False leaves ``global_step`` unchanged.
    """
    if gradient_noise_scale is not None:
        raise ArgumentError("optimize_loss: gradient_noise_scale is not offered; leave it out")
    graph = get_default_graph()
    summary_names = ("loss", "learning_rate", "global_gradient_norm") if summaries is None else summaries
    for summary in summary_names:
        one_of(summary, "optimize_loss: summaries", OPTIMIZER_SUMMARIES)
    with variable_scope(name, "OptimizeLoss"):
        rate = learning_rate
        if isinstance(rate, int | float):
            start = Constant(np.float32(rate))
            rate = get_variable("learning_rate", [], trainable=False, initializer=start)
        if learning_rate_decay_fn is not None:
            decayed = taking(
                learning_rate_decay_fn, "optimize_loss: learning_rate_decay_fn", "learning_rate", "global_step"
            )
            rate = decayed(rate, global_step)
            if "learning_rate" in summary_names:
                scalar("learning_rate", rate)
        minimizer = _optimizer_of(optimizer, rate)
        pairs = minimizer.compute_gradients(loss, variables)
        pairs = [(_scaled(gradient, variable, gradient_multipliers), variable) for gradient, variable in pairs]
        has_norm = "global_gradient_norm" in summary_names or "gradient_norm" in summary_names
        if has_norm:
            scalar("global_norm/gradient_norm", global_norm([gradient for gradient, _ in pairs]))
        pairs = _clipped(pairs, clip_gradients)
        _summarize(pairs, summary_names)
        if has_norm and clip_gradients is not None:
            scalar("global_norm/clipped_gradient_norm", global_norm([gradient for gradient, _ in pairs]))
        if "loss" in summary_names:
            scalar("loss", loss)
        step = minimizer.apply_gradients(pairs, global_step if increment_global_step else None, "train")
        updates = graph.get_collection(GraphKeys.UPDATE_OPS) if update_ops is None else list(update_ops)
        result = build("reshape", loss, shape=loss.type.shape)
        updates = [item for item in updates if hasattr(item, "execute")]
        graph.require(result, [*graph.collections["control_inputs"], *updates, step])
    return result


def _summarize(pairs: Sequence[Any], names: Sequence[str]) -> None:
    """Summarize the gradient of each variable: its distribution for "gradients", its norm for "gradient_norm"."""
    for gradient, variable in pairs:
        if gradient is not None and "gradients" in names:
            histogram(f"gradients/{variable.full}_0", gradient)
        if gradient is not None and "gradient_norm" in names:
            scalar(f"gradient_norm/{variable.full}_0", global_norm([gradient]))


def _optimizer_of(optimizer: Any, rate: Any) -> Optimizer:
    """Return the optimizer that ``optimizer`` is, or that it makes as a name, class or function."""
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZER_CLS_NAMES:
            names = ", ".join(OPTIMIZER_CLS_NAMES)
            raise ArgumentError(f"optimize_loss: there is no optimizer {shown(optimizer)}; use one of {names}")
        return OPTIMIZER_CLS_NAMES[optimizer](learning_rate=rate)
    result = optimizer
    if callable(optimizer):  # a class or a function
        arguments = {} if rate is None else {"learning_rate": rate}
        result = taking(optimizer, "optimize_loss: optimizer", *arguments)(*arguments.values())
    if not isinstance(result, Optimizer):
        raise DtypeError(f"optimize_loss: optimizer must be a name or a tf.train optimizer, not {shown(optimizer)}")
    return result


def _scaled(gradient: Any, variable: Any, factors: Any) -> Any:
    """Return a gradient times the factor of its variable, if ``factors`` has one."""
    known = [factors[key] for key in (variable.full, variable.name) if key in factors] if factors else []
    known += [factor for key, factor in (factors or {}).items() if key is variable]
    return gradient if gradient is None or not known else gradient * known[0]


def _clipped(pairs: list[Any], limit: Any) -> list[Any]:
    """Return (gradient, variable) pairs with gradients clipped by ``limit``: a norm, a function or None."""
    if limit is None:
        return pairs
    if callable(limit):
        return list(taking(limit, "optimize_loss: clip_gradients", "gradients")(pairs))
    gradients, _ = clip_by_global_norm([gradient for gradient, _ in pairs], limit)
    return list(zip(gradients, [variable for _, variable in pairs], strict=True))
