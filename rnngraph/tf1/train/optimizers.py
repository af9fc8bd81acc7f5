"""Optimizers with TensorFlow 1.15's arguments: ``minimize``, ``compute_gradients``, ``apply_gradients``.

The arguments ``use_locking``, ``gate_gradients``, ``aggregation_method`` and ``colocate_gradients_with_ops`` have no
effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor
from ...support.api_guard import api, taking
from ...support.arguments import check_positive, check_within, number
from ...support.errors import ArgumentError, DtypeError, GraphError, shown
from ..core.graph import GraphKeys, get_default_graph
from ..core.operations import Operation
from ..core.variable import Variable
from . import rules
from .gradients import gradients
from .rules import Rule, rounded
from .slots import OptimizerState
from .train_op import TrainOp

Pair = tuple[Any, Any]


class Optimizer:
    """``tf.train.Optimizer``. A subclass defines an update rule, and the scalars of its equations.

    Attributes:
        slot_names: Names of slots in TensorFlow, by their names in the update rule.
    """

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2
    slot_names: Mapping[str, str] = {}

    @api
    def __init__(self, use_locking: bool = False, name: str = "Optimizer") -> None:
        if not isinstance(name, str) or not name:
            raise DtypeError(f"an optimizer's name must be a string, not {shown(name)}")
        self._name = name
        self._state: dict[Any, OptimizerState] = {}

    def get_name(self) -> str:
        """Return the optimizer's name, which prefixes the names of its variables."""
        return self._name

    def rule(self) -> Rule:
        """Return the update rule."""
        raise GraphError(
            "tf.train.Optimizer defines no update equations; use a subclass of tf.train, or subclass rg.Optimizer"
        )

    def numbers(self) -> dict[str, Any]:
        """Return the scalars of the update equations by name: numbers, functions without arguments, or Tensors."""
        return {}

    def powers(self) -> dict[str, float]:
        """Return the factor of each power, such as β₁ for β₁ᵗ, by name. Each update multiplies the power by it."""
        return {}

    @api
    def minimize(
        self,
        loss: Tensor,
        global_step: Any = None,
        var_list: Any = None,
        gate_gradients: int = 1,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Operation:
        """Return an operation that takes a training step: it computes the gradients of a loss, and applies them."""
        pairs = self.compute_gradients(loss, var_list, grad_loss=grad_loss)
        if all(gradient is None for gradient, _ in pairs):
            if var_list is not None:
                raise GraphError(f"the loss {loss!r} depends on no variable of var_list; give variables that it reads")
            raise GraphError(f"the loss {loss!r} depends on no trainable variable; create one, or give var_list=")
        return self.apply_gradients(pairs, global_step, name)

    @api
    def compute_gradients(
        self,
        loss: Tensor,
        var_list: Any = None,
        gate_gradients: int = 1,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[Pair]:
        """Return a (gradient, variable) pair for each variable. The gradient is None for variables not in the loss."""
        graph = get_default_graph()
        variables = graph.get_collection(GraphKeys.TRAINABLE_VARIABLES) if var_list is None else list(_leaves(var_list))
        for variable in variables:
            if not isinstance(variable, Variable):
                raise DtypeError(f"var_list needs variables, not {shown(variable)}")
        if not variables:
            raise GraphError("the graph has no variables to train; pass var_list=, or create variables first")
        return list(zip(gradients(loss, variables, grad_loss), variables, strict=True))

    @api
    def apply_gradients(
        self, grads_and_vars: Iterable[Pair], global_step: Any = None, name: str | None = None
    ) -> Operation:
        """Return an operation that updates variables by their gradients, or by Tensors computed from gradients."""
        pairs = [(gradient, variable) for gradient, variable in grads_and_vars if gradient is not None]
        if not pairs:
            raise GraphError(
                "apply_gradients has no gradients, because all are None; pass variables that the loss reads"
            )
        for gradient, variable in pairs:
            if not isinstance(variable, Variable) or not isinstance(gradient, Tensor):
                raise DtypeError(
                    f"apply_gradients needs (gradient, variable) pairs, not ({shown(gradient)}, {shown(variable)})"
                )
            if not variable.trainable and variable.dtype not in ("float32", "float64"):
                raise DtypeError(f"{variable!r} is not a float variable and has no gradient; leave it out")
        graph = get_default_graph()
        rule = replace(self.rule(), present={})
        state = self._state.get(graph)
        if state is None:
            state = self._state[graph] = OptimizerState(graph, self.powers())
        for _, variable in pairs:
            state.add_slots(rule, variable, self._name)
        train_op = TrainOp(rule, self.numbers(), state, pairs, global_step, name or self._name)
        graph.collections[GraphKeys.TRAIN_OP].append(train_op)
        return train_op

    def get_slot_names(self) -> list[str]:
        """Return the names of the optimizer's slots."""
        return sorted(self.slot_names.get(slot, slot) for slot in self.rule().slots())

    def get_slot(self, var: Any, name: str) -> Any:
        """Return the slot of a variable by the slot's name; None if it does not exist."""
        slot = {theirs: ours for ours, theirs in self.slot_names.items()}.get(name, name)
        state = self._state.get(get_default_graph())
        return None if state is None else state.variables.get((var.full, slot))

    def variables(self) -> list[Any]:
        """Return all variables of the optimizer's state."""
        state = self._state.get(get_default_graph())
        return [] if state is None else state.all_variables()


class GradientDescentOptimizer(Optimizer):
    """Gradient descent: p = p − rate · g."""

    @api
    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        super().__init__(use_locking, name)
        self._rate = learning_rate

    def rule(self) -> Rule:
        return rules.GradientDescent()

    def numbers(self) -> dict[str, Any]:
        return {"rate": self._rate}


class MomentumOptimizer(Optimizer):
    """Momentum: a = momentum · a + g; p = p − rate · a. ``use_nesterov`` selects Nesterov's momentum."""

    slot_names: Mapping[str, str] = {"accumulator": "momentum"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        momentum: Any,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(use_locking, name)
        self._numbers, self._nesterov = {"rate": learning_rate, "momentum": momentum}, bool(use_nesterov)

    def rule(self) -> Rule:
        return rules.Momentum(nesterov=self._nesterov)

    def numbers(self) -> dict[str, Any]:
        return self._numbers


class AdamOptimizer(Optimizer):
    """Adam (Kingma & Ba 2014). Epsilon is added to the root √v before the bias correction."""

    slot_names: Mapping[str, str] = {"mean": "m", "square": "v"}

    @api
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 1e-08,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(use_locking, name)
        self._numbers = {"rate": learning_rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}

    def rule(self) -> Rule:
        return rules.Adam()

    def numbers(self) -> dict[str, Any]:
        return self._numbers

    def powers(self) -> dict[str, float]:
        """Return the factors by which each update multiplies the powers of beta1 and beta2."""
        betas: dict[str, float] = {}
        for name in ("beta1", "beta2"):
            beta = self._numbers[name]
            if isinstance(beta, Tensor):
                raise ArgumentError(f"{name} of tf.train.AdamOptimizer must be a number, not {beta!r}")
            betas[f"{name}_power"] = rounded(
                taking(beta, f"{name} of tf.train.AdamOptimizer")() if callable(beta) else beta
            )
        return betas


class RMSPropOptimizer(Optimizer):
    """RMSProp with momentum. The mean of squares begins with 1, and epsilon is under the root."""

    slot_names: Mapping[str, str] = {"square": "rms", "mean": "mg"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        decay: Any = 0.9,
        momentum: Any = 0.0,
        epsilon: Any = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(use_locking, name)
        self._numbers = {"rate": learning_rate, "decay": decay, "momentum": momentum, "epsilon": epsilon}
        self._centered = bool(centered)

    def rule(self) -> Rule:
        return rules.RMSProp(centered=self._centered)

    def numbers(self) -> dict[str, Any]:
        return self._numbers


class AdagradOptimizer(Optimizer):
    """Adagrad (Duchi et al. 2011): s = s + g²; p = p − rate · g / √s."""

    slot_names: Mapping[str, str] = {"sum": "accumulator"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        initial_accumulator_value: float = 0.1,
        use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:
        super().__init__(use_locking, name)
        self._rate, self._start = learning_rate, _positive(initial_accumulator_value, "initial_accumulator_value")

    def rule(self) -> Rule:
        return rules.Adagrad(start=self._start)

    def numbers(self) -> dict[str, Any]:
        return {"rate": self._rate}


class AdadeltaOptimizer(Optimizer):
    """Adadelta (Zeiler 2012), with its step multiplied by the learning rate."""

    slot_names: Mapping[str, str] = {"square": "accum", "update": "accum_update"}

    @api
    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.95,
        epsilon: Any = 1e-08,
        use_locking: bool = False,
        name: str = "Adadelta",
    ) -> None:
        super().__init__(use_locking, name)
        self._numbers = {"rate": learning_rate, "rho": rho, "epsilon": epsilon}

    def rule(self) -> Rule:
        return rules.Adadelta()

    def numbers(self) -> dict[str, Any]:
        return self._numbers


class FtrlOptimizer(Optimizer):
    """Follow the regularized leader, with L1 and L2 penalties (McMahan et al. 2013)."""

    slot_names: Mapping[str, str] = {"sum": "accum", "linear": "linear"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl",
        accum_name: str | None = None,
        linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0,
    ) -> None:
        super().__init__(use_locking, name)
        if accum_name is not None or linear_name is not None:
            raise ArgumentError("tf.train.FtrlOptimizer: accum_name and linear_name are not offered; use name=")
        if number(learning_rate_power, "learning_rate_power") > 0:
            raise ArgumentError(f"learning_rate_power must be 0 or less, not {learning_rate_power}")
        self._rate = learning_rate
        self._rule = rules.Ftrl(
            start=_positive(initial_accumulator_value, "initial_accumulator_value"),
            exponent=rounded(learning_rate_power),
            l1=_strength("l1", l1_regularization_strength),
            l2=_strength("l2", l2_regularization_strength),
            shrinkage=_strength("l2_shrinkage", l2_shrinkage_regularization_strength),
        )

    def rule(self) -> Rule:
        return self._rule

    def numbers(self) -> dict[str, Any]:
        return {"rate": self._rate}


class ProximalGradientDescentOptimizer(Optimizer):
    """Gradient descent with proximal L1 and L2 penalties."""

    @api
    def __init__(
        self,
        learning_rate: Any,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalGradientDescent",
    ) -> None:
        super().__init__(use_locking, name)
        self._rate, l1 = learning_rate, _strength("l1", l1_regularization_strength)
        self._rule = rules.ProximalGradientDescent(l1=l1, l2=_strength("l2", l2_regularization_strength))

    def rule(self) -> Rule:
        return self._rule

    def numbers(self) -> dict[str, Any]:
        return {"rate": self._rate}


class ProximalAdagradOptimizer(Optimizer):
    """Adagrad with proximal L1 and L2 penalties."""

    slot_names: Mapping[str, str] = {"sum": "accumulator"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalAdagrad",
    ) -> None:
        super().__init__(use_locking, name)
        self._rate = learning_rate
        self._rule = rules.ProximalAdagrad(
            start=_positive(initial_accumulator_value, "initial_accumulator_value"),
            l1=_strength("l1", l1_regularization_strength),
            l2=_strength("l2", l2_regularization_strength),
        )

    def rule(self) -> Rule:
        return self._rule

    def numbers(self) -> dict[str, Any]:
        return {"rate": self._rate}


class AdagradDAOptimizer(Optimizer):
    """Adagrad by dual averaging (Duchi et al. 2011)."""

    slot_names: Mapping[str, str] = {"sum": "gradient_accumulator", "square": "gradient_squared_accumulator"}

    @api
    def __init__(
        self,
        learning_rate: Any,
        global_step: Any,
        initial_gradient_squared_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "AdagradDA",
    ) -> None:
        super().__init__(use_locking, name)
        start = _positive(initial_gradient_squared_accumulator_value, "initial_gradient_squared_accumulator_value")
        self._numbers = {"rate": learning_rate, "count": functions.cast(global_step, "float32") + 1.0}
        l1 = _strength("l1", l1_regularization_strength)
        self._rule = rules.AdagradDual(start=start, l1=l1, l2=_strength("l2", l2_regularization_strength))

    def rule(self) -> Rule:
        return self._rule

    def numbers(self) -> dict[str, Any]:
        return self._numbers


def _positive(value: Any, what: str) -> float:
    """Return a positive number as a float. Raise an error for other values."""
    check_positive(what, value)
    return float(value)


def _strength(what: str, value: Any) -> float:
    """Return the strength of a penalty, rounded to float32 as in TensorFlow. Raise an error if it is negative."""
    check_within(f"{what}_regularization_strength", value, 0, float("inf"))
    return rounded(value)


def _leaves(nest: Any) -> Iterable[Any]:
    """Yield the leaves of nested lists and tuples."""
    for item in nest if isinstance(nest, list | tuple) else [nest]:
        if isinstance(item, list | tuple):
            yield from _leaves(item)
        else:
            yield item
